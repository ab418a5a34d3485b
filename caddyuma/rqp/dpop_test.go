package rqp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// bound makes the servers of a world take bound tokens only.
type bound struct {
	*world
	proofs *dpop.Verifier
	seq    int
	nonce  string // demanded by AS and RS; "" = none
	mu     sync.Mutex
	keys   map[string]string // server -> thumbprint of the last good proof
	jkt    map[string]string // RPT -> thumbprint
}

func newBound(t *testing.T) *bound {
	t.Helper()
	b := &bound{world: newWorld(t), keys: map[string]string{}, jkt: map[string]string{}}
	var err error
	if b.proofs, err = dpop.New(dpop.Config{Replays: dpop.NewReplays(0, time.Now), Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	exchange := b.exchange
	b.on(sts+"/token", func(rw http.ResponseWriter, r *http.Request) {
		if _, ok := b.proven(rw, r, sts+"/token", "", ""); ok {
			exchange(rw, r)
		}
	})
	b.on(rs+"/", b.serveResource)
	b.on(as+"/token", b.serveToken)
	return b
}

// proven checks the proof of a request; false: it has answered.
func (b *bound) proven(rw http.ResponseWriter, r *http.Request, uri, token, jkt string) (string, bool) {
	proof, err := b.proofs.Verify(r.Context(), r.Header, dpop.Expect{Method: r.Method, URI: uri, AccessToken: token, JKT: jkt})
	if err != nil {
		b.t.Errorf("%s: %v", uri, err)
		rw.WriteHeader(http.StatusBadRequest)
		return "", false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys[uri] = proof.JKT
	return proof.JKT, true
}

func nonceOf(r *http.Request) string {
	var c struct{ Nonce string }
	parts := strings.Split(r.Header.Get("DPoP"), ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &c)
	}
	return c.Nonce
}

func (b *bound) serveToken(rw http.ResponseWriter, r *http.Request) {
	if nonceOf(r) != b.nonce {
		rw.Header().Set("DPoP-Nonce", b.nonce)
		oauth.WriteError(rw, oauth.Errorf(oauth.CodeUseDPoPNonce, "nonce"))
		return
	}
	jkt, ok := b.proven(rw, r, as+"/token", "", "")
	if !ok {
		return
	}
	b.mu.Lock()
	b.seq++
	token := fmt.Sprintf("bound-rpt-secret-%d", b.seq)
	b.jkt[token] = jkt
	b.mu.Unlock()
	oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: token, TokenType: "DPoP", ExpiresIn: 60})
}

func (b *bound) serveResource(rw http.ResponseWriter, r *http.Request) {
	token, isBound := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	b.mu.Lock()
	jkt := b.jkt[token]
	b.mu.Unlock()
	switch {
	case !isBound || jkt == "":
		rw.Header().Add("WWW-Authenticate", fmt.Sprintf(`UMA as_uri="%s", ticket="%s"`, as, b.ticket()))
		rw.Header().Add("WWW-Authenticate", `DPoP algs="ES256"`)
		rw.WriteHeader(401)
	case nonceOf(r) != b.nonce:
		rw.Header().Set("WWW-Authenticate", `DPoP algs="ES256", error="use_dpop_nonce"`)
		rw.Header().Set("DPoP-Nonce", b.nonce)
		rw.WriteHeader(401)
	default:
		if _, ok := b.proven(rw, r, rs+r.URL.Path, token, jkt); ok {
			_, _ = fmt.Fprint(rw, "hello "+r.Method)
		}
	}
}

func withDPoP(cfg *rqp.Config) { cfg.DPoP = true }

func TestDP_03_ClientProvesItsKey(t *testing.T) {
	b := newBound(t)
	c := b.client(withDPoP)
	for _, request := range [][2]string{{"POST", "/x?q=1"}, {"GET", "/y"}, {"GET", "/y"}} {
		if got, err := b.do(c, request[0], rs+request[1], ""); got != "200 hello "+request[0] || err != nil {
			t.Fatalf("%v: %q, %v", request, got, err)
		}
	}
	if n := len(b.at(as + "/token")); n != 1 {
		t.Errorf("%d RPTs for three requests, want 1", n)
	}
	// CONFORMANCE DP-07: the key of the claims token is that of the RPT.
	if first := b.keys[sts+"/token"]; first == "" || first != b.keys[as+"/token"] || first != b.keys[rs+"/y"] {
		t.Errorf("keys = %v, want one", b.keys)
	}
	t.Run("another authorization server sees another key", func(t *testing.T) {
		b.resourceDoc(evil, "", evil, otherAS)
		b.on(evil+"/", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`UMA as_uri="%s", ticket="%s"`, otherAS, b.ticket()))
			rw.WriteHeader(401)
		})
		b.on(otherAS+"/token", func(rw http.ResponseWriter, r *http.Request) {
			_, _ = b.proven(rw, r, otherAS+"/token", "", "")
			oauth.WriteError(rw, oauth.Errorf(oauth.CodeRequestDenied, "no"))
		})
		_, _ = b.do(c, "GET", evil+"/", "")
		if got := b.keys[otherAS+"/token"]; got == "" || got == b.keys[as+"/token"] {
			t.Errorf("keys = %v", b.keys)
		}
	})
}

