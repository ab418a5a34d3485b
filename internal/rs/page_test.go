package rs_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// written gives what a refusal becomes.
func written(t *testing.T, f *rs.Refusal, method, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
	r.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	f.Write(rec, r)
	return rec
}

func TestRefusal_Page(t *testing.T) {
	for _, status := range []int{400, 401, 403, 429, 503} {
		f := &rs.Refusal{Status: status, Detail: "A <sentence>.", DecisionID: `d"<1>`, Header: http.Header{}}
		rec := written(t, f, "GET", "text/html")
		page := rec.Body.String()
		for _, want := range []string{
			`<html lang="en">`, `<meta name="viewport"`, "prefers-color-scheme: dark",
			"<code>d&#34;&lt;1&gt;</code>", strconv.Itoa(status),
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%d: the page lacks %q", status, want)
			}
		}
		if strings.Contains(page, "A &lt;sentence&gt;.") != (status != 401) {
			t.Errorf("%d: the page is %s", status, page)
		}
		for _, never := range []string{"<script", "src=", "href=", "style=", "url("} {
			if strings.Contains(page, never) {
				t.Errorf("%d: the page has %q", status, never)
			}
		}
		_, rest, _ := strings.Cut(page, "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		hash := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; "
		if got := rec.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, want) {
			t.Errorf("%d: Content-Security-Policy = %q, want %q…", status, got, want)
		}
	}
	if page := written(t, rs.Forbidden(), "GET", "text/html").Body.String(); strings.Contains(page, "decision") {
		t.Errorf("a page without a decision speaks of one: %s", page)
	}
}

// TestRefusal_DecisionID: who brings an RPT that is not good enough is told which
// decision made it; who brings a forged one is told nothing.
func TestRefusal_DecisionID(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Scopes = []rs.Scope{{Name: "get"}, {Name: "post"}} })
	good := w.rpt()
	head, _, _ := strings.Cut(good, ".")
	for _, c := range []struct{ name, method, token, want string }{
		{"good for something else", "POST", good, "d-1"},
		{"expired", "GET", w.rpt(func(c map[string]any) { c["exp"], c["iat"] = w.now.Unix()-120, w.now.Unix()-240 }), "d-1"},
		{"none", "GET", "", ""},
		{"forged", "POST", head + good[len(head):len(good)-4] + "AAAA", ""},
		{"too long", "POST", w.rpt(func(c map[string]any) { c["decision_id"] = strings.Repeat("x", 65) }), ""},
		{"unsafe", "POST", w.rpt(func(c map[string]any) { c["decision_id"] = "{env.PATH}" }), ""},
	} {
		_, f := w.check(c.method, c.token)
		if f == nil || f.Status != 401 {
			t.Fatalf("%s: refusal = %+v, want 401", c.name, f)
		}
		var problem map[string]any
		if err := json.Unmarshal(written(t, f, "GET", "").Body.Bytes(), &problem); err != nil {
			t.Fatal(err)
		}
		if got, _ := problem["decision_id"].(string); got != c.want {
			t.Errorf("%s: decision_id = %q, want %q", c.name, got, c.want)
		}
		if page := written(t, f, "GET", "text/html").Body.String(); strings.Contains(page, "<code>") != (c.want != "") {
			t.Errorf("%s: the page is %s", c.name, page)
		}
	}
}

// TestRefusal_Head has no body and says how long it would be (RFC 9110 §9.3.2).
func TestRefusal_Head(t *testing.T) {
	w := newWorld(t)
	for _, accept := range []string{"", "text/html"} {
		_, f := w.check("GET", "")
		get, head := written(t, f, "GET", accept), written(t, f, "HEAD", accept)
		if head.Body.Len() != 0 || get.Body.Len() == 0 {
			t.Errorf("bodies = %d and %d bytes", head.Body.Len(), get.Body.Len())
		}
		want := strconv.Itoa(get.Body.Len())
		if get.Header().Get("Content-Length") != want || head.Header().Get("Content-Length") != want {
			t.Errorf("Content-Length = %s and %s, want %s", get.Header().Get("Content-Length"), head.Header().Get("Content-Length"), want)
		}
	}
}
