package sts

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// always are the claims about the user that every claims token has.
var always = map[string]bool{"sub": true, "email": true, "email_verified": true}

// reserved claims are set by the protocol, or mean something to whoever
// verifies a token. A user's claim of that name is never copied: it could widen
// the audience, the lifetime or the binding of the token.
var reserved = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true,
	"email": true, "email_verified": true, "ticket_challenge": true, "as_uri": true,
	"act": true, "may_act": true, "cnf": true, "azp": true, "client_id": true, "scope": true,
	"nonce": true, "at_hash": true, "c_hash": true, "s_hash": true, "events": true,
	"permissions": true, "status": true, "typ": true, "kid": true, "alg": true,
}

// Reserved tells whether a claim is set by the protocol and so cannot be given
// to a user.
func Reserved(name string) bool { return reserved[name] }

// CheckRelease refuses claims that the protocol sets or whose meaning is not
// that of a user claim. sub, email and email_verified may be written though
// they are always there.
func CheckRelease(names []string) error {
	for _, name := range names {
		if name == "" || reserved[name] && !always[name] {
			return errors.New("release: '" + name + "' is not a claim about the user")
		}
	}
	return nil
}

// released is point 1 of step 4, "evaluate the user_claims": what the provider
// says of the user, cut down to the configured list (CONFORMANCE CA-20) and to
// what the client asks for (A43). Each name once.
func (s *Server) released(req *exchangeRequest, u *user, r rule) []string {
	var names []string
	for _, name := range req.required.filter(r.release, s.issuer) {
		if _, has := u.Claims[name]; has && !reserved[name] && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// maxClaimsToken is the longest claims token in bytes. The authorization server
// takes forms of 64 KiB, in which the ticket and the rest of the request must
// find room, too (CONFORMANCE CA-22).
const maxClaimsToken = 48 << 10

// Reasons why claims cannot be said, for events.
var (
	errTooLarge = errors.New("the claims token would be larger than 48 KiB")
	errNotJSON  = errors.New("a claim of the user cannot be written as JSON that an authorization server would take")
)

// payload writes the claims. The error of the library may quote a claim, so it
// goes nowhere.
func payload(claims map[string]any) (json.RawMessage, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, errNotJSON
	}
	if base64.RawURLEncoding.EncodedLen(len(text)) > maxClaimsToken {
		return nil, tooLarge()
	}
	// Whoever reads it is as strict as we are: nothing nested without end.
	if err := oauth.DecodeObject(text, &struct{}{}); err != nil {
		return nil, errNotJSON
	}
	return text, nil
}

func tooLarge() error {
	return oauth.Errorf(oauth.CodeInvalidRequest,
		"the claims about this user are too large for a claims token of at most 48 KiB; ask for fewer with required_claims").Because(errTooLarge)
}
