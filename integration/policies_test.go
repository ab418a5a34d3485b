package integration_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// guest is a policy module of this binary: it lets in by the local part of the
// address.
type guest struct {
	Names []string `json:"names,omitempty"`
}

func (*guest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.policies.guest", New: func() caddy.Module { return new(guest) }}
}

func (g *guest) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	g.Names = d.RemainingArgs()
	return nil
}

// guestAsked counts the questions.
var guestAsked atomic.Int64

func (g *guest) Evaluate(_ context.Context, in *policy.Input) (bool, error) {
	guestAsked.Add(1)
	return slices.Contains(g.Names, in.Email.Local), nil
}

const bobsPolicy = "from bob@bob.localhost"

func TestRequiredClaims(t *testing.T) {
	w := example(t, bobsPolicy, bobsPolicy+"\n\t\t\trequired_claims groups", "release name groups", "release name")
	access := w.login("bob@bob.localhost", "bob-demo")
	present := func(ticket string) answer {
		return w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
	}
	ticket, _ := w.challenged(http.MethodGet, "/")
	a := present(ticket)
	w.refused(t, a, oauth.CodeNeedInfo)
	if !strings.Contains(a.text, `"name":"groups"`) {
		t.Errorf("the claim is not named: %s", a.text)
	}
	w.edit("release name", "release name groups") // Bob's side
	ok := present(a.get("ticket"))
	if ok.status != http.StatusOK {
		t.Fatalf("%d %s", ok.status, ok.text)
	}
	t.Run("who could not be let in learns no name", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		claims := w.claimsToken(w.login("mallory@bob.localhost", "mallory-demo"), w.url("api", ""), ticket)
		a := w.redeem(ticket, claims, nil)
		w.refused(t, a, oauth.CodeRequestDenied)
		if strings.Contains(a.text, "groups") {
			t.Errorf("%s", a.text)
		}
	})
}

// A shadow policy changes nothing but the log.
func TestShadow(t *testing.T) {
	w := example(t, policyStart, "policy trial {\n\t\t\tshadow\n\t\t\tfrom mallory@bob.localhost\n\t\t}\n\n\t\t"+policyStart)
	access := w.login("mallory@bob.localhost", "mallory-demo")
	present := func() answer {
		ticket, _ := w.challenged(http.MethodGet, "/")
		return w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
	}
	w.refused(t, present(), oauth.CodeRequestDenied)
	if !w.logged(`"shadow":["`) {
		t.Error("the log has no word of the shadow policy")
	}
	w.edit("\t\t\tshadow\n", "")
	if a := present(); a.status != http.StatusOK {
		t.Errorf("without shadow: %d %s", a.status, a.text)
	}
}

// A guest of the test binary decides, and its settings are part of the policies.
func TestGuest(t *testing.T) {
	v := withVault(t, "")
	access := v.login("bob@bob.localhost", "bob-demo")
	id := v.register("one", "read")
	v.edit(vaultPolicy, strings.Replace(vaultPolicy, bobsPolicy, "from bob.localhost\n\t\t\tevaluate guest bob", 1))
	rpt := v.granted(access, v.ticket(id, "read"), nil).get("access_token")
	t.Run("it says no", func(t *testing.T) {
		ticket := v.ticket(id, "read")
		claims := v.claimsToken(v.login("mallory@bob.localhost", "mallory-demo"), v.url("vault", ""), ticket)
		v.refused(t, v.asWeb(ticket, claims, nil), oauth.CodeRequestDenied)
	})
	before := guestAsked.Load()
	if v.edit("rate_limit token off", "lifetime ticket 4m\n\t\trate_limit token off"); !v.active(rpt) || guestAsked.Load() != before {
		t.Error("an unrelated change ended the grant, or the guest was asked again")
	}
	if v.edit("evaluate guest bob", "evaluate guest bob carol"); !v.active(rpt) || guestAsked.Load() == before {
		t.Error("another name ended Bob's grant, or the guest was not asked")
	}
	if v.edit("evaluate guest bob carol", "evaluate guest carol"); v.active(rpt) {
		t.Error("UG-60: the guest would not let him in any more")
	}
}

