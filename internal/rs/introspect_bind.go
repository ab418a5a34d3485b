package rs

import (
	"bytes"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// confirmed puts together what an answer says a token is bound to and what the token
// says itself, if it is a JWT. The authorization server has just called this very
// token active, so what stands in it is its own word; and an answer that is silent
// about a binding must not make a bearer token of a bound one (CONFORMANCE DP-04).
func confirmed(token string, answered *confirmation) (*confirmation, error) {
	signed, err := confirmationIn(token)
	if err != nil {
		return nil, &tokenError{"has claims of another form", err}
	}
	switch {
	case signed == nil:
		return answered, nil
	case answered == nil:
		return signed, nil
	}
	both := &confirmation{other: signed.other || answered.other}
	both.jkt = both.one(signed.jkt, answered.jkt)
	both.x5t = both.one(signed.x5t, answered.x5t)
	return both, nil
}

// one gives the text that is there. Two different ones cannot both be met.
func (c *confirmation) one(a, b string) string {
	c.other = c.other || a != "" && b != "" && a != b
	return or(a, b)
}

// confirmationIn reads the member cnf of a JWT; nil = it has none, or this is no JWT.
func confirmationIn(token string) (c *confirmation, err error) {
	if !isCompactJWS(token) {
		return nil, nil //nolint:nilnil // nothing is bound
	}
	payload, err := oauth.DecodeBase64(strings.Split(token, ".")[1])
	if err != nil || !bytes.HasPrefix(bytes.TrimLeft(payload, " \t\r\n"), []byte("{")) {
		return nil, nil //nolint:nilnil,nilerr // it only looks like a JWT
	}
	var inside error
	err = oauth.Members(payload, func(name, value []byte) {
		if string(name) == "cnf" {
			inside = oauth.DecodeJSON(value, &c)
		}
	})
	if err == nil {
		err = inside
	}
	return c, err
}
