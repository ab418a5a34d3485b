package upstream

import (
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// claims are what a provider says of a token, whichever way it was read.
type claims struct {
	registered
	// all are the same with everything else, by name.
	all  map[string]any
	size int    // of what was read
	typ  string // of the JOSE header; "" = it was not a JWT that we read
}

// registered are the members that mean something to us (RFC 9068 §2.2, RFC 7662
// §2.2).
type registered struct {
	Issuer    string            `json:"iss"`
	Subject   string            `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
	ClientID  string            `json:"client_id"`
	Party     string            `json:"azp"`
	TokenType string            `json:"token_type"`
	// Confirmation is how a bound token is bound (RFC 7800 §3.1).
	Confirmation map[string]any `json:"cnf"`
	// MayAct is RFC 8693 §4.4.
	MayAct *actor `json:"may_act"`
}

type actor struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	ClientID string `json:"client_id"`
}

// parseClaims reads a JSON object strictly, twice: by type and by name.
func parseClaims(data []byte) (claims, error) {
	var c claims
	if err := oauth.DecodeObject(data, &c.registered); err != nil {
		return c, err
	}
	c.size = len(data)
	return c, oauth.DecodeObject(data, &c.all)
}

// protocol tells whether a member speaks of the token and not of its user.
func protocol(name string) bool {
	switch name {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "client_id", "scope", "scp", "typ", "token_type", "active",
		"cnf", "act", "may_act", "nonce", "at_hash", "c_hash", "s_hash", "sid", "session_state", "auth_time", "acr", "amr",
		"ticket_challenge":
		return true
	}
	return false
}

func (c claims) has(name string) bool {
	_, ok := c.all[name]
	return ok
}

func (c claims) text(name string) string {
	s, _ := c.all[name].(string)
	return s
}

// client is whom the token was issued to: client_id and azp are two names of it.
func (c claims) client() string {
	if c.ClientID != "" {
		return c.ClientID
	}
	return c.Party
}

// accessType is a typ without the prefix that may be left out (RFC 7515 §4.1.9).
func accessType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

func (u *Upstream) latest() time.Time { return u.cfg.Now().Add(u.cfg.Leeway) }
