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
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

// maxRPT bounds an RPT in bytes.
const maxRPT = 16 << 10

// maxClaim bounds a released claim in bytes: it ends in a header field.
const maxClaim = 1024

// rptClaims is what an RPT says (RFC 9068 §2.2, UMA Fed §5.1.1): by its own
// claims, or by the description of the authorization server (RFC 7662 §2.2).
type rptClaims struct {
	Issuer      string             `json:"iss"`
	Subject     string             `json:"sub"`
	Audience    jose.Audience      `json:"aud"`
	Expires     jose.NumericDate   `json:"exp"`
	IssuedAt    jose.NumericDate   `json:"iat"`
	NotBefore   jose.NumericDate   `json:"nbf"`
	ClientID    string             `json:"client_id"`
	DecisionID  string             `json:"decision_id"`
	Confirm     *confirmation      `json:"cnf"`
	Status      statuslist.Status  `json:"status"`
	Permissions []oauth.Permission `json:"permissions"`

	released []Claim // sorted by name
	// safe: the texts of a Grant may all become placeholders.
	safe bool
}

// confirmation is what an RPT is bound to (RFC 7800 §3.1): a key (RFC 9449 §6.1) or
// a certificate (RFC 8705 §3.1) by its hash. other says that it is bound to
// something else, too.
type confirmation struct {
	jkt, x5t string
	other    bool
}

// UnmarshalJSON implements json.Unmarshaler. It keeps two texts, whatever else is
// there: claims are remembered.
func (c *confirmation) UnmarshalJSON(data []byte) error {
	var all map[string]any
	if err := oauth.DecodeObject(data, &all); err != nil {
		return err
	}
	for name, value := range all {
		text, isString := value.(string)
		switch {
		case name == "jkt" && isString && text != "":
			c.jkt = text
		case name == "x5t#S256" && isString && text != "":
			c.x5t = text
		default:
			c.other = true
		}
	}
	return nil
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

// check does every check of RFC 9068 §4 but the signature's, wherever the claims
// come from (CONFORMANCE UF-27). It is done again each time a remembered token is
// used.
func (c *rptClaims) check(cfg *Config, audience string) error {
	now, leeway := cfg.Now(), cfg.Leeway
	switch {
	case c.Issuer != cfg.Issuer:
		return bad("foreign issuer")
	case !slices.Contains(c.Audience, audience): // CONFORMANCE SEC-14: an RPT for another RS
		return bad("made for another audience")
	case c.Subject == "", c.ClientID == "":
		return bad("lacks sub or client_id")
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
		for _, scope := range w.scopes {
			if !c.grantsScope(ids[w.index], scope, now, leeway) {
				return false
			}
		}
	}
	return true
}

func (c *rptClaims) grantsScope(id, scope string, now time.Time, leeway time.Duration) bool {
	for i := range c.Permissions {
		p := &c.Permissions[i]
		if id != "" && p.ResourceID == id && slices.Contains(p.ResourceScopes, scope) && inWindow(p, now, leeway) {
			return true
		}
	}
	return false
}

// scopesOf gives the scopes in force of a resource, each once. The caller must not
// change them.
func (c *rptClaims) scopesOf(id string, now time.Time, leeway time.Duration) []string {
	var scopes []string
	for i := range c.Permissions {
		p := &c.Permissions[i]
		switch {
		case id == "" || p.ResourceID != id || !inWindow(p, now, leeway):
		case scopes == nil:
			scopes = slices.Clip(p.ResourceScopes)
		default:
			scopes = union(scopes, p.ResourceScopes)
		}
	}
	return scopes
}

// union appends what is not there yet.
func union(all, more []string) []string {
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func inWindow(p *oauth.Permission, now time.Time, leeway time.Duration) bool {
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
	"active", "token_type", "decision_id", "id", "issuer", "resource", "scopes", "captures", "owner", "act", "may_act", "auth_time", "acr", "amr", "azp", "nonce",
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
	if len(s) > maxClaim || strings.ContainsAny(s, "{}") {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
		}
	}
	return true
}
