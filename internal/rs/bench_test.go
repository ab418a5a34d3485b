package rs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// real changes the claims to those of an RPT as our authorization server makes it,
// with two released claims.
func real(n int) func(map[string]any) {
	return func(c map[string]any) {
		c["sub"] = fmt.Sprintf("u-%022d", n)
		c["jti"] = fmt.Sprintf("%027d.1", n)
		c["decision_id"] = fmt.Sprintf("%022d", n)
		c["email"] = fmt.Sprintf("somebody.%06d@bob.example", n)
		c["name"] = fmt.Sprintf("Somebody With A Name %06d", n)
		c["permissions"] = []any{map[string]any{"resource_id": "AAAAAAAAAAAAAAAAAAAAAA", "resource_scopes": []any{"get"}}}
	}
}

// newQuiet is a world for many checks.
func newQuiet(t testing.TB, change ...func(*rs.Config)) *world {
	t.Helper()
	w := &world{as: newAS(t), now: start}
	w.cfg = rs.Config{
		Issuer: issuer, ClientID: clientID, ClientSecret: "s", Now: func() time.Time { return w.now },
		AS: w.as.do, Observe: func(context.Context, event.Event) {},
	}
	w.as.status.now = func() time.Time { return w.cfg.Now() }
	w.as.tokens = map[string]map[string]any{}
	for _, c := range change {
		c(&w.cfg)
	}
	var err error
	if w.rs, err = rs.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) passes(t testing.TB, r *http.Request) {
	t.Helper()
	if g, f := w.rs.Check(r, rs.Target{Source: "192.0.2.1"}); g == nil {
		t.Fatalf("refusal = %+v", f)
	}
}

// BenchmarkWarm is a request whose RPT is remembered.
func BenchmarkWarm(b *testing.B) {
	for _, c := range []struct {
		name   string
		opaque bool
	}{{"local", false}, {"introspection", true}} {
		b.Run(c.name, func(b *testing.B) {
			w := newQuiet(b)
			w.cfg.Now = time.Now
			w.now = time.Now()
			var err error
			if w.rs, err = rs.New(w.cfg); err != nil {
				b.Fatal(err)
			}
			w.rs.Check(request(b, "GET", ""), rs.Target{})
			claims := func(c map[string]any) { real(1)(c); c["permissions"] = []any{permission("id-1", "get")} }
			token := "rpt_" + rand.Text() + rand.Text()
			w.as.tokens[token] = w.claims(claims)
			if !c.opaque {
				token = w.sign(b, claims)
			}
			r := request(b, "GET", token)
			w.passes(b, r)
			b.ReportAllocs()
			for b.Loop() {
				w.passes(b, r)
			}
		})
	}
}
