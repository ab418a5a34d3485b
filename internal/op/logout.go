package op

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	textBadLogout = "The application sent a request to log out that is not valid. You can log out on your account page."
	textBye       = "This browser does not know you any longer. Applications that you use may still know you; log out there, too."
)

// leaving is a valid logout request: where the browser goes afterwards, and of
// which session the hint speaks.
type leaving struct {
	client, redirect, state string
	hint                    *hint
}

// hint is what counts of an id_token_hint.
type hint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	AuthTime int64  `json:"auth_time"`
}

// logoutPage asks whether the user wants to leave.
type logoutPage struct {
	frame
	as
	Action, Request, Client, Back string
}

// logout is the end session endpoint (OpenID Connect RP-Initiated Logout §2), and
// takes the answer of its own page.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method == http.MethodPost {
		p.postedLogout(w, r)
		return
	}
	form, err := authorizeForm(r)
	if err != nil {
		p.badLogout(w)
		return
	}
	req, err := p.parseLogout(r.Context(), form)
	switch {
	case errors.Is(err, errLogout):
		p.badLogout(w)
	case err != nil:
		p.sorry(w, "ID token", err)
	default:
		p.leave(w, r, req)
	}
}

// postedLogout: a form of our own, or a request of an application (§2: both
// methods). The cookies of this browser do not come with a form of another site,
// so that one is sent here again.
func (p *Provider) postedLogout(w http.ResponseWriter, r *http.Request) {
	form, err := oauth.ParseForm(r, maxRequest)
	if err != nil {
		p.badLogout(w)
		return
	}
	if form.Get("request") == "" {
		see(w, p.path("logout")+"?"+url.Values(form).Encode())
		return
	}
	s, f, ok := p.opened(w, r, form, "logout")
	if !ok {
		return
	}
	p.end(w, r, s, leaving{client: f.Client, redirect: f.Redirect, state: f.State})
}

func (p *Provider) badLogout(w http.ResponseWriter) {
	p.errorPage(w, http.StatusBadRequest, textBadLogout, link{"Your account", p.path("account")})
}

var errLogout = errors.New("op: not a valid logout request")

// parseLogout reads a logout request. Nothing is sent to an address that is not
// registered for the client (§3): it is compared byte for byte.
func (p *Provider) parseLogout(ctx context.Context, f oauth.Form) (leaving, error) {
	req := leaving{client: f.Get("client_id"), redirect: f.Get("post_logout_redirect_uri"), state: f.Get("state")}
	if text := f.Get("id_token_hint"); text != "" {
		var err error
		if req.hint, err = p.readHint(ctx, text); err != nil {
			return req, err
		}
	}
	if req.hint != nil && req.client == "" {
		req.client = req.hint.Audience
	}
	if req.hint != nil && req.client != req.hint.Audience {
		return req, errLogout
	}
	client, known := p.client(req.client)
	switch {
	case req.client != "" && !known:
		return req, errLogout
	case req.redirect != "" && (!known || !slices.Contains(client.PostLogoutRedirectURIs, req.redirect)):
		return req, errLogout
	}
	return req, nil
}

// maxHint is the longest ID token that is read.
const maxHint = 6 << 10

// readHint reads an ID token of ours. It may have expired (§2); one whose key is
// gone already says nothing, and the user is asked.
func (p *Provider) readHint(ctx context.Context, text string) (*hint, error) {
	token, err := jose.Parse(text, maxHint)
	if err != nil {
		return nil, errLogout
	}
	h := new(hint)
	err = token.Verify(ctx, p.cfg.IDTokens, []string{p.cfg.IDTokens.Alg()}, h)
	switch {
	case errors.Is(err, jose.ErrNoKey):
		return nil, nil
	case errors.Is(err, jose.ErrToken), errors.Is(err, jose.ErrSignature), err == nil && h.Issuer != p.cfg.Issuer:
		return nil, errLogout
	case err != nil:
		return nil, err
	}
	return h, nil
}

// leave ends the session if the hint was issued in it, and asks otherwise: a link
// of any page must not log somebody out (§2).
func (p *Provider) leave(w http.ResponseWriter, r *http.Request, req leaving) {
	s, err := p.session(r)
	switch {
	case err != nil:
		p.sorry(w, "session", err)
	case s == nil:
		p.left(w, req)
	case req.hint != nil && req.hint.Subject == s.user.id && req.hint.AuthTime == s.record.AuthTime:
		p.end(w, r, s, req)
	default:
		p.askLogout(w, r, s, req)
	}
}

func (p *Provider) askLogout(w http.ResponseWriter, r *http.Request, s *session, req leaving) {
	sealed, err := p.sealForm(r.Context(), "logout", s, pageForm{Client: req.client, Redirect: req.redirect, State: req.state})
	if err != nil {
		p.sorry(w, "page", err)
		return
	}
	page := logoutPage{
		frame: p.frame("Log out?"), as: as{Account: s.user.Email}, Action: p.path("logout"), Request: sealed, Client: req.client,
	}
	forms := ownForm
	if req.redirect != "" {
		page.Back = target(req.redirect)
		forms += " " + formSource(req.redirect)
	}
	p.write(w, http.StatusOK, "logout.html", page, forms)
}

// end ends the session: in the store first, so that the cookie is worth nothing
// even where it was copied.
func (p *Provider) end(w http.ResponseWriter, r *http.Request, s *session, req leaving) {
	err := p.dropSession(r.Context(), s.doc.Key)
	if err != nil {
		p.sorry(w, "session", err)
		return
	}
	p.dropCookie(w, "session")
	p.left(w, req)
}

// dropSession deletes a session, whatever became of it meanwhile.
func (p *Provider) dropSession(ctx context.Context, key store.Key) error {
	for {
		doc, err := p.cfg.Store.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = p.commit(ctx, store.Delete(doc.Key, doc.Rev))
		}
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// left sends the browser where the application wants it, or says goodbye.
func (p *Provider) left(w http.ResponseWriter, req leaving) {
	if req.redirect == "" {
		p.note(w, "You are logged out", textBye)
		return
	}
	to := req.redirect
	if req.state != "" {
		to = withParams(to, url.Values{"state": {req.state}})
	}
	see(w, to)
}
