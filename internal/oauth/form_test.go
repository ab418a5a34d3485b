package oauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestOA_02_ParseForm(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct {
		kinds  []string
		body   string
		status int // 0 = accepted
	}{
		"good":                           {[]string{form}, "a=1&b=2", 0},
		"empty body":                     {[]string{form}, "", 0},
		"charset":                        {[]string{form + `; charset="UTF-8"`}, "a=1", 0},
		"escapes":                        {[]string{form}, "a=%2B+%C3%BC", 0},
		"OA-02 unknown names":            {[]string{form}, "zzz=1", 0},
		"OA-02 resource may be repeated": {[]string{form}, "resource=a&resource=b&audience=c&audience=d", 0},
		"OA-02 repeated":                 {[]string{form}, "a=1&a=2", 400},
		"OA-02 repeated, the same":       {[]string{form}, "a=1&a=1", 400},
		"OA-02 repeated, empty":          {[]string{form}, "a=&a=1", 400},
		"OA-02 repeated, escaped":        {[]string{form}, "a=1&%61=2", 400},
		"another case is another name":   {[]string{form}, "a=1&A=2", 0},
		"semicolon":                      {[]string{form}, "a=1;b=2", 400},
		"bad escape":                     {[]string{form}, "a=%zz", 400},
		"zero byte":                      {[]string{form}, "a=%00", 400},
		"zero byte in a name":            {[]string{form}, "a%00=1", 400},
		"not UTF-8":                      {[]string{form}, "a=%ff", 400},
		"OA-01 JSON":                     {[]string{"application/json"}, "{}", 400},
		"OA-01 no media type":            {nil, "a=1", 400},
		"OA-01 two media types":          {[]string{form, form}, "a=1", 400},
		"OA-01 another charset":          {[]string{form + "; charset=iso-8859-1"}, "a=1", 400},
		"OA-01 another parameter":        {[]string{form + "; x=y"}, "a=1", 400},
		"OA-01 almost":                   {[]string{form + "x"}, "a=1", 400},
		"just so long":                   {[]string{form}, "a=" + strings.Repeat("x", 98), 0},
		"too long":                       {[]string{form}, "a=" + strings.Repeat("x", 99), 413},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?q=1&a=9", strings.NewReader(tc.body))
			r.Header["Content-Type"] = tc.kinds
			f, err := oauth.ParseForm(r, 100)
			if tc.status == 0 {
				if err != nil || f.Get("q") != "" {
					t.Errorf("%v, %v", f, err)
				}
				return
			}
			e := (*oauth.Error)(nil)
			if !errors.As(err, &e) || e.Status != tc.status || e.Code != "invalid_request" {
				t.Errorf("%v, want %d", err, tc.status)
			}
		})
	}
	t.Run("a Content-Encoding", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("a=1"))
		r.Header.Set("Content-Type", form)
		r.Header.Set("Content-Encoding", "identity")
		if _, err := oauth.ParseForm(r, 100); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a body that breaks off", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", brokenReader{})
		r.Header.Set("Content-Type", form)
		if _, err := oauth.ParseForm(r, 100); oauth.AsError(err).Code != "invalid_request" {
			t.Errorf("%v", err)
		}
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("cut") }

func TestOA_02_FormValues(t *testing.T) {
	f, err := oauth.ParseFormBody("a=&b=+x+&resource=1&resource=&resource=2")
	if err != nil {
		t.Fatal(err)
	}
	if f.Get("a") != "" || f.Get("b") != " x " || f.Get("resource") != "1" || f.Get("none") != "" {
		t.Errorf("%v", f)
	}
	if got := f.All("resource"); !cmp.Equal(got, []string{"1", "2"}) || f.All("a") != nil {
		t.Errorf("%v", got)
	}
}

func FuzzParseFormBody(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=1&a=2", "resource=1&resource=2", "%00=1", "a;b", "a=%ff", "=&=", "&&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := oauth.ParseFormBody(body)
		if err != nil {
			if e := oauth.AsError(err); e.Code != "invalid_request" {
				t.Errorf("%v", err)
			}
			return
		}
		for name, values := range form {
			if len(values) > 1 && name != "resource" && name != "audience" {
				t.Errorf("%q is repeated", name)
			}
			for _, v := range values {
				if !utf8.ValidString(v) || strings.ContainsRune(v+name, 0) {
					t.Errorf("%q=%q", name, v)
				}
			}
		}
	})
}
