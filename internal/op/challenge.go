package op

import (
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// codeInsufficient: the request lacks what is needed to log in
// (draft-ietf-oauth-first-party-apps §5.2.2).
const codeInsufficient = "insufficient_authorization"

// challenge is the authorization challenge endpoint
// (draft-ietf-oauth-first-party-apps §5): a first-party client without a browser
// sends name and password and gets a code. There is no CORS: it is not for pages.
func (p *Provider) challenge(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	code, err := p.challengeCode(r)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, map[string]string{"authorization_code": code})
}

// challengeCode gives the code and tells the outcome.
func (p *Provider) challengeCode(r *http.Request) (string, error) {
	client, form, err := p.challengeClient(r)
	if err != nil {
		p.observeLogin(r, "challenge", "", nil, event.Refused, oauth.AsError(err).Code)
		return "", err
	}
	code, u, err := p.challengeLogin(r, client, form)
	outcome, reason := event.Granted, ""
	if err != nil {
		e := oauth.AsError(err)
		outcome, reason = event.Refused, e.Code
		switch {
		case e.Status == http.StatusForbidden:
			outcome = event.Denied
		case e.Status >= http.StatusInternalServerError:
			outcome = event.Failed
		}
	}
	p.observeLogin(r, "challenge", client.ID, u, outcome, reason)
	return code, err
}

// challengeClient authenticates the client; only first-party ones may see a
// password.
func (p *Provider) challengeClient(r *http.Request) (*Client, oauth.Form, error) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return nil, nil, err
	}
	found, err := p.cfg.Authenticate(r, form)
	if err != nil {
		return nil, nil, err
	}
	client, ok := p.client(found.ID)
	if !ok || !client.FirstParty {
		return nil, nil, oauth.Errorf(oauth.CodeUnauthorizedClient, "the client is not a first-party client")
	}
	return client, form, nil
}

// challengeLogin logs in and records the code.
func (p *Provider) challengeLogin(r *http.Request, client *Client, form oauth.Form) (string, *user, error) {
	if err := checkCodeRequest(form); err != nil {
		return "", nil, err
	}
	scope, bad := parseScope(form.Get("scope"))
	if bad != nil {
		return "", nil, bad
	}
	if form.Get("username") == "" || form.Get("password") == "" {
		return "", nil, oauth.Errorf(codeInsufficient, "username and password are required")
	}
	u, err := p.authenticate(r, form.Get("username"), form.Get("password"))
	if err != nil {
		return "", u, err
	}
	code, op, err := p.newCode(codeRecord{
		grant:     u.grants(client.ID, scope, p.cfg.Now().Unix()),
		Challenge: form.Get("code_challenge"), Nonce: form.Get("nonce"),
	})
	if err != nil {
		return "", u, err
	}
	if err := p.commit(r.Context(), op); err != nil {
		return "", u, p.unavailable("authorization code", err)
	}
	return code, u, nil
}
