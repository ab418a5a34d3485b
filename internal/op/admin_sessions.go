package op

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// sessionKind is where a user is logged in.
type sessionKind string

// Kinds of sessions.
const (
	inBrowser     sessionKind = "browser"     // the pages of the provider know him there
	inApplication sessionKind = "application" // it has tokens of his
)

// sessionView is a login as administrators see it. Its id is a hash of what is
// secret: it proves nothing.
type sessionView struct {
	ID   string      `json:"session_id"`
	Kind sessionKind `json:"kind"`
	User string      `json:"user"`
	// Counts: the user is still there with the same password, and the client may be
	// used.
	Counts   bool      `json:"counts"`
	LoggedIn time.Time `json:"logged_in_at"`
	Expires  time.Time `json:"expires_at"`
	// Clients are those that he let in; of an application it is the one.
	Clients []string `json:"client_ids"`
	Scope   string   `json:"scope,omitempty"`
	Refresh bool     `json:"refresh_token,omitempty"`
}

// sessionPage is a page of the logins: browsers first, then applications.
type sessionPage struct {
	Sessions   []sessionView `json:"sessions"`
	Next       string        `json:"next,omitempty"`
	Unreadable int           `json:"unreadable,omitempty"`
	// Consents are those of the user who was asked for; with more there are others.
	Consents     []consentOf `json:"consents,omitzero"`
	MoreConsents bool        `json:"more_consents,omitempty"`
}

type consentOf struct {
	Client string    `json:"client_id"`
	Target string    `json:"target"`
	Claims []string  `json:"claims"`
	Given  time.Time `json:"given_at"`
}

// sessionAsk asks for the logins of a user, or revokes; "" is everybody's.
type sessionAsk struct {
	User string `json:"user"`
	ask
}

func (p *Provider) adminSessions(ctx context.Context, r *http.Request) (any, error) {
	if err := oauth.OnlyParams(r, "after", "issuer", "limit"); err != nil {
		return nil, err
	}
	a, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	return p.listSessions(ctx, sessionAsk{ask: a})
}

func (p *Provider) adminSessionsOf(ctx context.Context, r *http.Request) (any, error) {
	var in sessionAsk
	if err := readCommand(r, &in); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	name, err := p.named(in.User)
	if err != nil {
		return nil, err
	}
	in.User = name
	page, err := p.listSessions(ctx, in)
	if err != nil {
		return nil, err
	}
	return page, p.consentsOf(ctx, page, name)
}

// named gives the name of a user, who may be gone from the configuration: what he
// left behind can be ended all the same.
func (p *Provider) named(email string) (string, error) {
	a, err := oauth.ParseAddress(email)
	if err != nil {
		return "", oauth.Errorf(oauth.CodeInvalidRequest, "user must be an e-mail address")
	}
	return strings.ToLower(a.String()), nil
}

func (p *Provider) listSessions(ctx context.Context, in sessionAsk) (*sessionPage, error) {
	page := &sessionPage{Sessions: []sessionView{}}
	kind, after, _ := strings.Cut(in.After, ".")
	for _, k := range []string{kindSession, kindGrant} {
		if kind != "" && kind != k {
			continue
		}
		kind = ""
		left := in.Limit - len(page.Sessions)
		if left == 0 {
			page.Next = k + "."
			return page, nil
		}
		docs, err := p.cfg.Store.List(ctx, p.tenant, k, in.User, after, left)
		if err != nil {
			return nil, p.unavailable("sessions", err)
		}
		after = ""
		for _, doc := range docs {
			view, err := p.viewSession(doc)
			switch {
			case err == nil:
				page.Sessions = append(page.Sessions, view)
			case !errors.Is(err, store.ErrNotFound):
				page.Unreadable++
			}
		}
		if len(docs) == left {
			page.Next = k + "." + docs[left-1].ID
			return page, nil
		}
	}
	return page, nil
}

// viewSession reads a document of either kind.
func (p *Provider) viewSession(doc store.Doc) (sessionView, error) {
	view := sessionView{ID: doc.ID, Kind: inBrowser, Expires: doc.Expires.UTC(), Clients: []string{}}
	if doc.Kind == kindSession {
		var rec sessionRecord
		if err := p.decode(doc, &rec); err != nil {
			return view, err
		}
		u := p.user(rec.User)
		view.User, view.LoggedIn = rec.User, time.Unix(rec.AuthTime, 0).UTC()
		view.Counts = u != nil && rec.Password == passwordMark(u)
		view.Clients = append(view.Clients, rec.Clients...)
		return view, nil
	}
	var rec grantRecord
	if err := p.decode(doc, &rec); err != nil {
		return view, err
	}
	view.Kind, view.User, view.LoggedIn = inApplication, rec.User, time.Unix(rec.AuthTime, 0).UTC()
	view.Counts, view.Scope, view.Refresh = p.known(rec.grant), rec.Scope, rec.Refresh != nil
	view.Clients = append(view.Clients, rec.Client)
	return view, nil
}

// consentsOf adds what the user has agreed to. They are found by his sub, so only for
// who is in the configuration.
func (p *Provider) consentsOf(ctx context.Context, page *sessionPage, name string) error {
	u := p.user(name)
	if u == nil {
		return nil
	}
	given, err := p.consents(ctx, u)
	if err != nil {
		return p.unavailable("consents", err)
	}
	page.Consents, page.MoreConsents = []consentOf{}, len(given) == maxListed
	for _, c := range given {
		page.Consents = append(page.Consents, consentOf{Client: c.Client, Target: c.Target, Claims: c.Claims, Given: time.Unix(c.Given, 0).UTC()})
	}
	return nil
}

func (p *Provider) adminSession(ctx context.Context, r *http.Request) (any, error) {
	doc, err := p.findSession(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return p.viewFound(doc)
}

func (p *Provider) viewFound(doc store.Doc) (sessionView, error) {
	view, err := p.viewSession(doc)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return view, unknownSession()
	case err != nil:
		return view, p.unavailable("session", err)
	}
	return view, nil
}

func unknownSession() error {
	return notFound("there is no such session: what has ended is forgotten; see caddy uma sessions list")
}

// findSession reads what an id of the list names.
func (p *Provider) findSession(ctx context.Context, id string) (store.Doc, error) {
	if !isSecret(id) { // a hash has the same form
		return store.Doc{}, unknownSession()
	}
	for _, kind := range []string{kindSession, kindGrant} {
		doc, err := p.cfg.Store.Get(ctx, store.Key{Tenant: p.tenant, Kind: kind, ID: id})
		if err == nil {
			return doc, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return doc, p.unavailable("session", err)
		}
	}
	return store.Doc{}, unknownSession()
}
