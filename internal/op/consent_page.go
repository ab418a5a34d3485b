package op

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	textConsent  = "An application wants to show something about you to a server."
	textBadAsk   = "This link is not valid, or too old. Go back to the application and start again."
	textOtherAsk = "This question is for somebody else. If you have another account here, log in with it."
)

// consentPage is what the consent page shows.
type consentPage struct {
	frame
	as
	Action, Request, Client, Target string
	Claims                          []string
	Until                           day
}

// consent shows what an application asks for, and takes the answer.
func (p *Provider) consent(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method == http.MethodGet {
		p.askConsent(w, r)
		return
	}
	if s, f, form, ok := p.posted(w, r, "consent"); ok {
		p.decideConsent(w, r, s, f, form.Get("decision"))
	}
}

// askConsent opens the link that Consented made.
func (p *Provider) askConsent(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("request")
	var ask askedConsent
	if err := p.openJSON(r.Context(), text, &ask, p.askData()...); err != nil || p.cfg.Now().Unix() >= ask.Expires {
		p.errorPage(w, http.StatusBadRequest, textBadAsk)
		return
	}
	query := url.Values{"request": {text}}
	s := p.visit(w, r, "consent", textConsent, query)
	if s == nil {
		return
	}
	as := p.as(s, "consent", query)
	if s.user.id != ask.User {
		p.errorPage(w, http.StatusForbidden, textOtherAsk, link{"Log in with another account", as.Other})
		return
	}
	p.showConsent(w, r, s, as, ask)
}

func (p *Provider) showConsent(w http.ResponseWriter, r *http.Request, s *session, as as, ask askedConsent) {
	sealed, err := p.sealForm(r.Context(), "consent", s, pageForm{Client: ask.Client, Target: ask.Target, Claims: ask.Claims})
	if err != nil {
		p.sorry(w, "page", err)
		return
	}
	p.write(w, http.StatusOK, "consent.html", consentPage{
		frame: p.frame("Share your data?"), as: as, Action: p.path("consent"), Request: sealed,
		Client: ask.Client, Target: ask.Target, Claims: released(ask.Claims), Until: dayOf(p.cfg.Now().Add(consentLife)),
	}, ownForm)
}

// decideConsent records a yes. A no is not remembered: the application may ask
// again, and nothing is shared until then.
func (p *Provider) decideConsent(w http.ResponseWriter, r *http.Request, s *session, f pageForm, decision string) {
	e := event.Consent{Issuer: p.cfg.Issuer, ClientID: f.Client, Target: f.Target, Person: p.person(s.user), Outcome: event.Granted}
	if decision != "allow" {
		e.Outcome, e.Reason = event.Denied, "the user has refused"
		p.cfg.Observe(r.Context(), e)
		p.note(w, "Nothing was shared", "You can close this page.")
		return
	}
	ask := askedConsent{User: s.user.id, Client: f.Client, Target: f.Target, Claims: f.Claims}
	err := p.agree(r.Context(), ask)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) { // answered twice at once
		err = p.agree(r.Context(), ask)
	}
	if err != nil {
		e.Outcome, e.Reason = event.Failed, "storage"
		p.cfg.Observe(r.Context(), e)
		p.sorry(w, "consent", err)
		return
	}
	p.cfg.Observe(r.Context(), e)
	p.note(w, "Thank you", "Go back to the application and try again. You can take your consent back at any time.",
		link{"Your account", p.path("account")})
}
