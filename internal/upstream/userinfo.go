package upstream

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// userinfo asks the provider for the claims of a token's user (OpenID Connect Core
// §5.3). Signed answers are not read.
func (u *Upstream) userinfo(ctx context.Context, token string) (claims, error) {
	meta, err := u.metadata(ctx)
	if err != nil {
		return claims{}, err
	}
	if meta.UserinfoEndpoint == "" {
		return claims{}, errNoEmail
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, meta.UserinfoEndpoint, nil)
	if err != nil {
		return claims{}, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := u.call(r, maxAnswer)
	switch {
	case err != nil:
		return claims{}, err
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusBadRequest:
		return claims{}, refuse("the provider's userinfo endpoint does not take it")
	}
	if err := a.check(); err != nil {
		return claims{}, err
	}
	c, err := parseClaims(a.body)
	if err != nil {
		return claims{}, fmt.Errorf("the userinfo answer cannot be read: %w", err)
	}
	// What is said of the token itself has no place here.
	return claims{registered: registered{Subject: c.Subject}, all: c.all, size: c.size}, nil
}

// withUserinfo completes a token that passed every rule and says no address: many
// providers put addresses into userinfo alone. The address and
// whether it is verified come from one hand: of these the token says nothing more.
// Everything else that the token says stays. Dex's userinfo repeats all claims of the
// token, at_hash included: what kind of token it is has been found out before.
func (u *Upstream) withUserinfo(ctx context.Context, token string, c claims) (oauth.Subject, error) {
	info, err := u.infos.of(ctx, token, u.userinfo)
	if err != nil {
		return oauth.Subject{}, err
	}
	// OpenID Connect Core §5.3.2: else it is not about this user.
	if info.Subject != c.Subject {
		return oauth.Subject{}, refuse("%w", errSubjectDiffers)
	}
	all, said := maps.Clone(info.all), maps.Clone(c.all)
	for _, name := range marks {
		delete(all, name)
	}
	for _, name := range u.addressClaims() {
		delete(said, name)
	}
	maps.Copy(all, said)
	c.all = all
	return u.complete(c)
}

// complete is subject for claims that will not get better.
func (u *Upstream) complete(c claims) (oauth.Subject, error) {
	subject, err := u.subject(c)
	if err != nil {
		return oauth.Subject{}, err
	}
	return subject, nil
}

// isToken68 keeps a token from becoming more than one header field (RFC 6750 §2.1).
func isToken68(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == ',' {
			return false
		}
	}
	return s != ""
}
