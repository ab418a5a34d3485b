package sts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

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

// issue makes the claims token and the answer (step 5; RFC 8693 §2.2.1).
func (s *Server) issue(ctx context.Context, req *exchangeRequest, u *user, release []string) (*oauth.TokenResponse, error) {
	now := s.now().Unix()
	expires := min(now+int64(s.lifetime.Seconds()), u.Expires.Unix()) // CONFORMANCE CA-19
	if expires <= now {
		return nil, invalidSubject(errExpired)
	}
	claims := s.claimsOf(req, u, release)
	claims["iat"], claims["exp"] = now, expires
	token, err := s.claims.Sign(ctx, oauth.TypClaimsToken, claims)
	if err != nil {
		return nil, oauth.Unavailable(err)
	}
	return &oauth.TokenResponse{
		AccessToken:     token,
		IssuedTokenType: oauth.TokenTypeJWT,
		TokenType:       "N_A", // it is no access token: RFC 8693 §2.2.1
		ExpiresIn:       expires - now,
	}, nil
}

// claimsOf is point 1 of step 4, "evaluate the user_claims": what the provider
// says of the user, cut down to the released claims (CONFORMANCE CA-20). Those
// of the protocol are written last.
func (s *Server) claimsOf(req *exchangeRequest, u *user, release []string) map[string]any {
	claims := make(map[string]any, len(release)+11)
	for _, name := range release {
		if value, ok := u.Claims[name]; ok && !reserved[name] {
			claims[name] = value
		}
	}
	claims["iss"] = s.issuer
	claims["sub"] = u.sub
	claims["aud"] = []string{req.target.value} // CONFORMANCE CA-18: byte for byte
	claims["jti"] = rand.Text()
	claims["email"] = u.address.String()
	claims["email_verified"] = u.EmailVerified
	claims["ticket_challenge"] = req.ticketChallenge
	if req.asURI != "" {
		claims["as_uri"] = req.asURI
	}
	return claims
}

// subjectID is injective over (upstream issuer, upstream subject): no two users
// of two providers become one (CONFORMANCE CA-17). The length in front keeps
// the two texts apart.
func subjectID(subject oauth.Subject) string {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint64(len(subject.Issuer)))
	h.Write([]byte(subject.Issuer))
	h.Write([]byte(subject.ID))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
