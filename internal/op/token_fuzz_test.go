package op_test

import (
	"encoding/json"
	"testing"
)

// FuzzTokens sends any form to every endpoint that takes one: nothing panics,
// nothing is issued, nothing that lives ends, each answer is JSON (or empty).
func FuzzTokens(f *testing.F) {
	b := newBench(f, nil)
	got := b.tokens()
	f.Add("token", refreshParams("rt_x").Encode())
	f.Add("token", tokenParams("x").Encode())
	f.Add("token", "grant_type=refresh_token&refresh_token=%ff&client_id=app&refresh_token=")
	f.Add("introspect", asWeb("rt_x").Encode())
	f.Add("revoke", "client_id=app&token=rt_%00&token_type_hint=x")
	f.Add("userinfo", "access_token=x")
	f.Fuzz(func(t *testing.T, endpoint, form string) {
		switch endpoint {
		case "token", "introspect", "revoke", "userinfo":
		default:
			endpoint = "token"
		}
		a := serveBody(b.provider, endpoint, form)
		if a.status == 500 || a.status == 503 || endpoint == "token" && a.status == 200 {
			t.Errorf("%s, %q: %d %s", endpoint, form, a.status, a.body)
		}
		if a.body != "" && !json.Valid([]byte(a.body)) {
			t.Errorf("%s, %q: not JSON: %q", endpoint, form, a.body)
		}
		if !lives(b.provider, got.AccessToken) {
			t.Errorf("%s, %q ends something", endpoint, form)
		}
	})
}
