package op

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// authorize is the authorization endpoint (RFC 6749 §3.1, OpenID Connect Core
// §3.1.2). It answers with a page, or by redirect if there is nothing to ask.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	form, err := authorizeForm(r)
	if err != nil {
		p.errorPage(w, http.StatusBadRequest, "The application sent a request that cannot be read.")
		return
	}
	// Before these two are known to be good, nothing is sent anywhere
	// (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
	client, ok := p.client(form.Get("client_id"))
	if !ok {
		p.errorPage(w, http.StatusBadRequest, "The application is not known here.")
		return
	}
	if !client.accepts(form.Get("redirect_uri")) {
		p.errorPage(w, http.StatusBadRequest, "The application asked to return to an address that is not registered for it.")
		return
	}
	req, bad := p.parseRequest(form)
	if bad != nil {
		p.redirectError(w, req, bad)
		return
	}
	p.ask(w, r, client, req)
}

// authorizeForm reads the parameters, from the query for GET, from the body for
// POST; repeated ones are refused (RFC 6749 §3.1).
func authorizeForm(r *http.Request) (oauth.Form, error) {
	if r.Method == http.MethodPost {
		return oauth.ParseForm(r, maxRequest)
	}
	if len(r.URL.RawQuery) > maxRequest {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "the request is too long")
	}
	return oauth.ParseFormBody(r.URL.RawQuery)
}

// ask shows the login page, or the page to continue when the user has a session.
func (p *Provider) ask(w http.ResponseWriter, r *http.Request, client *Client, req *authRequest) {
	s, err := p.session(r)
	if err != nil {
		p.redirectError(w, req, p.unavailable("session", err))
		return
	}
	if s != nil && !s.fresh(req, p.cfg.Now()) {
		s = nil
	}
	if slices.Contains(req.Prompt, "none") {
		p.silent(w, r, client, req, s)
		return
	}
	p.showLogin(w, r, http.StatusOK, req, loginPage{session: s, Username: req.Hint})
}

// silent answers prompt=none: no page in any case (OpenID Connect Core §3.1.2.1).
// The user must have let the client in before, unless it is our own; a client
// that any program could pretend to be is confirmed each time, and so is access
// that lasts (OpenID Connect Core §11).
func (p *Provider) silent(w http.ResponseWriter, r *http.Request, client *Client, req *authRequest, s *session) {
	switch {
	case s == nil:
		p.redirectError(w, req, oauth.Errorf(codeLoginRequired, "nobody is logged in"))
	case !client.assured(req.Redirect), !client.FirstParty && (!slices.Contains(s.record.Clients, client.ID) || hasScope(req.Scope, scopeOffline)):
		p.redirectError(w, req, oauth.Errorf(codeConsentRequired, "the user has to confirm"))
	default:
		p.complete(w, r, req, s)
	}
}

// redirectError tells the client by redirect (RFC 6749 §4.1.2.1).
func (p *Provider) redirectError(w http.ResponseWriter, req *authRequest, e *oauth.Error) {
	if req.Return != "" { // there is no client
		p.errorPage(w, http.StatusServiceUnavailable, textFailed)
		return
	}
	v := url.Values{"error": {e.Code}}
	if e.Description != "" {
		v.Set("error_description", e.Description)
	}
	p.redirect(w, req, v)
}

// redirect sends the browser back to the client: with state as it came and with
// iss (RFC 9207 §2); or to the page of ours that the login was for.
func (p *Provider) redirect(w http.ResponseWriter, req *authRequest, v url.Values) {
	if req.Return != "" {
		see(w, req.Return)
		return
	}
	if req.State != "" {
		v.Set("state", req.State)
	}
	v.Set("iss", p.cfg.Issuer)
	see(w, withParams(req.Redirect, v))
}
