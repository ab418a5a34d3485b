package rqp

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Session is what a login gave: tokens of one user, one provider, one client.
type Session struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// Provider issued the tokens, if not Issuer, for the Scopes of the login.
	Provider string    `json:"provider,omitempty"`
	Scopes   []string  `json:"scopes,omitempty"`
	Expires  time.Time `json:"expires"`
}

// sessionScopes are what a login asks for, as far as the provider lists them.
var sessionScopes = []string{"openid", "email", "offline_access"}

func (l *login) scope(doc *oauth.Metadata) string {
	listed := slices.DeleteFunc(slices.Clone(sessionScopes), func(s string) bool {
		return s != "openid" && !slices.Contains(doc.ScopesSupported, s)
	})
	return strings.Join(append(listed, l.cfg.Scopes...), " ")
}

// discover reads the metadata of who issues access tokens; the token endpoint is
// needed by everything.
func (l *login) discover(ctx context.Context) (*oauth.Metadata, error) {
	provider, doc := l.cfg.Provider, (*oauth.Metadata)(nil)
	var err error
	if provider == "" {
		if doc, err = fetchMetadata(ctx, l.net, l.cfg.Issuer, oauth.WellKnownOpenID, nil); err == nil {
			provider, err = l.provider(doc)
		}
	}
	if err == nil && provider != "" {
		doc, err = l.goTo(ctx, provider)
	}
	if err == nil {
		l.codeURL, err = endpoint(doc, "token_endpoint", doc.TokenEndpoint)
	}
	return doc, err
}

// provider is who issues access tokens for a service that issues none itself; ""
// = it does.
func (l *login) provider(doc *oauth.Metadata) (string, error) {
	others := doc.SubjectTokenIssuers
	switch {
	case doc.AuthorizationEndpoint != "" || doc.DeviceAuthorizationEndpoint != "" || len(others) == 0:
		return "", nil
	case len(others) > 1:
		return "", untrusted("--provider with the one that has your account", "%s takes logins of several providers: %s",
			plain(l.cfg.Issuer, 200), plain(strings.Join(others, ", "), 500))
	}
	return others[0], nil
}

// goTo makes another provider the one where the user logs in. Its tokens must be
// made for the service, which is asked for by name (RFC 8707), or by a scope where
// a provider does it that way.
func (l *login) goTo(ctx context.Context, provider string) (*oauth.Metadata, error) {
	issuer, err := oauth.ParseIssuer(provider)
	if err != nil {
		return nil, untrusted("", "the provider %s of %s is no https URL", plain(provider, 200), plain(l.cfg.Issuer, 200))
	}
	l.issuer, l.cfg.Provider = issuer, provider
	if len(l.cfg.Scopes) == 0 {
		l.resource = l.cfg.Issuer
	}
	return fetchMetadata(ctx, l.net, provider, oauth.WellKnownOpenID, nil)
}

// tokenIssuer is who issues ID tokens and access tokens.
func (l *login) tokenIssuer() string {
	if l.cfg.Provider != "" {
		return l.cfg.Provider
	}
	return l.cfg.Issuer
}

// forService names the service in a request of the provider.
func (l *login) forService(form url.Values) url.Values {
	if l.resource != "" {
		form.Set("resource", l.resource)
	}
	return form
}

// tokens asks the token endpoint and reads a success (RFC 6749 §5.1).
func (l *login) tokens(ctx context.Context, form url.Values) (*oauth.TokenResponse, error) {
	a, err := post(ctx, l.net.pick(l.codeURL, nil), l.codeURL, l.forService(form), l.creds)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		e, _ := a.refused()
		return nil, e
	}
	var t oauth.TokenResponse
	if err := a.decode(&t); err != nil {
		return nil, err
	}
	if !isToken(t.AccessToken) || !strings.EqualFold(t.TokenType, "Bearer") || len(t.RefreshToken) > maxTicket {
		return nil, badAnswer(a.from, a.status, "no access token in it")
	}
	return &t, nil
}

func (l *login) session(t *oauth.TokenResponse) *Session {
	life := time.Duration(max(0, min(t.ExpiresIn, 24*3600))) * time.Second
	return &Session{
		Issuer: l.cfg.Issuer, Provider: l.cfg.Provider, Scopes: l.cfg.Scopes, ClientID: l.cfg.ClientID,
		AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, Expires: l.cfg.Now().Add(life),
	}
}

// idClaims are the claims of an ID token that are checked.
type idClaims struct {
	Issuer   string           `json:"iss"`
	Audience jose.Audience    `json:"aud"`
	Party    string           `json:"azp"`
	Expires  jose.NumericDate `json:"exp"`
	Nonce    string           `json:"nonce"`
	Email    string           `json:"email"`
}

