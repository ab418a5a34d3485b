package rs

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxRPT bounds an RPT in bytes.
const maxRPT = 16 << 10

// maxClaim bounds a released claim in bytes: it ends in a header field.
const maxClaim = 1024

// rptClaims is what an RPT says (RFC 9068 §2.2, UMA Fed §5.1.1).
type rptClaims struct {
	Issuer      string             `json:"iss"`
	Subject     string             `json:"sub"`
	Audience    jose.Audience      `json:"aud"`
	Expires     jose.NumericDate   `json:"exp"`
	IssuedAt    jose.NumericDate   `json:"iat"`
	NotBefore   jose.NumericDate   `json:"nbf"`
	ID          string             `json:"jti"`
	ClientID    string             `json:"client_id"`
	DecisionID  string             `json:"decision_id"`
	Confirm     *confirmation      `json:"cnf"`
	Permissions []oauth.Permission `json:"permissions"`

	released map[string]string
}

// tokenError says why a token is no RPT for us; reason is for the log. It is one
// of the sentences below and never text of the token.
type tokenError struct {
	reason string
	cause  error
}

func (e *tokenError) Error() string { return e.reason }
func (e *tokenError) Unwrap() error { return e.cause }

func bad(reason string) error { return &tokenError{reason: reason} }

var errInsufficient = errors.New("the RPT lacks a permission")

// isAccessToken compares media types, which have no case (RFC 9068 §2.1, §4:
// at+jwt or application/at+jwt). ID tokens, claims tokens and proofs have
// another typ or none (CONFORMANCE AT-06).
func isAccessToken(typ string) bool {
	typ = strings.ToLower(typ)
	return typ == oauth.TypAccessToken || typ == "application/"+oauth.TypAccessToken
}

// check does every check of RFC 9068 §4 but the signature's. It is done again
// each time a remembered token is used.
func (c *rptClaims) check(cfg *Config, audience string) error {
	now, leeway := cfg.Now(), cfg.Leeway
	switch {
	case c.Issuer != cfg.Issuer:
		return bad("foreign issuer")
	case !slices.Contains(c.Audience, audience): // CONFORMANCE SEC-14: an RPT for another RS
		return bad("made for another audience")
	case c.Subject == "", c.ClientID == "", c.ID == "":
		return bad("lacks sub, client_id or jti")
	case c.Subject == c.ClientID: // RFC 9068 §5: a token of a client for itself, such as a PAT
		return bad("speaks of a client")
	case len(c.Permissions) == 0:
		return bad("has no permissions")
	}
	return c.checkTimes(now, leeway, cfg.MaxRPTLifetime)
}

func (c *rptClaims) checkTimes(now time.Time, leeway, longest time.Duration) error {
	switch {
	case c.Expires == 0 || c.IssuedAt == 0:
		return bad("lacks exp or iat")
	case !now.Before(c.Expires.Time().Add(leeway)):
		return bad("has expired")
	case c.IssuedAt.Time().After(now.Add(leeway)):
		return bad("is of the future")
	case c.NotBefore.Time().After(now.Add(leeway)):
		return bad("is not valid yet")
	case c.Expires <= c.IssuedAt, c.Expires.Time().Sub(c.IssuedAt.Time()) > longest:
		return bad("lives too long")
	}
	return nil
}

// grants tells whether the permissions that are in force now cover all wants
// (CONFORMANCE UF-31: outside its own window a permission counts as absent; the
// window of the token is checked besides and so wins where it is narrower).
func (c *rptClaims) grants(wants []want, ids []string, now time.Time, leeway time.Duration) bool {
	for _, w := range wants {
		scopes := c.scopesOf(ids[w.index], now, leeway)
		for _, scope := range w.scopes {
			if !slices.Contains(scopes, scope) {
				return false
			}
		}
	}
	return true
}

func (c *rptClaims) scopesOf(id string, now time.Time, leeway time.Duration) []string {
	var scopes []string
	for _, p := range c.Permissions {
		if id == "" || p.ResourceID != id || !inWindow(p, now, leeway) {
			continue
		}
		for _, scope := range p.ResourceScopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

func inWindow(p oauth.Permission, now time.Time, leeway time.Duration) bool {
	switch {
	case p.Expires != 0 && !now.Before(time.Unix(p.Expires, 0).Add(leeway)),
		p.NotBefore != 0 && time.Unix(p.NotBefore, 0).After(now.Add(leeway)),
		p.IssuedAt != 0 && time.Unix(p.IssuedAt, 0).After(now.Add(leeway)):
		return false
	}
	return true
}

// reserved claims are the token's own; they are not released ones.
var reserved = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "permissions", "cnf", "status",
	"decision_id", "id", "issuer", "resource", "scopes", "act", "may_act", "auth_time", "acr", "amr", "azp", "nonce",
}

// released picks the string claims that may become placeholders; dropped are
// the names of those whose value must not (CONFORMANCE SEC-19).
func released(all map[string]any) (claims map[string]string, dropped []string) {
	claims = map[string]string{}
	for name, value := range all {
		text, isString := value.(string)
		if !isString || slices.Contains(reserved, name) {
			continue
		}
		if !isClaimName(name) || !Safe(text) {
			dropped = append(dropped, name)
			continue
		}
		claims[name] = text
	}
	slices.Sort(dropped)
	return claims, dropped
}

func isClaimName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Safe tells whether a value may become a placeholder or a header field:
// control characters could end the field, braces could be expanded again.
func Safe(s string) bool {
	if len(s) > maxClaim || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r == '{' || r == '}' || unicode.IsControl(r) })
}
