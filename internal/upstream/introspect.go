package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// introspect asks the provider about a token (RFC 7662 §2).
func (u *Upstream) introspect(ctx context.Context, token string) (claims, error) {
	meta, err := u.metadata(ctx)
	if err != nil {
		return claims{}, err
	}
	r, err := u.introspection(ctx, meta.IntrospectionEndpoint, token)
	if err != nil {
		return claims{}, err
	}
	a, err := u.call(r, maxAnswer)
	switch {
	case err != nil:
		return claims{}, err
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		u.cfg.Log.Error("the provider's introspection endpoint refuses our client_id or its credentials",
			zap.String("iss", u.cfg.Issuer), zap.Int("status", a.status))
		return claims{}, errConfig
	}
	if err := a.check(); err != nil {
		return claims{}, err
	}
	return active(a.body)
}

// active reads the answer. Only active: true counts (RFC 7662 §2.2).
func active(body []byte) (claims, error) {
	c, err := parseClaims(body)
	switch {
	case err != nil:
		return claims{}, fmt.Errorf("the introspection answer cannot be read: %w", err)
	case c.all["active"] != true:
		return claims{}, refuse("the provider says that it is not active")
	case c.TokenType != "" && c.TokenType != "Bearer" && c.TokenType != "bearer" && c.TokenType != "access_token" && c.TokenType != oauth.SchemeDPoP:
		// A refresh token is active, too.
		return claims{}, refuse("the provider says that it is no access token")
	}
	return c, nil
}

// introspection is the request, by secret or by private_key_jwt.
func (u *Upstream) introspection(ctx context.Context, endpoint, token string) (*http.Request, error) {
	values := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if u.cfg.Key == nil {
		r, err := form(ctx, endpoint, values)
		if err == nil {
			// RFC 6749 §2.3.1: both are form-encoded first.
			r.SetBasicAuth(url.QueryEscape(u.cfg.ClientID), url.QueryEscape(u.cfg.Secret))
		}
		return r, err
	}
	assertion, err := clientauth.NewAssertion(*u.cfg.Key, u.cfg.ClientID, u.cfg.Issuer, u.cfg.Now())
	if err != nil {
		return nil, err
	}
	values.Set("client_id", u.cfg.ClientID)
	values.Set("client_assertion_type", oauth.AssertionTypeJWT)
	values.Set("client_assertion", assertion)
	return form(ctx, endpoint, values)
}
