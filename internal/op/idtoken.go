package op

import (
	"context"
	"slices"
	"strings"
	"time"
)

// idTokenLife is how long an ID token may be accepted: it is read at once.
const idTokenLife = 5 * time.Minute

// profile are the claims of the scope profile (OpenID Connect Core §5.4).
var profile = []string{
	"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username",
	"profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
}

// idToken makes the ID token (OpenID Connect Core §2), if the scope asks for one.
// It is no subject token: Resolve knows access tokens alone.
func (p *Provider) idToken(ctx context.Context, g grant, nonce string) (string, error) {
	granted := strings.Fields(g.Scope)
	if !slices.Contains(granted, "openid") {
		return "", nil
	}
	u, now := p.user(g.User), p.cfg.Now()
	claims := map[string]any{}
	if slices.Contains(granted, "profile") {
		for _, name := range profile {
			if value, ok := u.Claims[name]; ok {
				claims[name] = value
			}
		}
	}
	// There is no userinfo endpoint, so the claims of email stand here.
	if slices.Contains(granted, "email") {
		claims["email"], claims["email_verified"] = u.Email, true
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	claims["iss"], claims["sub"], claims["aud"] = p.cfg.Issuer, u.id, g.Client
	claims["iat"], claims["exp"], claims["auth_time"] = now.Unix(), now.Add(idTokenLife).Unix(), g.AuthTime
	return p.cfg.IDTokens.Sign(ctx, "JWT", claims)
}