// Live grants are evaluated again when the policies changed, and only then.
func TestUG_60_PolicyRevision(t *testing.T) {
	v := withVault(t, "refresh_tokens\n\t\t")
	access := v.login("bob@bob.localhost", "bob-demo")
	id := v.register("one", "read")
	a := v.granted(access, v.ticket(id, "read"), nil)
	rpt := a.get("access_token")
	if v.edit("refresh_tokens", "lifetime ticket 4m\n\t\trefresh_tokens"); !v.active(rpt) {
		t.Error("an unrelated change ended the grant")
	}
	if v.edit(vaultPolicy, vaultPolicy+"policy more {\n\t\t\tresource_server vault\n\t\t\tfrom carol.example\n\t\t}\n\t\t"); !v.active(rpt) {
		t.Error("another policy beside it ended the grant")
	}
	if v.edit(vaultPolicy, strings.Replace(vaultPolicy, bobsPolicy, "from alice@bob.localhost", 1)); v.active(rpt) {
		t.Error("the policy names another one, and the RPT is active")
	}
	if a := v.refresh(a.get("refresh_token")); a.get("error") != oauth.CodeInvalidGrant {
		t.Errorf("its refresh token: %d %s", a.status, a.text)
	}
	if v.edit("from alice@bob.localhost", bobsPolicy); v.active(rpt) {
		t.Error("it lives again")
	}
}

// proof adds a DPoP proof for the token endpoint.
func (w *world) proof(signer *dpop.Signer, nonce string) func(*http.Request) {
	return func(r *http.Request) {
		text, err := signer.Prove(r.Method, r.URL.String(), "", nonce)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set(oauth.HeaderDPoP, text)
	}
}

func (w *world) prover() *dpop.Signer {
	w.t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		w.t.Fatal(err)
	}
	signer, err := dpop.NewSigner(key, time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	return signer
}

func TestDP_02_Proofs(t *testing.T) {
	w := example(t, bobsPolicy, bobsPolicy+"\n\t\t\trequire dpop")
	access := w.login("bob@bob.localhost", "bob-demo")
	signer := w.prover()
	fresh := func() (ticket, claims string) {
		ticket, _ = w.challenged(http.MethodGet, "/")
		return ticket, w.claimsToken(access, w.url("api", ""), ticket)
	}
	bound := func(t *testing.T, a answer) {
		t.Helper()
		cnf, _ := payload(t, a.get("access_token"))["cnf"].(map[string]any)
		if a.status != http.StatusOK || a.get("token_type") != "DPoP" || cnf["jkt"] != signer.JKT() {
			t.Errorf("%d %s, cnf %v", a.status, a.text, cnf)
		}
	}
	t.Run("SEC-14 without a proof", func(t *testing.T) {
		ticket, claims := fresh()
		w.refused(t, w.redeem(ticket, claims, nil), oauth.CodeRequestDenied)
	})
	t.Run("with a proof", func(t *testing.T) {
		ticket, claims := fresh()
		a := w.redeem(ticket, claims, nil, w.proof(signer, ""))
		bound(t, a)
		if res := w.get(w.url("api", "/"), bearer(a.get("access_token"))); res.status != http.StatusUnauthorized || w.hits.Load() != 0 {
			t.Errorf("as a bearer token: %d", res.status)
		}
	})
	t.Run("the same proof again, over a reload", func(t *testing.T) {
		var used string
		keep := func(r *http.Request) { w.proof(signer, "")(r); used = r.Header.Get(oauth.HeaderDPoP) }
		ticket, claims := fresh()
		bound(t, w.redeem(ticket, claims, nil, keep))
		w.reload()
		w.await()
		ticket, claims = fresh()
		a := w.redeem(ticket, claims, nil, func(r *http.Request) { r.Header.Set(oauth.HeaderDPoP, used) })
		if a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidDPoPProof {
			t.Errorf("%d %s", a.status, a.text)
		}
		bound(t, w.redeem(ticket, claims, nil, w.proof(signer, ""))) // A2: the ticket is not spent
	})
	w.edit(policyStart, "dpop_nonces\n\t\t"+policyStart)
	t.Run("DP-05 nonces", func(t *testing.T) {
		ticket, claims := fresh()
		a := w.redeem(ticket, claims, nil, w.proof(signer, ""))
		nonce := a.header.Get(oauth.HeaderDPoPNonce)
		if a.status != http.StatusBadRequest || a.get("error") != oauth.CodeUseDPoPNonce || nonce == "" {
			t.Fatalf("%d %s %v", a.status, a.text, a.header)
		}
		if a := w.redeem(ticket, claims, nil, w.proof(signer, flip(nonce))); a.get("error") != oauth.CodeUseDPoPNonce {
			t.Errorf("a changed nonce: %d %s", a.status, a.text)
		}
		bound(t, w.redeem(ticket, claims, nil, w.proof(signer, nonce)))
	})
}

// payload reads the claims of a JWT without checking it.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

var (
	_ policy.Policy         = (*guest)(nil)
	_ caddyfile.Unmarshaler = (*guest)(nil)
)
