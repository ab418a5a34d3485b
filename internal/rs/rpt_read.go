package rs

import (
	"bytes"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// read reads a JSON object that describes a token, and tells whether it has a name
// (jti). Errors are a *tokenError.
func (v *verifier) read(payload []byte, claims *rptClaims) (named bool, err error) {
	r := reading{to: claims}
	if err := oauth.Members(payload, r.member); err != nil {
		r.err = err
	}
	if r.err != nil {
		return false, &tokenError{"has claims of another form", r.err}
	}
	if r.dropped > 0 { // names may be anybody's text, so only their number is told
		v.s.cfg.Log.Warn("released claims are left out because of their characters or length",
			zap.String("iss", v.s.cfg.Issuer), zap.Int("claims", r.dropped))
	}
	slices.SortFunc(claims.released, func(a, b Claim) int { return strings.Compare(a.Name, b.Name) })
	claims.pack(v.s.cfg.Issuer)
	return r.named, nil
}

// reading takes the members of a description one by one, in one pass.
type reading struct {
	to      *rptClaims
	named   bool
	dropped int // claims that may not be released
	err     error
}

func (r *reading) member(name, value []byte) {
	if r.err == nil {
		r.err = r.take(name, value)
	}
}

func (r *reading) take(name, value []byte) error {
	c := r.to
	switch string(name) {
	case "iss":
		return readText(value, &c.Issuer)
	case "sub":
		return readText(value, &c.Subject)
	case "client_id":
		return readText(value, &c.ClientID)
	case "decision_id":
		return readText(value, &c.DecisionID)
	case "aud":
		return c.Audience.UnmarshalJSON(value)
	case "exp":
		return c.Expires.UnmarshalJSON(value)
	case "iat":
		return c.IssuedAt.UnmarshalJSON(value)
	case "nbf":
		return c.NotBefore.UnmarshalJSON(value)
	case "cnf":
		return oauth.DecodeJSON(value, &c.Confirm)
	case "status":
		return oauth.DecodeJSON(value, &c.Status)
	case "permissions":
		return oauth.DecodeJSON(value, &c.Permissions)
	case "jti":
		var id string
		err := readText(value, &id)
		r.named = id != ""
		return err
	}
	return r.release(name, value)
}

// release takes a string claim that may become a placeholder (CONFORMANCE SEC-19).
func (r *reading) release(name, value []byte) error {
	if value[0] != '"' || slices.Contains(reserved, string(name)) {
		return nil
	}
	one := Claim{Name: string(name)}
	if err := readText(value, &one.Value); err != nil {
		return err
	}
	if !isClaimName(one.Name) || !Safe(one.Value) {
		r.dropped++
		return nil
	}
	r.to.released = append(r.to.released, one)
	return nil
}

// readText reads a string; value is known to be JSON. null is no string, and leaves
// what is there.
func readText(value []byte, to *string) error {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		*to = string(value[1 : len(value)-1])
		return nil
	}
	return oauth.DecodeJSON(value, to)
}
