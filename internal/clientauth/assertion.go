package clientauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	// maxAssertion is the longest assertion in bytes.
	maxAssertion = 16 << 10
	// maxAhead is how far ahead its expiry may lie: so long must it be remembered.
	maxAhead = 5 * time.Minute
)

// types of an assertion's header: the general one, and the one of its own
// (rfc7523bis §4). A token with another typ is made for something else (RFC 8725
// §3.11, CONFORMANCE OA-18).
var types = []string{"", "JWT", "client-authentication+jwt"}

// claims of an assertion (RFC 7523 §3).
type claims struct {
	Issuer    string            `json:"iss"`
	Subject   string            `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
	ID        string            `json:"jti"`
}

// Identify gives the client_id that a request is about. With private_key_jwt it
// need not be sent (RFC 7521 §4.2): then it is the assertion's sub, which nobody
// has verified yet. "" = it says none.
func Identify(creds oauth.Credentials) string {
	if creds.ClientID != "" || creds.Method != oauth.AuthPrivateKeyJWT {
		return creds.ClientID
	}
	token, err := jose.Parse(creds.Assertion, maxAssertion)
	if err != nil {
		return ""
	}
	var c claims
	if err := token.Unverified(&c); err != nil {
		return ""
	}
	return c.Subject
}

// verifyAssertion is private_key_jwt. Whether the client is known or not, the
// assertion is read, a signature is checked and the claims are compared.
func (a *Authenticator) verifyAssertion(ctx context.Context, client Client, creds oauth.Credentials) (bool, error) {
	token, err := jose.Parse(creds.Assertion, maxAssertion)
	if err != nil || creds.AssertionType != oauth.AssertionTypeJWT || !slices.Contains(types, token.Header.Typ) {
		return false, nil //nolint:nilerr // one answer to whatever is wrong
	}
	var c claims
	err = a.verifySignature(ctx, client, token, &c)
	if errors.Is(err, jose.ErrKeySource) {
		return false, oauth.Unavailable(err)
	}
	mayUse := client.ID != "" && !client.Public && !client.Disabled && client.takes(oauth.AuthPrivateKeyJWT)
	if err != nil || !mayUse || !a.accepts(c, client.ID) {
		return false, nil //nolint:nilerr // one answer to whatever is wrong
	}
	// The last step: what is not otherwise good takes no place.
	until := c.Expires.Time().Add(a.cfg.Leeway)
	if fresh, err := a.used.use(client.ID, c.ID, until, a.cfg.Now()); err != nil || !fresh {
		return false, err
	}
	return a.record(ctx, client.ID, c.ID, until)
}

// verifySignature uses the client's key, or a decoy of ours if there is none: an
// unknown client costs as much time as a known one (CONFORMANCE SEC-25).
func (a *Authenticator) verifySignature(ctx context.Context, client Client, token *jose.Token, c *claims) error {
	err := jose.ErrNoKey
	if keys := a.keys(client); keys != nil {
		err = token.Verify(ctx, keys, jose.DefaultAlgs(), c)
	}
	if errors.Is(err, jose.ErrNoKey) {
		_ = token.Verify(ctx, a.decoy, jose.DefaultAlgs(), &claims{}) // for the time alone
	}
	return err
}

// accepts holds RFC 7523 §3: issuer and subject are the client, we are the only
// audience (CONFORMANCE A34), the end is near, and there is an id.
func (a *Authenticator) accepts(c claims, clientID string) bool {
	now := a.cfg.Now()
	switch {
	case c.Issuer != clientID, c.Subject != clientID, c.ID == "":
		return false
	case len(c.Audience) != 1 || c.Audience[0] != a.cfg.Issuer:
		return false
	case c.Expires == nil:
		return false
	case !now.Before(c.Expires.Time().Add(a.cfg.Leeway)), c.Expires.Time().After(now.Add(maxAhead + a.cfg.Leeway)):
		return false
	}
	latest := now.Add(a.cfg.Leeway)
	return !after(c.IssuedAt, latest) && !after(c.NotBefore, latest)
}

func after(date *jose.NumericDate, latest time.Time) bool {
	return date != nil && date.Time().After(latest)
}
