package integration_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// partner is a provider on a loopback port, known by an email_domain entry with
// host, port and a CA file of its own.
type partner struct {
	*fakeop.OP
	domain string
}

// entry is the partner's email_domain entry.
func (p *partner) entry(t *testing.T, more string) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), p.domain+".pem")
	if err := os.WriteFile(ca, p.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "email_domain " + p.domain + " https://" + p.Addr + " {\n\t\t\ttrust_pool file " + ca + "\n" + more + "\t\t}\n\t\t"
}

// newPartner starts a provider whose issuer is https://ADDRESS:PORT.
func newPartner(t *testing.T, domain string) *partner {
	t.Helper()
	op := fakeop.New(t, fakeop.Config{Domain: domain, OwnCA: true})
	op.Issuer = "https://" + op.Addr
	return &partner{OP: op, domain: domain}
}

// token is a good claims token of carol at the partner's domain; edits change it.
func (p *partner) token(w *world, ticket string, edits map[string]any) string {
	now := time.Now().Unix()
	claims := map[string]any{
		"sub": "carol", "aud": w.url("api", ""), "iat": now, "exp": now + 60, "jti": "j",
		"email": "carol@" + p.domain, "email_verified": true, "ticket_challenge": s256(ticket),
	}
	maps.Copy(claims, edits)
	return p.Sign(claims, oauth.TypClaimsToken)
}

func TestSEC_29_EmailDomainEntries(t *testing.T) {
	one, two, three := newPartner(t, "one.example"), newPartner(t, "two.example"), newPartner(t, "three.example")
	two.Misbehave(fakeop.WebFinger, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	three.Misbehave(fakeop.WebFinger, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	stranger := newPartner(t, "stranger.example") // listens on loopback, too, and has no entry
	w := example(t,
		"policy readers {", one.entry(t, "")+two.entry(t, "")+three.entry(t, "\t\t\twebfinger off\n")+"rate_limit token off\n\t\tpolicy readers {",
		"from bob@bob.localhost", "from one.example two.example three.example stranger.example")

	present := func(p *partner, edits map[string]any) answer {
		ticket, _ := w.challenged(http.MethodGet, "/")
		return w.redeem(ticket, p.token(w, ticket, edits), nil)
	}
	for name, p := range map[string]*partner{"WebFinger": one, "CA-30 configuration at the URL": two, "CA-33 pinned": three} {
		t.Run(name, func(t *testing.T) {
			a := present(p, nil)
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.text)
			}
			if ok := w.get(w.url("api", "/"), bearer(a.get("access_token"))); ok.status != http.StatusOK {
				t.Errorf("%d %s", ok.status, ok.text)
			}
		})
	}
	if three.Hits(fakeop.WebFinger) != 0 {
		t.Error("webfinger off: WebFinger was asked")
	}
	t.Run("A37 the typ of an ID token", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		a := w.redeem(ticket, one.Sign(map[string]any{"email": "carol@one.example"}, "JWT"), nil)
		if a.get("error") != "need_info" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("one speaks for the people of two", func(t *testing.T) {
		if a := present(one, map[string]any{"email": "carol@two.example"}); a.get("error") != "need_info" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("a domain without an entry", func(t *testing.T) {
		if a := present(stranger, nil); a.get("error") != "need_info" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("SEC-29 an entry's WebFinger names a loopback port without an entry", func(t *testing.T) {
		one.Link(func(string) (string, bool) { return stranger.Issuer, true })
		a := present(one, map[string]any{"iss": stranger.Issuer, "email": "dave@one.example"})
		if a.get("error") != "need_info" || stranger.Conns() != 0 {
			t.Errorf("%d %s, %d connections", a.status, a.text, stranger.Conns())
		}
	})
}

// TestUG_41_TicketLifetime: the lifetime in the Caddyfile is the ticket's.
func TestUG_41_TicketLifetime(t *testing.T) {
	w := example(t, policyStart, "lifetime ticket 1s\n\n\t\t"+policyStart)
	access := w.login("bob@bob.localhost", "bob-demo")
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.claimsToken(access, w.url("api", ""), ticket)
	time.Sleep(1100 * time.Millisecond) // a real server with a real clock
	if a := w.redeem(ticket, claims, nil); a.get("error") != "invalid_grant" {
		t.Errorf("%d %s", a.status, a.text)
	}
}
