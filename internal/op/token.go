package op

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// tokenRequest is a token request of a client that was authenticated.
type tokenRequest struct {
	client string
	public bool   // the client has no credentials
	jkt    string // the thumbprint of the key that a DPoP proof shows; "" = no proof
	form   oauth.Form
}

// grantTypes are those of the token endpoint.
func (p *Provider) grantTypes() map[string]func(context.Context, tokenRequest) (*oauth.TokenResponse, error) {
	grants := map[string]func(context.Context, tokenRequest) (*oauth.TokenResponse, error){
		oauth.GrantAuthorizationCode: p.redeem,
		oauth.GrantRefreshToken:      p.refresh,
	}
	if !p.cfg.NoDeviceFlow {
		grants[oauth.GrantDeviceCode] = p.redeemDevice
	}
	return grants
}

// token is the token endpoint (RFC 6749 §3.2). The STS owns the path; every grant
// but its own comes here.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	answer, err := p.answer(r)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, answer)
}

func (p *Provider) answer(r *http.Request) (*oauth.TokenResponse, error) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return nil, err
	}
	if form.Get("grant_type") == "" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "grant_type is missing")
	}
	grant, ok := p.grantTypes()[form.Get("grant_type")]
	if !ok {
		return nil, oauth.Errorf(oauth.CodeUnsupportedGrantType, "the grant_type is not supported")
	}
	client, err := p.cfg.Authenticate(r, form)
	if err != nil {
		return nil, err
	}
	// Before the code or the refresh token is looked at: a bad proof spends nothing.
	jkt, err := p.provenKey(r, client)
	if err != nil {
		return nil, err
	}
	return grant(r.Context(), tokenRequest{client: client.ID, public: client.Public, jkt: jkt, form: form})
}

// redeem is the authorization_code grant (RFC 6749 §4.1.3). The tokens are made
// first; then, in one commit, the code is spent and they are recorded: of two who
// present one code, at any node, one gets an answer.
func (p *Provider) redeem(ctx context.Context, req tokenRequest) (*oauth.TokenResponse, error) {
	if req.form.Get("code") == "" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "code is missing")
	}
	shown := presented{
		code: req.form.Get("code"), client: req.client,
		redirect: req.form.Get("redirect_uri"), verifier: req.form.Get("code_verifier"),
	}
	code, spent, err := p.findCode(ctx, shown)
	if err != nil {
		return nil, err
	}
	answer, ops, err := p.mint(ctx, req, code.grant, code.Nonce, hashID(shown.code))
	if err != nil {
		return nil, err
	}
	err = p.commit(ctx, append(ops, store.Delete(spent.Key, spent.Rev))...)
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return nil, p.replayed(ctx, shown.code)
	case err != nil:
		return nil, p.unavailable("access token", err)
	}
	return answer, nil
}