// One retry at each server, with the same ticket.
func TestDP_05_ClientRepeatsWithTheNonce(t *testing.T) {
	b := newBound(t)
	b.nonce = "n-1"
	c := b.client(withDPoP)
	if got, err := b.do(c, "POST", rs+"/x", "data"); got != "200 hello POST" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	grants := b.at(as + "/token")
	if len(grants) != 2 || grants[0].form.Get("ticket") != grants[1].form.Get("ticket") || grants[0].form.Get("ticket") == "" {
		t.Errorf("grants = %v, want two with one ticket", grants)
	}
	hits := b.at(rs + "/x")
	if len(hits) != 3 || hits[1].body != "data" || hits[2].body != "data" || b.tickets != 1 {
		t.Errorf("requests = %v, %d tickets, want three and one", hits, b.tickets)
	}
	t.Run("DP-05 the nonce is used at once next time", func(t *testing.T) {
		if got, err := b.do(c, "GET", rs+"/y", ""); got != "200 hello GET" || err != nil || len(b.at(rs+"/y")) != 1 {
			t.Errorf("%q, %v, %d requests", got, err, len(b.at(rs+"/y")))
		}
	})
	t.Run("DP-05 and the next one is learned", func(t *testing.T) {
		b.nonce = "n-2"
		if got, err := b.do(c, "GET", rs+"/z", ""); got != "200 hello GET" || err != nil || len(b.at(rs+"/z")) != 2 {
			t.Errorf("%q, %v, %d requests", got, err, len(b.at(rs+"/z")))
		}
	})
	t.Run("DP-05 a server that wants ever another one", func(t *testing.T) {
		n := 0
		b.on(rs+"/loop", func(rw http.ResponseWriter, _ *http.Request) {
			n++
			rw.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			rw.Header().Set("DPoP-Nonce", fmt.Sprint("loop-", n))
			rw.WriteHeader(401)
		})
		if got, err := b.do(c, "GET", rs+"/loop", ""); !strings.HasPrefix(got, "401") || err != nil || n != 2 {
			t.Errorf("%q, %v after %d requests, want 401 after 2", got, err, n)
		}
	})
}

func TestDP_02_ClientTakesWhatItAskedFor(t *testing.T) {
	t.Run("DP-02 a bearer token instead of a bound one", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.do(w.client(withDPoP), "GET", rs+"/", "")
		step, ok := errors.AsType[*rqp.StepError](err)
		if !ok || step.Code != rqp.CodeBadAnswer || step.Step != 6 || len(w.at(rs+"/")) != 1 {
			t.Errorf("%v", err)
		}
	})
	t.Run("DP-02 a bound one that nobody asked for", func(t *testing.T) {
		b := newBound(t)
		b.on(sts+"/token", b.exchange)
		b.on(as+"/token", func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "bound-rpt-secret-1", TokenType: "DPoP"})
		})
		_, err := b.do(b.client(nil), "GET", rs+"/", "")
		if step, ok := errors.AsType[*rqp.StepError](err); !ok || step.Code != rqp.CodeBadAnswer {
			t.Errorf("%v", err)
		}
	})
}

func TestSEC_14_ClientNamesTheCure(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*bound)
		spent int // tickets presented
	}{
		"by the metadata": {func(b *bound) {
			b.doc(rs, "oauth-protected-resource", map[string]any{
				"resource": rs, "authorization_servers": []string{as}, "dpop_bound_access_tokens_required": true,
			})
		}, 0},
		"by the resource": {func(b *bound) {
			b.on(as+"/token", func(rw http.ResponseWriter, _ *http.Request) {
				oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "bearer-rpt", TokenType: "Bearer"})
			})
		}, 1},
		"by the authorization server": {func(b *bound) {
			b.on(as+"/token", func(rw http.ResponseWriter, _ *http.Request) {
				oauth.WriteError(rw, oauth.Errorf(oauth.CodeInvalidDPoPProof, "send a proof"))
			})
		}, 1},
		"by the STS": {func(b *bound) {
			b.on(sts+"/token", func(rw http.ResponseWriter, _ *http.Request) {
				oauth.WriteError(rw, oauth.Errorf(oauth.CodeInvalidDPoPProof, "send a proof"))
			})
		}, 0},
	} {
		t.Run("SEC-14 "+name, func(t *testing.T) {
			b := newBound(t)
			b.on(sts+"/token", b.exchange)
			c.edit(b)
			_, err := b.do(b.client(nil), "GET", rs+"/", "")
			if err == nil || !strings.Contains(err.Error(), "--dpop") {
				t.Errorf("%v, want --dpop named", err)
			}
			if n := len(b.at(as + "/token")); n != c.spent {
				t.Errorf("%d tickets spent, want %d", n, c.spent)
			}
		})
	}
}

// The proof is made for the token that is sent (RFC 9449 §4.2).
func TestDP_03_ClientHashesTheToken(t *testing.T) {
	b := newBound(t)
	var ath string
	serve := b.serveResource
	b.on(rs+"/h", func(rw http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); ok {
			sum := sha256.Sum256([]byte(token))
			ath = base64.RawURLEncoding.EncodeToString(sum[:])
			payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(r.Header.Get("DPoP"), ".")[1])
			if !strings.Contains(string(payload), ath) {
				t.Errorf("ath is not in %s", payload)
			}
		}
		serve(rw, r)
	})
	if got, err := b.do(b.client(withDPoP), "GET", rs+"/h", ""); got != "200 hello GET" || err != nil || ath == "" {
		t.Errorf("%q, %v", got, err)
	}
}
