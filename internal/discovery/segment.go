package discovery

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// segment is what look-ups share: places, and the look-ups that run. There are
// three: one for whatever a token names, one for people whom we do not know at
// domains where somebody had a grant, one for what led to a grant itself; the caches
// are divided into the first and the last. So 10000 invented domains make nobody
// wait whom we know, or who is new at a domain that we know (SEC-09).
type segment struct {
	walks  *flights
	budget *budget
	rates  *rates // nil: what is kept is bounded in number, and remembered
}

func newSegment(r *rates) segment {
	return segment{walks: newFlights(), budget: newBudget(), rates: r}
}

// segmentFor is the one for looking up an address.
func (f *Finder) segmentFor(a oauth.Address) *segment {
	switch {
	case f.addresses.isKept(a.String()):
		return &f.kept
	case f.places.has(a.Domain):
		return &f.near
	default:
		return &f.open
	}
}

// segmentOf is the one for a thing that led to a grant, or not.
func (f *Finder) segmentOf(kept bool) *segment {
	if kept {
		return &f.kept
	}
	return &f.open
}

// Confirm says that a token with this address and provider led to a grant. What
// they need is then remembered apart from what anybody can make us look up.
func (f *Finder) Confirm(a oauth.Address, found Found) {
	rule := f.Rule(a.Domain)
	if found.Issuer == "" || found.JWKSURI == "" || rule.Deny {
		return
	}
	f.addresses.keep(a.String())
	f.places.keep(a.Domain)
	f.issuers.keep(f.providerKey(rule, found.Issuer))
	f.known.keep(knownKey(a.Domain, found.Issuer))
	f.keysAt(rule, found.JWKSURI).Keep(found.JWKSURI)
	if found.Evidence == ByWebFinger {
		f.delegates.keep(a.Domain)
	}
}

// Signed is a signature that was found to be good: the key that made it, and the
// payload. It does not say whose key that is.
type Signed struct {
	Key     jose.PublicKey
	Payload json.RawMessage
}

// Try tells that a token for this address is forged, without any request: its iss
// is known for the address's domain, the keys of that issuer are in the cache, and
// the one that the token names did not sign it. Whatever else a look-up would find,
// it could not accept the token. false says nothing. A signature that it found to be
// good instead need not be checked a second time with the same key.
func (f *Finder) Try(ctx context.Context, a oauth.Address, token *jose.Token) (forged bool, good *Signed) {
	var claims struct {
		Issuer string `json:"iss"`
	}
	if token.Unverified(&claims) != nil || !f.known.has(knownKey(a.Domain, claims.Issuer)) {
		return false, nil
	}
	rule := f.Rule(a.Domain)
	p, err := f.issuers.get(f.providerKey(rule, claims.Issuer), nil)
	if err != nil {
		return false, nil
	}
	key, err := f.keysAt(rule, p.jwksURI).Known(p.jwksURI).Key(ctx, token.Header.KID, token.Header.Alg)
	if err != nil {
		return errors.Is(err, jose.ErrSignature), nil
	}
	signed := Signed{Key: key}
	if err := token.Verify(ctx, Only(key), jose.DefaultAlgs(), &signed.Payload); err != nil {
		return errors.Is(err, jose.ErrSignature), nil
	}
	return false, &signed
}

// Only is a key set of one key, which was looked up a moment ago: the set that it
// stems from may be another one by now.
func Only(key jose.PublicKey) jose.KeySet { return only{key} }

type only struct{ key jose.PublicKey }

// Key implements jose.KeySet.
func (o only) Key(context.Context, string, string) (jose.PublicKey, error) { return o.key, nil }

// knownKey: neither part has a space.
func knownKey(domain, issuer string) string { return domain + " " + issuer }
