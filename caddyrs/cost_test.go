package caddyrs

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestSEC_18_LongPaths: what a path costs is bounded before anything is known of who
// asks. A path of 16 kB took 50 seconds once, by its aliases alone.
func TestSEC_18_LongPaths(t *testing.T) {
	h := &Handler{byPath: true, byCase: true}
	for _, path := range []string{"/users/:user/photos/:id", "/users/:user/*", "/files/:f/*"} {
		p, err := newPattern(path)
		if err != nil {
			t.Fatal(err)
		}
		h.Resources = append(h.Resources, &Resource{Name: path, patterns: []*pattern{p}})
	}
	place := func(path string) error {
		u, err := url.Parse("https://x" + path)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://x/", nil)
		r.URL = u
		_, err = h.placeOf(r)
		return err
	}
	for name, unit := range map[string]string{
		"scripts": "/a.php", "escapes": "/%2525%2e", "wide": "/%EF%BC%8F%C3%A9;", "params": "/a;b", "dots": "/./..;", "backslashes": "%5c/",
		"sessions": "/(S(a))", "names": "/abc", "one name": "a", "slashes": "//", "spaces": "%20", "everything": "/%25;%EF%BC%8F.php/a%20.",
	} {
		for _, n := range []int{250, 1000, 4000, 7900, 1 << 20} {
			path := "/users/u/" + strings.Repeat(unit, n/len(unit)) + "/x"
			begin := time.Now()
			err := place(path)
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("%s, %d bytes: %v", name, n, took)
			} else {
				t.Log(name, n, took, err)
			}
			if n > maxPath && !errors.Is(err, errLong) {
				t.Errorf("%s, %d bytes: %v, want %v", name, n, err, errLong)
			}
		}
	}
	for _, path := range []string{
		"/files/u/" + strings.Repeat("a", maxPath-10), "/files/u" + strings.Repeat("/a", maxSegments-3),
		"/files/u/wiki.php/a/b.php/", "/files/%C3%A4/a/", "/files/u/" + strings.Repeat("a", 3000) + "%20b;c/",
	} {
		if err := place(path); err != nil {
			t.Errorf("%.40s…: %v", path, err)
		}
	}
	if err := place("/users/u" + strings.Repeat("/a", maxSegments)); !errors.Is(err, errLong) {
		t.Errorf("%d segments: %v", maxSegments, err)
	}
}
