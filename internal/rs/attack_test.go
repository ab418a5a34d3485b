package rs_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// TestUF_06_LostAssertion: an authorization server may have taken the assertion of a
// request whose answer got lost; it takes none twice (RFC 7523 §3).
func TestUF_06_LostAssertion(t *testing.T) {
	w := newWorld(t)
	key := josetest.NewKey("ES256", "rs")
	seen := map[string]bool{}
	always := w.cfg.AS
	w.cfg.ClientSecret, w.cfg.Key = "", &jose.Signer{KID: "rs", Alg: "ES256", Key: key.Private}
	w.cfg.AS = losing(func(c rs.Call, r *http.Request) (*http.Response, error) { return always(c, r) }, 1,
		func(c rs.Call, r *http.Request) bool {
			if c != rs.CallToken {
				return false
			}
			body, err := r.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			form := readForm(t, body)
			if assertion := form.Get("client_assertion"); seen[assertion] {
				t.Error("an assertion was used twice")
			} else {
				seen[assertion] = true
			}
			return true
		})
	w.restart()
	if got := w.status("GET", ""); got != 401 || len(seen) != 2 {
		t.Errorf("status = %d after %d assertions, want 401 after 2", got, len(seen))
	}
	w.cfg.AS = losing(always, 1, func(c rs.Call, _ *http.Request) bool { return c == rs.CallToken })
	w.restart()
	if all := w.rs.Examine(t.Context()); len(all) != 5 || all[2].Err != nil {
		t.Errorf("examined: %+v", all)
	}
}

// TestDP_03_DPoPTokenWithoutKey: an answer that calls a token bound and does not say
// to what would make a bearer token of it.
func TestDP_03_DPoPTokenWithoutKey(t *testing.T) {
	w := newAsking(t)
	for name, tc := range map[string]struct {
		tokenType any
		want      int
	}{"bearer": {"Bearer", 200}, "none": {nil, 200}, "dpop": {"DPoP", 401}} {
		t.Run("DP-03 "+name, func(t *testing.T) {
			if got := w.status("GET", w.opaque(name, set("token_type", tc.tokenType))); got != tc.want {
				t.Errorf("status = %d, want %d", got, tc.want)
			}
		})
	}
}

// TestOA_13_FailOpenNeedsAnAnswer: of a JWT on no status list only the authorization
// server knows whether it was taken back. With fail_open its last answer counts on;
// without one, or after a bad one, nothing does.
func TestOA_13_FailOpenNeedsAnAnswer(t *testing.T) {
	w := newAsking(t, func(c *rs.Config) { c.FailOpen = true })
	off := set("status", nil)
	known, revoked, fresh := w.rpt(off), w.rpt(off, set("jti", "2")), w.rpt(off, set("jti", "3"))
	w.as.set(func() { w.as.tokens[known] = w.claims(off) })
	w.wantStatus(known, 200)
	w.wantStatus(revoked, 401)
	w.as.set(func() { w.as.down = true })
	w.now = w.now.Add(time.Minute)
	w.wantStatus(known, 200)
	w.wantStatus(revoked, 503)
	w.wantStatus(fresh, 503)
	w.wantStatus(fresh, 503)
}

func readForm(t *testing.T, body io.Reader) url.Values {
	t.Helper()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// TestSEC_18_HealthOfOneWhoLeft: somebody who asks how we are and goes away must not
// make us unwell for the next one.
func TestSEC_18_HealthOfOneWhoLeft(t *testing.T) {
	w := newWorld(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_ = w.rs.Reachable(gone)
	if err := w.rs.Reachable(t.Context()); err != nil {
		t.Errorf("asked next: %v", err)
	}
}
