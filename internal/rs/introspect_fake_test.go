package rs_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

const typIntrospection = "token-introspection+jwt"

// serveIntrospect answers as RFC 7662 says, signed if the server signs.
func (a *fakeAS) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		a.t.Errorf("introspection request: %v", err)
	}
	a.asked = append(a.asked, r)
	token := r.PostForm.Get("token")
	switch {
	case a.introspect != nil:
		a.introspect(w, token)
	case a.signs:
		a.answerSigned(w, a.envelope(a.describe(token)))
	default:
		a.json(w, 200, a.describe(token))
	}
}

func (a *fakeAS) describe(token string) map[string]any {
	all, known := a.tokens[token]
	if !known {
		return map[string]any{"active": false}
	}
	all = maps.Clone(all)
	all["active"] = true
	return all
}

func (a *fakeAS) envelope(description any) map[string]any {
	return map[string]any{"iss": issuer, "aud": resource, "iat": start.Unix(), "token_introspection": description}
}

func (a *fakeAS) answerSigned(w http.ResponseWriter, envelope map[string]any) {
	a.answerJWT(w, sign(a.t, a.keys["k1"], map[string]any{"alg": "ES256", "kid": "k1", "typ": typIntrospection}, envelope))
}

func (a *fakeAS) answerJWT(w http.ResponseWriter, compact string) {
	w.Header().Set("Content-Type", "application/"+typIntrospection)
	_, _ = fmt.Fprint(w, compact)
}

// newAsking is a world whose authorization server introspects.
func newAsking(t *testing.T, change ...func(*rs.Config)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.as.tokens = map[string]map[string]any{}
	w.status("GET", "")
	return w
}

func introspecting(c *rs.Config) { c.Introspect = true }

// opaque makes a token that the authorization server knows.
func (w *world) opaque(name string, change ...func(map[string]any)) string {
	token := "rpt_" + name
	w.as.set(func() { w.as.tokens[token] = w.claims(change...) })
	return token
}

// sources are where the checks so far came from.
func (w *world) sources() []string {
	var all []string
	for _, e := range w.events {
		all = append(all, e.Source)
	}
	return all
}
