package op

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// userinfo is the userinfo endpoint (OpenID Connect Core §5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	if !p.allowAll(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	t, err := p.shown(r)
	switch {
	case err != nil:
		oauth.WriteError(w, err)
	case !hasScope(t.Scope, scopeOpenID): // OpenID Connect Core §5.3.1
		oauth.WriteError(w, insufficientScope(t))
	default:
		oauth.WriteJSON(w, http.StatusOK, t.user.claims(t.Scope))
	}
}

// shown gives the access token of a request. It comes from the Authorization
// header alone (CONFORMANCE OA-09), under the scheme that fits it (RFC 9449 §7.1,
// §7.2).
func (p *Provider) shown(r *http.Request) (*liveToken, error) {
	scheme, text, err := oauth.ParseAuthorization(r.Header)
	if err != nil {
		return nil, err
	}
	isBound := scheme == strings.ToLower(oauth.SchemeDPoP)
	if !isBound && scheme != "bearer" || text == "" {
		return nil, tokenError("Bearer", "", "an access token is required")
	}
	t, err := p.accessToken(r.Context(), text)
	switch {
	case errors.Is(err, oauth.ErrSubjectToken):
		return nil, invalidToken(isBound).Because(err)
	case err != nil:
		return nil, p.unavailable("access token", err)
	case (t.JKT != "") != isBound:
		return nil, invalidToken(t.JKT != "")
	case isBound:
		return t, p.checkProof(r, t, text)
	}
	return t, nil
}

// checkProof wants a proof of the key that a token is bound to, made for this
// token and this request.
func (p *Provider) checkProof(r *http.Request, t *liveToken, text string) error {
	_, err := p.proofs.Verify(r.Context(), r.Header, dpop.Expect{
		Method: r.Method, URI: p.url("userinfo"), AccessToken: text, JKT: t.JKT, Source: p.source(r),
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dpop.ErrProof):
		return tokenError(oauth.SchemeDPoP, oauth.CodeInvalidDPoPProof, "the DPoP proof does not fit this request and token").Because(err)
	}
	return p.proofError(err)
}

func invalidToken(isBound bool) *oauth.Error {
	scheme := "Bearer"
	if isBound {
		scheme = oauth.SchemeDPoP
	}
	return tokenError(scheme, oauth.CodeInvalidToken, "the access token is unknown, expired or revoked, or was sent under another scheme than its own")
}

func insufficientScope(t *liveToken) *oauth.Error {
	e := tokenError(tokenType(t.JKT), oauth.CodeInsufficientScope, "the access token has not the scope openid")
	e.Status = http.StatusForbidden
	return e
}

// tokenError is a 401 with a challenge for each scheme; the one that was meant
// carries the error. Without credentials there is none (RFC 6750 §3.1, RFC 9449
// §7.1).
func tokenError(scheme, code, description string) *oauth.Error {
	bearer := oauth.Challenge{Scheme: "Bearer", Params: []oauth.Param{{Name: "realm", Value: "userinfo"}}}
	bound := oauth.Challenge{Scheme: oauth.SchemeDPoP, Params: []oauth.Param{{Name: "algs", Value: strings.Join(dpop.Algs(), " ")}}}
	meant := &bearer
	if scheme == oauth.SchemeDPoP {
		meant = &bound
	}
	meant.Params = append(meant.Params, oauth.Param{Name: "error", Value: code})
	if code == oauth.CodeInsufficientScope {
		meant.Params = append(meant.Params, oauth.Param{Name: "scope", Value: scopeOpenID})
	}
	e := &oauth.Error{
		Code: code, Description: description, Status: http.StatusUnauthorized,
		Header: http.Header{"WWW-Authenticate": {bearer.String(), bound.String()}},
	}
	if code == "" {
		e.Code = oauth.CodeInvalidToken
	}
	return e
}
