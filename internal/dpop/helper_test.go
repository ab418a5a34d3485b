package dpop_test

import (
	"context"
	"crypto/ed25519"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

const tokenURI = "https://as.alice.example/uma/token"

var (
	key     = josetest.NewKey("ES256", "")
	request = dpop.Expect{Method: "POST", URI: tokenURI, Source: "192.0.2.1"}
	// fixed is the same in every process of a fuzz run.
	fixed = josetest.Key{Alg: "EdDSA", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}
)

// bench is a verifier with a clock that tests move.
type bench struct {
	t        testing.TB
	now      time.Time
	verifier *dpop.Verifier
	replays  *dpop.Replays
}

func newBench(t testing.TB, edits ...func(*dpop.Config)) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Unix(1800000000, 0)}
	b.replays = dpop.NewReplays(0, b.clock)
	cfg := dpop.Config{Replays: b.replays, Now: b.clock}
	for _, edit := range edits {
		edit(&cfg)
	}
	var err error
	if b.verifier, err = dpop.New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) clock() time.Time { return b.now }

// proof is a good one of a key with a jti of its own, but for the edits (nil
// removes a member).
func (b *bench) proof(key josetest.Key, header, claims map[string]any) string {
	allClaims := map[string]any{"jti": random(), "htm": "POST", "htu": tokenURI, "iat": b.now.Unix()}
	allHeader := map[string]any{"kid": nil, "typ": "dpop+jwt", "jwk": public(key, nil)}
	edit(allClaims, claims)
	maps.Copy(allHeader, header)
	return key.Sign(allHeader, allClaims)
}

func edit(all, edits map[string]any) {
	for name, value := range edits {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
}

func public(key josetest.Key, edits map[string]any) map[string]any {
	all := key.JWK(map[string]any{"kid": nil, "alg": nil, "use": nil})
	edit(all, edits)
	return all
}

func (b *bench) verify(e dpop.Expect, proofs ...string) (dpop.Proof, error) {
	return b.verifier.Verify(b.t.Context(), http.Header{"Dpop": proofs}, e)
}

func jkt(t testing.TB, key josetest.Key) string {
	t.Helper()
	text, err := jose.Thumbprint(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// oneNonce takes one nonce, or fails.
type oneNonce struct {
	nonce string
	err   error
}

func (n oneNonce) New(context.Context) (string, error) { return n.nonce, n.err }

func (n oneNonce) Check(_ context.Context, nonce string) error {
	if n.err == nil && nonce != n.nonce {
		return dpop.ErrNonce
	}
	return n.err
}
