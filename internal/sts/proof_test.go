package sts_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

var bobKey, eveKey = josetest.NewKey("ES256", ""), josetest.NewKey("ES256", "")

// proof is a good one, but for the edits (nil removes a member).
func (b *bench) proof(key josetest.Key, edits map[string]any) string {
	claims := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": issuer + "/sts/token", "iat": b.now.Unix()}
	for name, value := range edits {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	public := key.JWK(nil)
	for _, name := range []string{"kid", "alg", "use"} {
		delete(public, name)
	}
	return key.Sign(map[string]any{"kid": nil, "typ": oauth.TypDPoP, "jwk": public}, claims)
}

func jkt(t *testing.T, key josetest.Key) string {
	t.Helper()
	text, err := jose.Thumbprint(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bind binds bob's access token to a key.
func (b *bench) bind(jkt string) {
	s := b.users[bobToken]
	s.JKT = jkt
	b.users[bobToken] = s
}

func TestDP_08_ProofAlwaysBinds(t *testing.T) {
	for name, tc := range map[string]struct {
		bound, proven *josetest.Key
		refused       bool
	}{
		"DP-08 neither":                       {nil, nil, false},
		"DP-08 proof of a bearer token":       {nil, &bobKey, false},
		"DP-08 proof of a bound token":        {&bobKey, &bobKey, false},
		"DP-08 bound token, no proof":         {&bobKey, nil, true},
		"DP-08 bound token, proof of another": {&bobKey, &eveKey, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			var header []string
			var want any
			if tc.bound != nil {
				b.bind(jkt(t, *tc.bound))
			}
			if tc.proven != nil {
				header, want = []string{"DPoP", b.proof(*tc.proven, nil)}, map[string]any{"jkt": jkt(t, *tc.proven)}
			}
			if tc.refused {
				b.wantError(t, b.post(good(), header...), http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
				return
			}
			claims := b.mustIssue(t, good(), header...)
			if d := cmp.Diff(want, claims["cnf"]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDP_08_BadProofs(t *testing.T) {
	for name, edits := range map[string]map[string]any{
		"DP-08 another method":   {"htm": "GET"},
		"DP-08 the AS":           {"htu": "https://as.alice.example/uma/token"},
		"DP-08 the issuer":       {"htu": issuer},
		"DP-08 another endpoint": {"htu": issuer + "/sts/jwks"},
		"DP-08 too old":          {"iat": clock().Unix() - 61},
		"DP-08 too new":          {"iat": clock().Unix() + 61},
		"DP-08 no jti":           {"jti": nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.wantError(t, b.post(good(), "DPoP", b.proof(bobKey, edits)), http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
			if b.asked != 0 {
				t.Error("the subject token was looked at")
			}
			b.mustIssue(t, good(), "DPoP", b.proof(bobKey, nil))
		})
	}
	t.Run("DP-08 an empty header field", func(t *testing.T) {
		b := newBench(t, nil)
		b.wantError(t, b.post(good(), "DPoP", ""), http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
	})
	t.Run("DP-08 used before", func(t *testing.T) {
		b := newBench(t, nil)
		proof := b.proof(bobKey, nil)
		b.mustIssue(t, good(), "DPoP", proof)
		b.wantError(t, b.post(good(), "DPoP", proof), http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
	})
	t.Run("DP-08 used at the same endpoint after a reload", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.Proofs = dpop.NewReplays(0, b.cfg.Now) })
		proof := b.proof(bobKey, nil)
		b.mustIssue(t, good(), "DPoP", proof)
		reloaded, err := sts.New(b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		b.server = reloaded
		b.wantError(t, b.post(good(), "DPoP", proof), http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
	})
	t.Run("SEC-18 no room for proofs", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.Proofs = dpop.NewReplays(1, b.cfg.Now) })
		b.mustIssue(t, good(), "DPoP", b.proof(bobKey, nil))
		b.wantError(t, b.post(good(), "DPoP", b.proof(bobKey, nil)), http.StatusServiceUnavailable, oauth.CodeUnavailable)
		b.now = b.now.Add(2*dpop.Window + time.Second)
		b.mustIssue(t, good(), "DPoP", b.proof(bobKey, nil))
	})
}

func TestDP_08_BoundClientsAndTargets(t *testing.T) {
	newBound := func(t *testing.T) *bench {
		t.Helper()
		return newBench(t, func(b *bench) {
			b.cfg.Clients = append(b.cfg.Clients, sts.Client{Client: clientauth.Client{ID: "app", Public: true, DPoPBound: true}})
			b.cfg.Targets = append(b.cfg.Targets, sts.Target{Names: []string{"https://bank.corp"}, RequireDPoP: true})
			b.users["at-app"] = b.bob("app")
		})
	}
	for name, form := range map[string]url.Values{
		"DP-08 client dpop_bound":   good("client_id", "app", "subject_token", "at-app"),
		"DP-08 target require dpop": good("resource", "https://bank.corp/x"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBound(t)
			w := b.post(form)
			b.wantError(t, w, http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
			if !strings.Contains(w.Body.String(), "send a DPoP proof") {
				t.Errorf("answer = %s", w.Body)
			}
			if b.mustIssue(t, form, "DPoP", b.proof(bobKey, nil))["cnf"] == nil {
				t.Error("no cnf")
			}
		})
	}
	t.Run("DP-08 neither", func(t *testing.T) { newBound(t).mustIssue(t, good()) })
}

// A26: what a public client may exchange, and whose tokens say nothing.
func TestCA_13_BoundAndUnboundTokens(t *testing.T) {
	several := func(s *oauth.Subject) { s.Audience = append(s.Audience, "https://mail.bob.example") }
	unbound := func(s *oauth.Subject) { s.ClientID, s.Audience, s.Self, s.Unbound = "", nil, "", true }
	for name, tc := range map[string]struct {
		change     func(*oauth.Subject)
		bound, web bool
		proof      *josetest.Key
		code       string
	}{
		"CA-13 several audiences":                         {several, false, false, nil, oauth.CodeInvalidRequest},
		"CA-13 several audiences, proof of a bearer":      {several, false, false, &bobKey, oauth.CodeInvalidRequest},
		"CA-13 several audiences, bound":                  {several, true, false, &bobKey, ""},
		"CA-13 several audiences, bound, no proof":        {several, true, false, nil, oauth.CodeInvalidDPoPProof},
		"CA-13 several audiences, bound to another":       {several, true, false, &eveKey, oauth.CodeInvalidDPoPProof},
		"CA-13 unbound, public client":                    {unbound, false, false, nil, oauth.CodeInvalidRequest},
		"CA-13 unbound, public client with a proof":       {unbound, false, false, &bobKey, oauth.CodeInvalidRequest},
		"CA-13 unbound, confidential client":              {unbound, false, true, nil, ""},
		"CA-13 unbound, confidential client, foreign key": {unbound, true, true, &eveKey, oauth.CodeInvalidDPoPProof},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			form := good()
			if tc.web {
				form = webForm()
				b.users[bobToken] = b.bob("web")
			}
			s := b.users[bobToken]
			tc.change(&s)
			b.users[bobToken] = s
			if tc.bound {
				b.bind(jkt(t, bobKey))
			}
			var header []string
			if tc.proof != nil {
				header = []string{"DPoP", b.proof(*tc.proof, nil)}
			}
			if tc.code != "" {
				b.wantError(t, b.post(form, header...), http.StatusBadRequest, tc.code)
				return
			}
			if claims := b.mustIssue(t, form, header...); claims["act"] != nil {
				t.Errorf("act = %v", claims["act"])
			}
		})
	}
	t.Run("CA-02 unbound without a user", func(t *testing.T) {
		for _, change := range []func(*oauth.Subject){
			func(s *oauth.Subject) { s.ID = "" },
			func(s *oauth.Subject) { s.Expires = time.Time{} },
			func(s *oauth.Subject) { s.Email = "bob@alice.example" },
		} {
			b := newBench(t, nil)
			s := b.bob("")
			unbound(&s)
			change(&s)
			b.users[bobToken] = s
			b.wantError(t, b.post(webForm()), http.StatusBadRequest, oauth.CodeInvalidRequest)
		}
	})
}

func TestTX_11_MayAct(t *testing.T) {
	for name, tc := range map[string]struct {
		actor    bool   // the client has may_act
		issuedTo string // the token's client
		mayAct   string // the token's may_act
		act      bool
		ok       bool
	}{
		"TX-11 both say so":             {true, "app", "web", true, true},
		"TX-11 only the token":          {false, "app", "web", false, false},
		"TX-11 only the configuration":  {true, "app", "", false, false},
		"TX-11 the token names another": {true, "app", "caddy-uma", false, false},
		"TX-11 its own token":           {true, "web", "", false, true},
		"TX-11 its own, naming itself":  {true, "web", "web", false, true},
		"TX-11 its own, naming another": {true, "web", "app", false, true},
		"TX-11 a token of nobody":       {true, "", "web", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.cfg.Clients[1].MayAct = tc.actor
				s := b.bob(tc.issuedTo)
				s.MayAct = tc.mayAct
				s.Claims["act"] = map[string]any{"sub": "somebody"}
				b.users[bobToken] = s
			})
			if !tc.ok {
				b.wantError(t, b.post(webForm()), http.StatusBadRequest, oauth.CodeInvalidRequest)
				return
			}
			var want any
			issuedTo := ""
			if tc.act {
				want, issuedTo = map[string]any{"sub": "web"}, tc.issuedTo
			}
			claims := b.mustIssue(t, webForm())
			if d := cmp.Diff(want, claims["act"]); d != "" || b.events[0].IssuedTo != issuedTo {
				t.Errorf("act: %s, event %+v", d, b.events[0])
			}
		})
	}
	t.Run("TX-11 a token that was not made for this server", func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.cfg.Clients[1].MayAct = true
			s := b.bob("app")
			s.MayAct, s.Audience = "web", []string{"https://mail.bob.example"}
			b.users[bobToken] = s
		})
		b.wantError(t, b.post(webForm()), http.StatusBadRequest, oauth.CodeInvalidRequest)
	})
	t.Run("TX-11 a bound token without the key", func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.cfg.Clients[1].MayAct = true
			s := b.bob("app")
			s.MayAct, s.JKT = "web", jkt(t, bobKey)
			b.users[bobToken] = s
		})
		b.wantError(t, b.post(webForm()), http.StatusBadRequest, oauth.CodeInvalidDPoPProof)
		if got := b.mustIssue(t, webForm(), "DPoP", b.proof(bobKey, nil)); fmt.Sprint(got["act"], got["cnf"]) != fmt.Sprint(map[string]any{"sub": "web"}, map[string]any{"jkt": jkt(t, bobKey)}) {
			t.Errorf("claims = %v", got)
		}
	})
}
