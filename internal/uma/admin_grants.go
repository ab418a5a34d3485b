package uma

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// grantState is what has become of a grant.
type grantState string

// States of a grant.
const (
	grantLives   grantState = "live"
	grantExpired grantState = "expired"
	grantEnded   grantState = "ended"
)

// grantView is a grant as administrators see it. It names the person by the sub of
// RPTs alone; who that is, explain says of the decision.
type grantView struct {
	ID             string             `json:"grant_id"`
	State          grantState         `json:"state"`
	Ended          string             `json:"ended_because,omitempty"`
	Client         string             `json:"client_id"`
	ResourceServer string             `json:"resource_server"`
	Owner          string             `json:"owner"`
	Subject        string             `json:"sub"`
	Policy         string             `json:"policy,omitempty"`
	DecisionID     string             `json:"decision_id"`
	Issued         time.Time          `json:"issued_at,omitzero"`
	Expires        time.Time          `json:"expires_at"`
	Permissions    []oauth.Permission `json:"permissions"`
	// RPTs is how many count now, Refresh whether there is a refresh token.
	RPTs    int  `json:"rpts"`
	Refresh bool `json:"refresh_token"`
}

// grantPage is a page of the grants. Unreadable are those that another program
// wrote.
type grantPage struct {
	Grants     []grantView `json:"grants"`
	Next       string      `json:"next,omitempty"`
	Unreadable int         `json:"unreadable,omitempty"`
}

// grantFilter says which grants are meant; what is empty says nothing. Person is an
// address, a domain or an issuer, written as for a block. Resource is also the
// pattern of an instance.
type grantFilter struct {
	Client         string `json:"client_id"`
	ResourceServer string `json:"resource_server"`
	Owner          string `json:"owner"`
	Subject        string `json:"sub"`
	DecisionID     string `json:"decision_id"`
	Resource       string `json:"resource_id"`
	Person         string `json:"person"`

	person *blockable
}

// grantAsk is a question for grants. All includes those that have ended.
type grantAsk struct {
	grantFilter
	ask
	All bool `json:"all"`
}

func (s *Server) adminGrants(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r, "client_id", "resource_server", "owner", "sub", "decision_id", "resource_id", "all"); err != nil {
		return nil, err
	}
	page, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	if all := q.Get("all"); all != "" && all != "true" && all != "false" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "all must be true or false")
	}
	return s.listGrants(ctx, grantAsk{ask: page, All: q.Get("all") == "true", grantFilter: grantFilter{
		Client: q.Get("client_id"), ResourceServer: q.Get("resource_server"), Owner: q.Get("owner"),
		Subject: q.Get("sub"), DecisionID: q.Get("decision_id"), Resource: q.Get("resource_id"),
	}})
}

func (s *Server) adminGrantsOf(ctx context.Context, r *http.Request) (any, error) {
	var in grantAsk
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	if err := in.checkPage(); err != nil {
		return nil, err
	}
	return s.listGrants(ctx, in)
}

func (s *Server) listGrants(ctx context.Context, in grantAsk) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	page := grantPage{Grants: []grantView{}}
	var err error
	page.Next, err = s.walk(ctx, kindGrant, in.ResourceServer, in.ask, func(doc store.Doc) (bool, error) {
		rec, err := decodeRecord[grantRecord](doc)
		if err != nil {
			page.Unreadable++
			return false, nil //nolint:nilerr // one does not save those behind it
		}
		if !in.All && !s.lives(rec) {
			return false, nil
		}
		fits, err := s.fits(ctx, rec, &in.grantFilter)
		if fits {
			page.Grants = append(page.Grants, s.viewGrant(doc.ID, rec))
		}
		return fits, err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// check reads the person, and keeps from the store what it does not take.
func (f *grantFilter) check() error {
	if !isKey(f.ResourceServer) {
		return oauth.Errorf(oauth.CodeInvalidRequest, "resource_server must be a client_id")
	}
	if f.Person == "" {
		return nil
	}
	b, err := parseBlockable(f.Person)
	if err != nil {
		return oauth.Errorf(oauth.CodeInvalidRequest,
			"person must be an e-mail address, a domain (bob.example, or *.bob.example for its subdomains) or an issuer (https://...)")
	}
	f.person = &b
	return nil
}

// fits tells whether a grant is one of those that are meant. What stands in the grant
// itself is compared first; whose it is has to be unsealed.
func (s *Server) fits(ctx context.Context, rec grantRecord, f *grantFilter) (bool, error) {
	for _, pair := range [][2]string{
		{f.Client, rec.Client},
		{f.ResourceServer, rec.ResourceServer},
		{f.Owner, rec.Owner},
		{f.Subject, rec.Subject},
		{f.DecisionID, rec.DecisionID},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false, nil
		}
	}
	if f.Resource != "" {
		if is, err := s.isAbout(ctx, rec, f.Resource); err != nil || !is {
			return false, err
		}
	}
	if f.person == nil {
		return true, nil
	}
	return s.isOf(ctx, rec.DecisionID, *f.person)
}

// isAbout tells whether a grant opens a resource, or an instance of a pattern.
func (s *Server) isAbout(ctx context.Context, rec grantRecord, id string) (bool, error) {
	for _, p := range rec.Permissions {
		if p.ResourceID == id {
			return true, nil
		}
		if len(p.ResourceID) != instanceIDLength || len(id) == instanceIDLength {
			continue
		}
		kept, _, err := load[instanceRecord](ctx, s, kindInstance, p.ResourceID)
		if err != nil && !absent(err) {
			return false, s.unavailable("instance", err)
		}
		if err == nil && kept.Pattern == id {
			return true, nil
		}
	}
	return false, nil
}

// isOf tells whether a decision was about somebody. One that cannot be read any more
// is nobody's.
func (s *Server) isOf(ctx context.Context, decision string, b blockable) (bool, error) {
	_, who, _, err := s.pastDecision(ctx, decision)
	if unreadable(err) {
		return false, nil
	}
	if err != nil {
		return false, s.unavailable("decision", err)
	}
	return slices.Contains(who.blockables(), b), nil
}

func (s *Server) viewGrant(id string, rec grantRecord) grantView {
	now := s.cfg.Now()
	view := grantView{
		ID: id, State: s.stateOf(rec), Ended: rec.Revoked, Client: rec.Client, ResourceServer: rec.ResourceServer,
		Owner: rec.Owner, Subject: rec.Subject, Policy: rec.Policy, DecisionID: rec.DecisionID,
		Issued: timeOf(rec.IssuedAt), Expires: timeOf(rec.Expires),
		Permissions: append([]oauth.Permission{}, rec.Permissions...),
		Refresh:     now.Before(time.Unix(rec.Refresh.Ends, 0)),
	}
	for _, rpt := range rec.RPTs {
		if rpt.good(now) {
			view.RPTs++
		}
	}
	return view
}

func (s *Server) stateOf(rec grantRecord) grantState {
	switch {
	case rec.Revoked != "":
		return grantEnded
	case s.lives(rec):
		return grantLives
	default:
		return grantExpired
	}
}
