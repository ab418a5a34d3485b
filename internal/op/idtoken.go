package op

import (
	"context"
	"slices"
	"strings"
	"time"
)

// idTokenLife is how long an ID token may be accepted: it is read at once.
const idTokenLife = 5 * time.Minute

// Scopes that do not stand for claims.
const (
	scopeOpenID  = "openid"
	scopeOffline = "offline_access"
)

// profile are the claims of the scope profile (OpenID Connect Core §5.4).
var profile = []string{
	"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username",
	"profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
}

// claims are what a scope tells of the user (OpenID Connect Core §5.4). groups is
// no standard, but what Dex and Authelia have.
func (u *user) claims(scope string) map[string]any {
	claims := make(map[string]any)
	var names []string
	if hasScope(scope, "profile") {
		names = append(names, profile...)
	}
	if hasScope(scope, "groups") {
		names = append(names, "groups")
	}
	for _, name := range names {
		if value, ok := u.Claims[name]; ok {
			claims[name] = value
		}
	}
	if hasScope(scope, "email") {
		claims["email"], claims["email_verified"] = u.Email, true
	}
	claims["sub"] = u.id
	return claims
}

// idToken makes the ID token (OpenID Connect Core §2), if the scope asks for one.
// It is no subject token: Resolve knows access tokens alone. The claims stand at
// userinfo, too; here they spare small clients a request.
func (p *Provider) idToken(ctx context.Context, u *user, g grant, nonce string) (string, error) {
	if !hasScope(g.Scope, scopeOpenID) {
		return "", nil
	}
	claims, now := u.claims(g.Scope), p.cfg.Now()
	if nonce != "" {
		claims["nonce"] = nonce
	}
	claims["iss"], claims["aud"] = p.cfg.Issuer, g.Client
	claims["iat"], claims["exp"], claims["auth_time"] = now.Unix(), now.Add(idTokenLife).Unix(), g.AuthTime
	return p.cfg.IDTokens.Sign(ctx, "JWT", claims)
}

func hasScope(granted, scope string) bool { return slices.Contains(strings.Fields(granted), scope) }
