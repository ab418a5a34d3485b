package op

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const textAccount = "You can see here who may learn something about you."

const textByeAll = "Every browser and every application has to log in again. What an application has got already may live on for some minutes."

// accountPage is what the account page shows.
type accountPage struct {
	frame
	as
	Action   string
	Logout   string // the sealed form
	Apps     []appView
	Consents []consentView
	More     bool // there is more than is shown
	Sessions int
}

// consentView is a consent on the account page. Request is the sealed form that
// ends it.
type consentView struct {
	Client, Target, Request string
	Claims                  []string
	Given                   day
}

// appView is an application that has tokens of the user, on how many devices, and
// since when. Request is the sealed form that ends them.
type appView struct {
	Client, Request string
	Grants          int
	Since           day
}

// account shows the user what he has allowed, and lets him end it.
func (p *Provider) account(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method == http.MethodPost {
		p.postedAccount(w, r)
		return
	}
	if s := p.visit(w, r, "account", textAccount, nil); s != nil {
		p.showAccount(w, r, s)
	}
}

func (p *Provider) showAccount(w http.ResponseWriter, r *http.Request, s *session) {
	page, err := p.accountPage(r.Context(), s)
	if err != nil {
		p.sorry(w, "account", err)
		return
	}
	p.write(w, http.StatusOK, "account.html", page, ownForm)
}

func (p *Provider) accountPage(ctx context.Context, s *session) (*accountPage, error) {
	page := &accountPage{frame: p.frame("Your account"), as: p.as(s, "account", nil), Action: p.path("account")}
	sessions, err := p.cfg.Store.List(ctx, p.tenant, kindSession, s.user.name, "", maxListed)
	if err != nil {
		return nil, err
	}
	page.Sessions = len(sessions)
	if err := p.addConsents(ctx, s, page); err != nil {
		return nil, err
	}
	if err := p.addApps(ctx, s, page); err != nil {
		return nil, err
	}
	page.Logout, err = p.sealForm(ctx, "account", s, pageForm{})
	return page, err
}

func (p *Provider) addConsents(ctx context.Context, s *session, page *accountPage) error {
	given, err := p.consents(ctx, s.user)
	page.More = page.More || len(given) == maxListed
	for _, c := range given {
		sealed, err := p.sealForm(ctx, "account", s, pageForm{Client: c.Client, Target: c.Target})
		if err != nil {
			return err
		}
		page.Consents = append(page.Consents, consentView{
			Client: c.Client, Target: c.Target, Request: sealed, Claims: released(c.Claims), Given: dayOf(time.Unix(c.Given, 0)),
		})
	}
	return err
}

// addApps adds the applications with grants that still count.
func (p *Provider) addApps(ctx context.Context, s *session, page *accountPage) error {
	docs, err := p.cfg.Store.List(ctx, p.tenant, kindGrant, s.user.name, "", maxListed)
	if err != nil {
		return err
	}
	page.More = page.More || len(docs) == maxListed
	apps := make(map[string][]int64)
	for _, doc := range docs {
		record := new(grantRecord)
		if err := p.decode(doc, record); err == nil && p.known(record.grant) {
			apps[record.Client] = append(apps[record.Client], record.AuthTime)
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	for _, client := range slices.Sorted(maps.Keys(apps)) {
		sealed, err := p.sealForm(ctx, "account", s, pageForm{Client: client})
		if err != nil {
			return err
		}
		page.Apps = append(page.Apps, appView{
			Client: client, Request: sealed, Grants: len(apps[client]), Since: dayOf(time.Unix(slices.Min(apps[client]), 0)),
		})
	}
	return nil
}

// postedAccount does what a button of the page says.
func (p *Provider) postedAccount(w http.ResponseWriter, r *http.Request) {
	s, f, form, ok := p.posted(w, r, "account")
	if !ok {
		return
	}
	switch {
	case f.Target != "":
		p.takeBack(w, r, s, f)
	case f.Client != "":
		p.endApp(w, r, s, f.Client)
	case form.Get("action") == "everywhere":
		p.endAll(w, r, s)
	default:
		p.end(w, r, s, leaving{})
	}
}

// takeBack ends a consent. Claims tokens that exist live on for minutes at most.
func (p *Provider) takeBack(w http.ResponseWriter, r *http.Request, s *session, f pageForm) {
	err := p.withdraw(r.Context(), askedConsent{User: s.user.id, Client: f.Client, Target: f.Target})
	e := event.Consent{
		Issuer: p.cfg.Issuer, ClientID: f.Client, Target: f.Target, Person: p.person(s.user),
		Outcome: event.Denied, Reason: "the user has taken the consent back",
	}
	if err != nil {
		e.Outcome, e.Reason = event.Failed, "storage"
	}
	p.cfg.Observe(r.Context(), e)
	if err != nil {
		p.sorry(w, "consent", err)
		return
	}
	see(w, p.path("account"))
}

// endApp ends what an application has: it must ask the user to log in again.
func (p *Provider) endApp(w http.ResponseWriter, r *http.Request, s *session, client string) {
	if err := p.endAccess(r.Context(), s.user, client, "the user has ended it"); err != nil {
		p.errorPage(w, http.StatusServiceUnavailable, textFailed)
		return
	}
	see(w, p.path("account"))
}

// endAll logs the user out in every browser and every application.
func (p *Provider) endAll(w http.ResponseWriter, r *http.Request, s *session) {
	if err := p.endAccess(r.Context(), s.user, "", "the user has logged out everywhere"); err != nil {
		p.errorPage(w, http.StatusServiceUnavailable, textFailed)
		return
	}
	if _, err := p.dropSessions(r.Context(), s.user.name); err != nil {
		p.sorry(w, "session", err)
		return
	}
	p.dropCookie(w, "session")
	p.note(w, "You are logged out everywhere", textByeAll)
}

// dropSessions ends the sessions of a user, by his name, and says how many. The
// number of rounds is bounded, and so is the number of sessions, by the limit on
// logins.
func (p *Provider) dropSessions(ctx context.Context, name string) (dropped int, err error) {
	for range 100 {
		docs, err := p.cfg.Store.List(ctx, p.tenant, kindSession, name, "", store.MaxOps)
		if err != nil || len(docs) == 0 {
			return dropped, err
		}
		for _, doc := range docs {
			if err := p.dropSession(ctx, doc.Key); err != nil {
				return dropped, err
			}
			dropped++
		}
	}
	return dropped, nil
}
