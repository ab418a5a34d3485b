package sts

import (
	"context"
	"crypto/rand"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// issue makes the claims token and the answer (step 5; RFC 8693 §2.2.1).
func (s *Server) issue(ctx context.Context, req *exchangeRequest, u *user, release []string) (*oauth.TokenResponse, error) {
	now := s.now().Unix()
	expires := min(now+int64(s.lifetime.Seconds()), u.Expires.Unix()) // CONFORMANCE CA-19
	if expires <= now {
		return nil, invalidSubject(errExpired)
	}
	claims := s.claimsOf(req, u, release)
	claims["iat"], claims["exp"] = now, expires
	text, err := payload(claims)
	if err != nil {
		return nil, err
	}
	token, err := s.claims.Sign(ctx, oauth.TypClaimsToken, text)
	if err != nil {
		return nil, oauth.Unavailable(err)
	}
	if len(token) > maxClaimsToken {
		return nil, tooLarge()
	}
	return &oauth.TokenResponse{
		AccessToken:     token,
		IssuedTokenType: oauth.TokenTypeJWT,
		TokenType:       "N_A", // it is no access token: RFC 8693 §2.2.1
		ExpiresIn:       expires - now,
	}, nil
}

// claimsOf are the released claims and those of the protocol, which are written
// last.
func (s *Server) claimsOf(req *exchangeRequest, u *user, release []string) map[string]any {
	claims := make(map[string]any, len(release)+13)
	for _, name := range release {
		claims[name] = u.Claims[name]
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
	if req.jkt != "" { // CONFORMANCE DP-08; RFC 9449 §6.1
		claims["cnf"] = map[string]string{"jkt": req.jkt}
	}
	if u.actor != "" { // RFC 8693 §4.1: somebody else than the one whom the user knows
		claims["act"] = map[string]string{"sub": u.actor}
	}
	return claims
}
