package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// googleTokeninfo is Google's own kind of introspection. It takes no credentials.
const googleTokeninfo = "https://oauth2.googleapis.com/tokeninfo"

// tokeninfo is its answer: texts throughout.
type tokeninfo struct {
	Party    string `json:"azp"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Expires  string `json:"exp"`
	Email    string `json:"email"`
	Verified string `json:"email_verified"`
	Scope    string `json:"scope"`
}

// tokeninfo asks Google about an access token. The token goes in the body: URLs
// are logged.
func (u *Upstream) tokeninfo(ctx context.Context, token string) (claims, error) {
	endpoint := googleTokeninfo
	if u.cfg.Tokeninfo != "" {
		endpoint = u.cfg.Tokeninfo
	}
	r, err := form(ctx, endpoint, url.Values{"access_token": {token}})
	if err != nil {
		return claims{}, err
	}
	a, err := u.call(r, maxAnswer)
	switch {
	case err != nil:
		return claims{}, err
	case a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized:
		return claims{}, refuse("the provider says that it is not valid")
	}
	if err := a.check(); err != nil {
		return claims{}, err
	}
	var info tokeninfo
	if err := oauth.DecodeObject(a.body, &info); err != nil {
		return claims{}, fmt.Errorf("the tokeninfo answer cannot be read: %w", err)
	}
	return info.claims()
}

// claims gives the texts their types. Only an access token has a scope.
func (i tokeninfo) claims() (claims, error) {
	seconds, err := strconv.ParseInt(i.Expires, 10, 53)
	if err != nil || i.Scope == "" || i.Party == "" {
		return claims{}, refuse("the provider does not say that it is an access token")
	}
	expires := jose.NumericDate(seconds)
	return claims{
		registered: registered{
			Subject: i.Subject, Audience: jose.Audience{i.Audience}, Party: i.Party, Expires: &expires,
		},
		all: map[string]any{"sub": i.Subject, "email": i.Email, "email_verified": i.Verified == "true"},
	}, nil
}
