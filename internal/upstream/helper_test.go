package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

const self = "https://sts.bob.example"

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a provider and the clock of who asks it.
type world struct {
	t  *testing.T
	op *fakeop.OP
	*clock
}

func newWorld(t *testing.T, cfg fakeop.Config) *world {
	t.Helper()
	w := &world{t, fakeop.New(t, cfg), newClock()}
	w.op.Edit(func(doc map[string]any) {
		doc["introspection_endpoint"], doc["userinfo_endpoint"] = w.op.Issuer+"/introspect", w.op.Issuer+"/userinfo"
	})
	return w
}

func (w *world) config() upstream.Config {
	return upstream.Config{
		Issuer: w.op.Issuer, Self: self, Domains: []string{"bob.example"}, Leeway: time.Minute, Now: w.Now,
		HTTP: outbound.NewNamed(outbound.Config{ConnectTo: w.op.ConnectTo(), Roots: w.op.Roots, Timeout: 30 * time.Second}),
	}
}

func (w *world) upstream(edit func(*upstream.Config)) *upstream.Upstream {
	w.t.Helper()
	cfg := w.config()
	if edit != nil {
		edit(&cfg)
	}
	u, err := upstream.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// claims of a good RFC 9068 token, with changes; nil removes one.
func (w *world) claims(changes map[string]any) map[string]any {
	return changed(map[string]any{
		"sub": "bob", "aud": self, "client_id": "caddy-uma", "email": "bob@bob.example", "email_verified": true, "groups": []string{"staff"},
		"iat": w.Now().Unix(), "exp": w.Now().Add(10 * time.Minute).Unix(), "jti": "1",
	}, changes)
}

func changed(all, changes map[string]any) map[string]any {
	all = maps.Clone(all)
	for name, value := range changes {
		all[name] = value
		if value == nil && name != "iss" {
			delete(all, name)
		}
	}
	return all
}

func (w *world) introspects(answer func(token string) map[string]any) {
	w.op.Misbehave("/introspect", func(rw http.ResponseWriter, r *http.Request) {
		fakeop.JSON("application/json", answer(r.PostFormValue("token")))(rw, r)
	})
}

// recorded is a token as a vendor documents it.
func recorded(t *testing.T, name string) (claims map[string]any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

type resolver interface {
	Resolve(context.Context, string) (oauth.Subject, error)
}

// refused wants ErrSubjectToken with a reason.
func refused(t *testing.T, u resolver, token, reason string) {
	t.Helper()
	s, err := u.Resolve(t.Context(), token)
	if !errors.Is(err, oauth.ErrSubjectToken) || !strings.Contains(err.Error(), reason) {
		t.Errorf("Resolve = %+v, %v, want %q", s, err, reason)
	}
	if s.ID != "" {
		t.Errorf("a refused token has the subject %q", s.ID)
	}
}

// unknown wants an error that says nothing of the token.
func unknown(t *testing.T, u resolver, token string) {
	t.Helper()
	if s, err := u.Resolve(t.Context(), token); err == nil || errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("Resolve = %+v, %v, want another error", s, err)
	} else if strings.Contains(err.Error(), token) {
		t.Errorf("the error shows the token: %v", err)
	}
}

func accepted(t *testing.T, u resolver, token string) oauth.Subject {
	t.Helper()
	s, err := u.Resolve(t.Context(), token)
	if err != nil {
		t.Errorf("Resolve = %v", err)
	}
	return s
}
