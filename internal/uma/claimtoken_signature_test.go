package uma_test

import (
	"errors"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// A signature that was found to be good before the look-up counts only for the key
// that made it: what the provider's keys are now decides.
func TestSignatureIsCheckedWithTheKeyOfNow(t *testing.T) {
	before, now := josetest.NewKey("ES256", "k1"), josetest.NewKey("ES256", "k1")
	token, err := jose.Parse(before.Sign(map[string]any{"typ": "ca-claims+jwt"}, map[string]any{"iss": "https://bob.example"}), 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	const seen = `{"seen":"before the look-up"}`
	tried := &discovery.Signed{Key: before.Public(), Payload: []byte(seen)}
	for name, tc := range map[string]struct {
		keys  jose.KeySet
		tried *discovery.Signed
		want  string
		err   error
	}{
		"not tried":           {before, nil, `{"iss":"https://bob.example"}`, nil},
		"tried, the same key": {before, tried, seen, nil},
		"another key by the same name, tried with the old one": {now, tried, "", jose.ErrSignature},
		"another key, not tried":                               {now, nil, "", jose.ErrSignature},
		"no such key any more":                                 {josetest.NewKey("ES256", "k2"), tried, "", jose.ErrNoKey},
	} {
		payload, err := uma.CheckSignature(t.Context(), token, tc.keys, tc.tried)
		if !errors.Is(err, tc.err) || err == nil && payload != tc.want {
			t.Errorf("%s: %s, %v, want %s, %v", name, payload, err, tc.want, tc.err)
		}
	}
}
