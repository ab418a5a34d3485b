package op

import (
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// token answers the authorization_code grant (RFC 6749 §4.1.3). The STS owns the
// path; every grant but its own comes here.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) { // RFC 6749 §3.2
		return
	}
	answer, err := p.redeem(r)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, answer)
}

// redeem changes a code into tokens.
func (p *Provider) redeem(r *http.Request) (*oauth.TokenResponse, error) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return nil, err
	}
	if err := checkGrant(form); err != nil {
		return nil, err
	}
	creds, err := oauth.ParseCredentials(r.Header, form)
	if err != nil {
		return nil, err
	}
	client, err := p.auth.Authenticate(creds)
	if err != nil {
		return nil, err
	}
	if form.Get("code") == "" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "code is missing")
	}
	return p.issue(r, presented{
		code: form.Get("code"), client: client.ID,
		redirect: form.Get("redirect_uri"), verifier: form.Get("code_verifier"),
	})
}

func checkGrant(form oauth.Form) error {
	switch form.Get("grant_type") {
	case "":
		return oauth.Errorf(oauth.CodeInvalidRequest, "grant_type is missing")
	case oauth.GrantAuthorizationCode:
		return nil
	}
	return oauth.Errorf(oauth.CodeUnsupportedGrantType, "the grant_type is not supported")
}

// issue makes the tokens first and then, in one commit, spends the code and
// records the access token: of two who present one code, one gets an answer.
func (p *Provider) issue(r *http.Request, req presented) (*oauth.TokenResponse, error) {
	ctx := r.Context()
	code, spent, err := p.findCode(ctx, req)
	if err != nil {
		return nil, err
	}
	idToken, err := p.idToken(ctx, code)
	if err != nil {
		return nil, p.unavailable("ID token", err)
	}
	access := secret()
	doc, err := p.doc(kindAccessToken, access, hashID(req.code), p.cfg.Now().Add(p.cfg.AccessLifetime),
		tokenRecord{version{currentVersion}, code.grant})
	if err != nil {
		return nil, err
	}
	err = p.commit(ctx, store.Delete(spent.Key, spent.Rev), store.Create(doc))
	if errors.Is(err, store.ErrConflict) {
		return nil, p.replayed(ctx, req.code)
	}
	if err != nil {
		return nil, p.unavailable("access token", err)
	}
	return &oauth.TokenResponse{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(p.cfg.AccessLifetime.Seconds()),
		Scope: code.Scope, IDToken: idToken,
	}, nil
}
