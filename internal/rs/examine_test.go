package rs_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// steps tells how an examination went, in short.
func steps(all []rs.Examined) []string {
	var text []string
	for _, x := range all {
		one := string(x.Step)
		if x.Err != nil {
			one += " failed"
		}
		for _, more := range []string{x.Code, x.Ours, x.Theirs, strings.Join(x.Names, "+")} {
			if more != "" {
				one += " " + more
			}
		}
		text = append(text, one)
	}
	return text
}

func TestExamine(t *testing.T) {
	answered := func(call rs.Call, status int, body string) func(*world) {
		return func(w *world) {
			always := w.cfg.AS
			w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
				resp, err := always(c, r)
				if c == call && err == nil {
					resp.StatusCode, resp.Body = status, readCloser(body)
				}
				return resp, err
			}
			w.restart()
		}
	}
	for _, tc := range []struct {
		name string
		do   func(*world)
		want []string
	}{
		{"well", func(*world) {}, []string{"metadata", "keys", "pat", "resource_uri", "resources"}},
		{"down", func(w *world) { w.as.down = true }, []string{"metadata failed"}},
		{"another issuer", func(w *world) { w.as.issuer = "https://other.example" }, []string{"metadata failed https://as.example https://other.example"}},
		{"no metadata", func(w *world) { w.as.path = "/elsewhere" }, []string{"metadata failed"}},
		{"no keys", func(w *world) { w.as.keys = nil }, []string{"metadata", "keys failed", "pat", "resource_uri", "resources"}},
		{"keys that are none", answered(rs.CallKeys, 200, `[]`), []string{"metadata", "keys failed", "pat", "resource_uri", "resources"}},
		{"a wrong secret", answered(rs.CallToken, 401, `{"error":"invalid_client"}`), []string{"metadata", "keys", "pat failed invalid_client"}},
		{"no PAT", answered(rs.CallToken, 200, `{"access_token":"x","token_type":"Bearer","scope":"openid"}`), []string{"metadata", "keys", "pat failed"}},
		{
			"another resource URI",
			func(w *world) { w.cfg.ResourceURI = "https://api.example/v2"; w.restart() },
			[]string{"metadata", "keys", "pat", "resource_uri failed https://api.example/v2 https://api.example"},
		},
		{"no resource URI", func(w *world) { w.as.uri = "" }, []string{"metadata", "keys", "pat", "resource_uri failed"}},
		{
			"one resource of two",
			func(w *world) {
				w.cfg.Resources = []rs.Resource{{Name: "a"}, {Name: "b"}}
				w.as.failNames = map[string]bool{"b": true}
				w.restart()
			},
			[]string{"metadata", "keys", "pat", "resource_uri", "resources failed invalid_request b"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.do(w)
			if diff := cmp.Diff(tc.want, steps(w.rs.Examine(t.Context()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What requests go by stays as it is, also if the authorization server has changed: that
// is noticed at its time.
func TestExamineChangesNothing(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.ResourceURI = resource })
	if status := w.status("GET", ""); status != http.StatusUnauthorized {
		t.Fatal(status)
	}
	w.as.set(func() { w.as.uri = "https://api.example/v2" })
	for range 2 {
		if got := steps(w.rs.Examine(t.Context())); got[3] != "resource_uri failed https://api.example https://api.example/v2" {
			t.Error(got)
		}
	}
	if n := w.as.count("POST /token"); n != 3 {
		t.Errorf("%d PATs, want one for requests and one for each examination", n)
	}
	if n := w.as.count("POST /resource"); n != 1 {
		t.Errorf("%d resources were registered", n)
	}
	if status := w.status("GET", ""); status != http.StatusUnauthorized {
		t.Errorf("%d after the examination", status)
	}
}

func TestExamineDate(t *testing.T) {
	w := newWorld(t)
	always := w.cfg.AS
	age := ""
	date := "Mon, 02 Jan 2006 15:04:05 GMT"
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
		resp, err := always(c, r)
		if c == rs.CallMetadata && err == nil && date != "" {
			resp.Header.Set("Date", date)
			resp.Header.Set("Age", age)
		}
		return resp, err
	}
	w.restart()
	want := time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC)
	if got := w.rs.Examine(t.Context())[0].Date; !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
	age = "3600" // it stood in a cache for an hour
	if got := w.rs.Examine(t.Context())[0].Date; !got.Equal(want.Add(time.Hour)) {
		t.Errorf("%v of an answer that is an hour old", got)
	}
	date, age = "", ""
	if got := w.rs.Examine(t.Context())[0].Date; !got.IsZero() {
		t.Errorf("%v of an answer without a date", got)
	}
}

// A slow step after it does not make the clock look slow.
func TestExamineAt(t *testing.T) {
	w := newWorld(t)
	began, always := w.now, w.cfg.AS
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
		if c != rs.CallMetadata {
			w.now = w.now.Add(20 * time.Second)
		}
		return always(c, r)
	}
	w.restart()
	if got := w.rs.Examine(t.Context())[0].At; !got.Equal(began) {
		t.Errorf("%v, want %v", got, began)
	}
}

func readCloser(body string) io.ReadCloser { return io.NopCloser(strings.NewReader(body)) }
