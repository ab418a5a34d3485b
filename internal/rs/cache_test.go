package rs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestAT_05_CachedTokenDiesWithItsKey(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	token := w.rpt(set("exp", w.now.Add(50*time.Minute).Unix()))
	for i, want := range []string{"local", "cache"} {
		if got := w.status("GET", token); got != 200 {
			t.Fatalf("status = %d, want 200", got)
		}
		if got := w.events[i].Source; got != want {
			t.Errorf("source %d = %s, want %s", i, got, want)
		}
	}
	w.now = w.now.Add(16 * time.Minute) // the key set is read again
	if got := w.status("GET", token); got != 200 {
		t.Fatalf("with its key = %d, want 200", got)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.as.set(func() { w.as.keys = map[string]*ecdsa.PrivateKey{"k2": other} })
	w.now = w.now.Add(16 * time.Minute)
	if got := w.status("GET", token); got != 401 {
		t.Errorf("without its key = %d, want 401", got)
	}
}

func TestAT_05_CachedTokenDiesWhenItsKidGetsAnotherKey(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	token := w.rpt(set("exp", w.now.Add(50*time.Minute).Unix()))
	if got := w.status("GET", token); got != 200 {
		t.Fatalf("status = %d, want 200", got)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.as.set(func() { w.as.keys["k1"] = other })
	w.now = w.now.Add(16 * time.Minute)
	if got := w.status("GET", token); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
}

func TestAT_05_CacheIsBounded(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Cache = 1 })
	w.status("GET", "")
	a, b := w.rpt(set("jti", "a")), w.rpt(set("jti", "b"))
	for _, token := range []string{a, b, a} {
		if got := w.status("GET", token); got != 200 {
			t.Fatalf("status = %d, want 200", got)
		}
	}
	for i, e := range w.events {
		if e.Source != "local" {
			t.Errorf("check %d came from %s, want local", i, e.Source)
		}
	}
}

func TestKeysUnreachable_FailsClosed(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	token := w.rpt()
	w.as.set(func() { w.as.down = true })
	_, f := w.check("GET", token)
	if f.Status != 503 && f.Status != 403 || f.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("refusal = %+v, want 503 or 403 without a challenge", f)
	}
	if e := w.events[len(w.events)-1]; e.Outcome == event.Granted {
		t.Errorf("event = %+v", e)
	}
}
