package rs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestDP_06_ProofsAreGoodOnce(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Proofs = dpop.NewReplays(64, c.Now)
	})
	w.status("GET", "")
	mine, other := newHolder(t, "ES256"), newHolder(t, "ES256")
	token := w.bound(mine)
	proof := w.proof(mine, token, nil, nil)
	pass := func(t *testing.T, want bool, token, proof string) *rs.Refusal {
		t.Helper()
		g, f := w.present("DPoP", token, proof)
		if (g != nil) != want {
			t.Errorf("passes = %v, want %v: %+v", g != nil, want, f)
		}
		return f
	}
	pass(t, true, token, proof)
	refusedAs(t, pass(t, false, token, proof), "DPoP", "invalid_dpop_proof")
	t.Run("DP-06 after a reload", func(t *testing.T) {
		w.restart()
		w.status("GET", "")
		pass(t, false, w.bound(mine), proof)
		pass(t, false, token, proof)
	})
	t.Run("DP-06 what fails is not remembered", func(t *testing.T) {
		again := w.proof(mine, token, nil, nil)
		pass(t, false, w.bound(other), again)
		pass(t, false, token[:len(token)-2], again)
		pass(t, true, token, again)
	})
	t.Run("DP-06 a full table refuses", func(t *testing.T) {
		left := 40
		for ; left > 0; left-- {
			g, f := w.present("DPoP", token, w.proof(mine, token, nil, nil))
			if g == nil {
				if f.Status != http.StatusTooManyRequests { // one party fills a part of it
					t.Errorf("refusal = %+v, want 429", f)
				}
				break
			}
		}
		if left == 0 {
			t.Fatal("one party took 40 of 64")
		}
		pass(t, false, token, proof) // not evicted
		full := 0
		for i := range 100 { // others
			token := w.bound(mine, set("sub", fmt.Sprint("u-", i+2)))
			if g, f := w.present("DPoP", token, w.proof(mine, token, nil, nil)); g == nil && f.Status == http.StatusServiceUnavailable {
				full++
			}
		}
		if full == 0 {
			t.Error("never full")
		}
		pass(t, false, token, proof)
		w.now = w.now.Add(2*time.Minute + time.Second)
		pass(t, true, token, w.proof(mine, token, nil, nil)) // a window later
	})
}

// nonceKeys are one key for all nodes, or none.
type nonceKeys struct{ err error }

func (k nonceKeys) Current(context.Context) (id [4]byte, key [32]byte, err error) {
	return [4]byte{1}, [32]byte{1}, k.err
}

func (k nonceKeys) Find(_ context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	return [32]byte{1}, id == [4]byte{1}, k.err
}

func TestDP_05_Nonces(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.DPoPNonces, c.NonceKeys = true, nonceKeys{} })
	w.status("GET", "")
	mine := newHolder(t, "ES256")
	token := w.bound(mine)
	tickets := w.as.count("POST /permission")
	ask := func(t *testing.T, claims map[string]any) string {
		t.Helper()
		_, f := w.present("DPoP", token, w.proof(mine, token, nil, claims))
		if f == nil || f.Status != http.StatusUnauthorized {
			t.Fatalf("%+v, want 401", f)
		}
		want := []string{`DPoP algs="ES256 ES384 RS256 PS256 EdDSA", error="use_dpop_nonce"`}
		if diff := cmp.Diff(want, f.Header.Values("WWW-Authenticate")); diff != "" {
			t.Errorf("challenge (-want +got):\n%s", diff)
		}
		if len(f.Header.Values("DPoP-Nonce")) != 1 || f.Header.Get("DPoP-Nonce") == "" || f.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("header = %v", f.Header)
		}
		return f.Header.Get("DPoP-Nonce")
	}
	nonce := ask(t, nil)
	with := func(nonce string) map[string]any { return map[string]any{"nonce": nonce} }
	if g, f := w.present("DPoP", token, w.proof(mine, token, nil, with(nonce))); g == nil {
		t.Fatalf("with the nonce: %+v", f)
	}
	ask(t, with(nonce+"x"))
	ask(t, with("x"))
	if got := w.as.count("POST /permission"); got != tickets {
		t.Errorf("A31: %d tickets for a nonce", got-tickets)
	}
	t.Run("DP-05 another node takes it", func(t *testing.T) {
		w.restart()
		w.status("GET", "")
		if g, f := w.present("DPoP", token, w.proof(mine, token, nil, with(nonce))); g == nil {
			t.Errorf("%+v", f)
		}
	})
	t.Run("DP-05 too old", func(t *testing.T) {
		w.now = w.now.Add(dpop.NonceLifetime - time.Second)
		if g, f := w.present("DPoP", token, w.proof(mine, token, nil, with(nonce))); g == nil {
			t.Errorf("a second before: %+v", f)
		}
		w.now = w.now.Add(time.Second)
		ask(t, with(nonce))
	})
	t.Run("DP-05 of another server", func(t *testing.T) {
		nonce := ask(t, nil)
		w.cfg.ClientID = "other"
		w.restart()
		w.status("GET", "")
		ask(t, with(nonce))
	})
	t.Run("DP-05 without keys", func(t *testing.T) {
		w.cfg.NonceKeys = nonceKeys{errors.New("no storage")}
		w.restart()
		w.status("GET", "")
		for _, claims := range []map[string]any{nil, with(nonce)} {
			if _, f := w.present("DPoP", token, w.proof(mine, token, nil, claims)); f == nil || f.Status != http.StatusServiceUnavailable {
				t.Errorf("%+v, want 503", f)
			}
		}
	})
}
