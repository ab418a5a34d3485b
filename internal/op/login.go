package op

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	textExpired = "This page is too old, was used already, or belongs to another browser. Go back to the application and start again."
	textWrong   = "The e-mail address or the password is wrong."
	textFailed  = "The server cannot do this at the moment. Please try again later."
	textTooMany = "There were too many attempts. Please wait a while."
)

// login takes the form of the login page.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	req, form := p.fromPage(r)
	if req == nil {
		p.observeLogin(r, "form", "", nil, event.Refused, "no valid login page")
		p.errorPage(w, http.StatusBadRequest, textExpired)
		return
	}
	if form.Get("action") == "continue" {
		p.proceed(w, r, req)
		return
	}
	u, err := p.authenticate(r, form.Get("username"), form.Get("password"))
	if err != nil {
		p.refuseLogin(w, r, req, form.Get("username"), u, err)
		return
	}
	p.complete(w, r, req, p.begin(u))
}

// fromPage finds the authorization request that the page was made for. Its box
// opens only with the cookie of the same browser: a form of another site has
// none that fits. Origin says nothing here, because Referrer-Policy makes it
// null, but Sec-Fetch-Site does.
func (p *Provider) fromPage(r *http.Request) (*authRequest, oauth.Form) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return nil, nil
	}
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	browser := p.cookie(r, "browser")
	if err != nil || browser == "" {
		return nil, nil
	}
	return p.openRequest(r.Context(), form.Get("request"), browser), form
}

// proceed: the user goes on with the session at hand; without one the login page
// comes.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, req *authRequest) {
	s, err := p.session(r)
	if err != nil {
		p.observeLogin(r, "session", req.Client, nil, event.Failed, "session")
		p.redirectError(w, req, p.unavailable("session", err))
		return
	}
	if s == nil || !s.fresh(req, p.cfg.Now()) {
		p.observeLogin(r, "session", req.Client, nil, event.Denied, "the session has ended")
		p.showLogin(w, r, http.StatusOK, req, loginPage{})
		return
	}
	p.complete(w, r, req, s)
}

// refuseLogin shows the page again. It is the same for a wrong password and for
// a user who does not exist.
func (p *Provider) refuseLogin(w http.ResponseWriter, r *http.Request, req *authRequest, name string, u *user, err error) {
	e := oauth.AsError(err)
	page, outcome := loginPage{Username: name, Alert: textFailed}, event.Failed
	switch e.Status {
	case http.StatusForbidden:
		page.Alert, outcome = textWrong, event.Denied
	case http.StatusTooManyRequests:
		page.Alert, outcome = textTooMany, event.Refused
	}
	if wait := e.Header.Get("Retry-After"); wait != "" {
		w.Header().Set("Retry-After", wait)
	}
	p.observeLogin(r, "form", req.Client, u, outcome, e.Code)
	p.showLogin(w, r, e.Status, req, page)
}

// complete issues the code and sends the browser back to the client. Everything
// is recorded in one commit before anything leaves.
func (p *Provider) complete(w http.ResponseWriter, r *http.Request, req *authRequest, s *session) {
	method := "form"
	if s.id != "" {
		method = "session"
	}
	code, id, err := p.record(r, req, s)
	switch {
	case errors.Is(err, store.ErrExists):
		p.observeLogin(r, method, req.Client, s.user, event.Refused, "the page was used already")
		p.errorPage(w, http.StatusBadRequest, textExpired)
		return
	case err != nil:
		p.observeLogin(r, method, req.Client, s.user, event.Failed, "storage")
		p.redirectError(w, req, p.unavailable("authorization code", err))
		return
	}
	if id != "" {
		p.setCookie(w, "session", id, p.cfg.SessionLife)
	}
	p.observeLogin(r, method, req.Client, s.user, event.Granted, "")
	p.redirect(w, req, url.Values{"code": {code}})
}

// record commits the code, that the page was used, and the session.
func (p *Provider) record(r *http.Request, req *authRequest, s *session) (code, id string, err error) {
	answered, err := p.doc(kindAuthRequest, req.ID, "", p.cfg.Now().Add(2*requestLife), answeredRecord{version{currentVersion}})
	if err != nil {
		return "", "", err
	}
	code, op, err := p.newCode(codeRecord{
		grant:    grant{Client: req.Client, User: s.user.name, Scope: req.Scope, AuthTime: s.record.AuthTime},
		Redirect: req.Redirect, Challenge: req.Challenge, Nonce: req.Nonce,
	})
	if err != nil {
		return "", "", err
	}
	ops, id, err := p.save(r.Context(), s, req.Client, p.cookie(r, "session"))
	if err != nil {
		return "", "", err
	}
	return code, id, p.commit(r.Context(), append(ops, store.Create(answered), op)...)
}

// observeLogin tells the outcome of a login, once.
func (p *Provider) observeLogin(r *http.Request, method, client string, u *user, o event.Outcome, reason string) {
	e := event.Login{Issuer: p.cfg.Issuer, ClientID: client, Method: method, Outcome: o, Reason: reason}
	if u != nil {
		e.Person = event.Person{Issuer: p.cfg.Issuer, Subject: u.id, Email: u.Email}
	}
	p.cfg.Observe(r.Context(), e)
}
