package uma_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzTokens: a text that is no token of ours is inactive like every other one,
// revokes nothing, refreshes nothing and upgrades nothing.
func FuzzTokens(f *testing.F) {
	b := newBench(f, refreshing, persisting, opaque)
	res := b.webGrant(b.fresh())
	pat := b.pat("api")
	live := []string{res.get("access_token"), res.get("refresh_token"), res.get("pct"), pat}
	jwt := b.signedIntrospection(live[0])
	for _, seed := range append([]string{
		"x", "rpt_", "rt_", "pct_", "pat_", "rat_", "x.y.z", jwt, "rt_" + strings.Repeat("A", 64), "rpt_\x00", " ",
		live[1] + "A", live[0][:46], strings.ToUpper(live[0]), "rt_" + live[0][4:],
	}, live...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b.t = t
		for _, token := range live {
			if strings.TrimSpace(text) == token {
				return
			}
		}
		form := url.Values{"token": {text}, "token_type_hint": {text}}
		got := sendRaw(t, b, "introspect", form, bearer(pat))
		if got.status == http.StatusOK && got.text != inactive || got.status != http.StatusOK && got.code() != "invalid_request" {
			t.Errorf("introspect %q: %d %s", text, got.status, got.text)
		}
		got = sendRaw(t, b, "revoke", form, basic("web", webSecret))
		if got.status != http.StatusOK && got.code() != "invalid_request" && got.code() != "unsupported_token_type" {
			t.Errorf("revoke %q: %d %s", text, got.status, got.text)
		}
		got = sendRaw(t, b, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}, "scope": {text}}, basic("web", webSecret))
		if got.code() != "invalid_grant" && got.code() != "invalid_request" {
			t.Errorf("refresh %q: %d %s", text, got.status, got.text)
		}
		if n := len(b.revocations()); n != 0 {
			t.Fatalf("%q revoked something", text)
		}
	})
}

func sendRaw(t *testing.T, b *bench, endpoint string, form url.Values, edit func(*http.Request)) reply {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/uma/"+endpoint, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	edit(r)
	return b.do(b.server, r)
}