// verified checks the ID token (OpenID Connect Core §3.1.3.7), and that it is of
// the user who was asked for: whoever sits at the browser may be somebody else.
func (l *login) verified(ctx context.Context, doc *oauth.Metadata, t *oauth.TokenResponse, nonce string) error {
	claims, err := l.idToken(ctx, doc, t.IDToken)
	if err != nil {
		return err
	}
	other := len(claims.Audience) > 1 && claims.Party == "" || claims.Party != "" && claims.Party != l.cfg.ClientID
	switch {
	case claims.Issuer != l.tokenIssuer(), !slices.Contains(claims.Audience, l.cfg.ClientID), other:
		return badAnswer(l.issuer, 0, "its ID token is of another issuer or for another client")
	case claims.Nonce != nonce:
		return badAnswer(l.issuer, 0, "its ID token is of another login")
	case !l.cfg.Now().Before(claims.Expires.Time()):
		return badAnswer(l.issuer, 0, "its ID token has expired; is the clock right?")
	case claims.Email == "" && l.cfg.Provider != "":
		// Many providers tell addresses elsewhere. The service reads the address in the
		// access token, and vouches for no other.
		return nil
	case !strings.EqualFold(claims.Email, l.cfg.User):
		return untrusted("logging out at the provider in the browser, or --user with the address that you logged in with",
			"you logged in as somebody else than %s, or the provider does not tell the address", plain(l.cfg.User, 200))
	}
	return nil
}

func (l *login) idToken(ctx context.Context, doc *oauth.Metadata, compact string) (idClaims, error) {
	var claims idClaims
	u, err := endpoint(doc, "jwks_uri", doc.JWKSURI)
	if err != nil {
		return claims, err
	}
	a, err := get(ctx, l.net.pick(u, nil), u)
	if err != nil {
		return claims, err
	}
	keys, err := jose.ParseJWKS(a.body)
	if err != nil || a.status != http.StatusOK {
		return claims, badAnswer(u, a.status, "no keys there")
	}
	token, err := jose.Parse(compact, maxAnswer)
	if err == nil {
		err = token.Verify(ctx, keys, jose.DefaultAlgs(), &claims)
	}
	if err != nil {
		return claims, badAnswer(l.issuer, 0, "its ID token is missing or its signature is wrong")
	}
	return claims, nil
}

const nameRefresh = "renewing the stored login"

// Refresh gets a new access token (RFC 6749 §6). The answer replaces the session:
// a refresh token that was used before may end all tokens of the login.
func Refresh(ctx context.Context, cfg LoginConfig, old Session) (*Session, error) {
	cfg.Provider, cfg.Scopes = old.Provider, old.Scopes
	l, err := newLogin(cfg)
	if err != nil {
		return nil, at(0, nameRefresh, err)
	}
	defer l.net.done()
	if _, err := l.discover(ctx); err != nil {
		return nil, at(0, nameRefresh, err)
	}
	t, err := l.tokens(ctx, url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {old.RefreshToken}})
	if err != nil {
		return nil, at(0, nameRefresh, err)
	}
	if t.RefreshToken == "" { // RFC 6749 §6: then the old one stays
		t.RefreshToken = old.RefreshToken
	}
	return l.session(t), nil
}

const nameRevoke = "revoking the stored login"

// Revoke ends a login at its provider (RFC 7009). It is no error that the
// provider has no such endpoint.
func Revoke(ctx context.Context, cfg LoginConfig, s Session) error {
	cfg.Provider = s.Provider
	l, err := newLogin(cfg)
	if err != nil {
		return at(0, nameRevoke, err)
	}
	defer l.net.done()
	doc, err := l.discover(ctx)
	if err != nil {
		return at(0, nameRevoke, err)
	}
	if doc.RevocationEndpoint == "" {
		return nil
	}
	u, err := endpoint(doc, "revocation_endpoint", doc.RevocationEndpoint)
	if err != nil {
		return at(0, nameRevoke, err)
	}
	form := url.Values{"token": {s.RefreshToken}, "token_type_hint": {"refresh_token"}}
	if s.RefreshToken == "" {
		form = url.Values{"token": {s.AccessToken}, "token_type_hint": {"access_token"}}
	}
	a, err := post(ctx, l.net.pick(u, nil), u, form, l.creds)
	if err == nil && a.status != http.StatusOK {
		err, _ = a.refused()
	}
	if err != nil {
		return at(0, nameRevoke, err)
	}
	return nil
}
