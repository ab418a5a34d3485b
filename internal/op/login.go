package op

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// What pages say.
const (
	textForeign   = "This page is too old or belongs to another browser. Go back to the application and start again."
	textStale     = "This page is too old, or you have logged in again since it was opened."
	textUsed      = "This page was used already."
	textExpired   = "You waited too long on the login page, so it is no longer valid."
	textLoggedOut = "You are no longer logged in."
	textWrong     = "The e-mail address or the password is wrong."
	textFailed    = "The server cannot do this at the moment. Please try again later."
)

// login takes the form of the login page.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	req, form := p.fromPage(w, r)
	if req == nil {
		p.observeLogin(r, "form", "", nil, event.Refused, "no valid login page")
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
// none that fits. Without a request that may still be answered, an error page has
// been written; it leads to the start, if that can be known.
func (p *Provider) fromPage(w http.ResponseWriter, r *http.Request) (*authRequest, oauth.Form) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	browser := p.cookie(r, "browser")
	if err != nil || browser == "" || foreign(r) {
		p.errorPage(w, http.StatusBadRequest, textForeign)
		return nil, nil
	}
	req, fresh := p.openRequest(r.Context(), form.Get("request"), browser)
	switch {
	case req == nil:
		p.errorPage(w, http.StatusBadRequest, textForeign)
		return nil, nil
	case !fresh:
		p.errorPage(w, http.StatusBadRequest, textExpired, link{"Start again", p.restart(req)})
		return nil, nil
	}
	return req, form
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
	if hashID(s.id) != req.Session { // somebody else has logged in in another window
		p.observeLogin(r, "session", req.Client, s.user, event.Denied, "the page was about another session")
		p.showLogin(w, r, http.StatusOK, req, loginPage{session: s})
		return
	}
	p.complete(w, r, req, s)
}

// refuseLogin shows the page again. It is the same for a wrong password and for
// a user who does not exist.
func (p *Provider) refuseLogin(w http.ResponseWriter, r *http.Request, req *authRequest, name string, u *user, err error) {
	e := oauth.AsError(err)
	page, outcome := loginPage{Username: name}, event.Failed
	page.Alert = textFailed
	wait := e.Header.Get("Retry-After")
	switch e.Status {
	case http.StatusForbidden:
		page.Alert, page.Field, outcome = textWrong, "password", event.Denied
	case http.StatusTooManyRequests:
		page.Alert, outcome = tooMany(wait), event.Refused
	}
	if wait != "" {
		w.Header().Set("Retry-After", wait)
	}
	p.observeLogin(r, "form", req.Client, u, outcome, e.Code)
	p.showLogin(w, r, e.Status, req, page)
}

// tooMany says how long to wait, in whole minutes.
func tooMany(seconds string) string {
	n, _ := strconv.Atoi(seconds)
	wait := "a minute"
	if minutes := (n + 59) / 60; minutes > 1 {
		wait = strconv.Itoa(minutes) + " minutes"
	}
	return "There were too many attempts. Wait " + wait + " before you try again."
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
		p.errorPage(w, http.StatusBadRequest, textUsed, link{"Start again", p.restart(req)})
		return
	case err != nil:
		p.observeLogin(r, method, req.Client, s.user, event.Failed, "storage")
		p.redirectError(w, req, p.unavailable("authorization code", err))
		return
	}
	if id != "" {
		p.setCookie(w, "session", id, p.cfg.SessionLife)
		p.remember(w, r, s.user)
	}
	p.observeLogin(r, method, req.Client, s.user, event.Granted, "")
	p.redirect(w, req, url.Values{"code": {code}})
}

// record commits the code, that the page was used, and the session. A login for
// a page of our own gives no code.
func (p *Provider) record(r *http.Request, req *authRequest, s *session) (code, id string, err error) {
	ops, id, err := p.save(r.Context(), s, req.Client, p.cookie(r, "session"))
	if err != nil {
		return "", "", err
	}
	answered, err := p.doc(kindAuthRequest, req.ID, "", p.cfg.Now().Add(2*requestLife), answeredRecord{version{currentVersion}})
	if err != nil {
		return "", "", err
	}
	ops = append(ops, store.Create(answered))
	if req.Return != "" {
		return "", id, p.commit(r.Context(), ops...)
	}
	code, op, err := p.newCode(codeRecord{
		grant:    s.user.grants(req.Client, req.Scope, s.record.AuthTime),
		Redirect: req.Redirect, Challenge: req.Challenge, Nonce: req.Nonce,
	})
	if err != nil {
		return "", "", err
	}
	return code, id, p.commit(r.Context(), append(ops, op)...)
}

// loginPage is what the login page shows.
type loginPage struct {
	frame
	session *session

	Action, Purpose, Client, Target string
	Request, Username               string
	Claims                          []string // what the client learns
	// Account is the user of the session; Other the link to log in as another.
	as
}

// showLogin writes the login page for a request, bound to the browser.
func (p *Provider) showLogin(w http.ResponseWriter, r *http.Request, status int, req *authRequest, page loginPage) {
	browser := p.cookie(r, "browser")
	if browser == "" {
		browser = secret()
	}
	// Set again each time, so that it outlives the page: then a page that is too old
	// can still tell where to begin again.
	p.setCookie(w, "browser", browser, browserLife)
	if page.session != nil {
		bound := *req
		bound.Session = hashID(page.session.id)
		req = &bound
	}
	sealed, err := p.sealRequest(r.Context(), req, browser)
	if err != nil {
		p.sorry(w, "login page", err)
		return
	}
	alert, field := page.Alert, page.Field
	page.frame = p.frame("Log in to " + p.issuerURL.Host)
	page.Alert, page.Field = alert, field
	page.Action, page.Request, page.Purpose, page.Client = p.path("login"), sealed, req.Purpose, req.Client
	if page.session != nil {
		page.as = as{page.session.user.Email, p.path("authorize") + "?" + req.again("login")}
	}
	forms := ownForm
	if req.Return == "" {
		page.Target, page.Claims = target(req.Redirect), scopeWords(req.Scope)
		forms += " " + formSource(req.Redirect)
	}
	p.write(w, status, "login.html", page, forms)
}

// observeLogin tells the outcome of a login, once.
func (p *Provider) observeLogin(r *http.Request, method, client string, u *user, o event.Outcome, reason string) {
	e := event.Login{Issuer: p.cfg.Issuer, ClientID: client, Method: method, Outcome: o, Reason: reason}
	if u != nil {
		e.Person = p.person(u)
	}
	p.cfg.Observe(r.Context(), e)
}

func (p *Provider) person(u *user) event.Person {
	return event.Person{Issuer: p.cfg.Issuer, Subject: u.id, Email: u.Email}
}
