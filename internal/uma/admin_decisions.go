package uma

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Decisions are listed with the newest first, which is the order of their ids. Nothing
// is written for the list alone.

// decisionView is a decision as administrators see it in a list. It names nobody:
// explain does.
type decisionView struct {
	ID              string             `json:"decision_id"`
	At              time.Time          `json:"at"`
	Outcome         event.Outcome      `json:"outcome"`
	Reason          string             `json:"reason,omitempty"`
	Policy          string             `json:"policy,omitempty"`
	Client          string             `json:"client_id"`
	ResourceServer  string             `json:"resource_server"`
	Owner           string             `json:"owner"`
	TicketChallenge string             `json:"ticket_challenge"`
	Asked           []oauth.Permission `json:"asked"`
}

type decisionPage struct {
	Decisions  []decisionView `json:"decisions"`
	Next       string         `json:"next,omitempty"`
	Unreadable int            `json:"unreadable,omitempty"`

	looked int
}

// decisionFilter says which decisions are meant; Since is RFC 3339, as long as they
// are kept if it is missing.
type decisionFilter struct {
	ask
	Outcome        event.Outcome `json:"outcome"`
	Client         string        `json:"client_id"`
	ResourceServer string        `json:"resource_server"`
	Owner          string        `json:"owner"`
	Person         string        `json:"person"`
	Since          time.Time     `json:"since"`

	person *blockable
}

func (s *Server) adminDecisions(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r, "outcome", "client_id", "resource_server", "owner", "since"); err != nil {
		return nil, err
	}
	page, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := decisionFilter{
		ask: page, Outcome: event.Outcome(q.Get("outcome")), Client: q.Get("client_id"),
		ResourceServer: q.Get("resource_server"), Owner: q.Get("owner"),
	}
	if text := q.Get("since"); text != "" {
		if f.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, oauth.Errorf(oauth.CodeInvalidRequest, "since must be a time such as 2026-01-02T15:04:05Z")
		}
	}
	return s.listDecisions(ctx, f)
}

func (s *Server) adminDecisionsOf(ctx context.Context, r *http.Request) (any, error) {
	var f decisionFilter
	if err := readAdmin(r, &f); err != nil {
		return nil, err
	}
	if err := f.checkPage(); err != nil {
		return nil, err
	}
	return s.listDecisions(ctx, f)
}

// keptOutcomes are those that decisions are kept with.
var keptOutcomes = []event.Outcome{event.Granted, event.Denied, event.Refused}

func (s *Server) listDecisions(ctx context.Context, f decisionFilter) (any, error) {
	who := grantFilter{Person: f.Person}
	if err := who.check(); err != nil {
		return nil, err
	}
	f.person = who.person
	if f.Outcome != "" && !slices.Contains(keptOutcomes, f.Outcome) {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "outcome must be granted, denied or refused: no others are kept")
	}
	now := s.cfg.Now()
	if kept := now.Add(-s.cfg.DecisionRetention()); f.Since.Before(kept) {
		f.Since = kept
	}
	page := &decisionPage{Decisions: []decisionView{}}
	if err := s.fillDecisions(ctx, page, &f); err != nil {
		return nil, err
	}
	slices.SortStableFunc(page.Decisions, func(a, b decisionView) int { return cmp.Compare(b.At.Unix(), a.At.Unix()) })
	return page, nil
}

// fillDecisions reads decisions with the newest first, and behind them those of
// before.
func (s *Server) fillDecisions(ctx context.Context, page *decisionPage, f *decisionFilter) (err error) {
	if strings.Contains(f.After, ".") {
		return s.addOlder(ctx, page, f)
	}
	if f.After != "" {
		if _, _, ok := decisionOf(f.After); !ok {
			return badAfter()
		}
	}
	if page.Next, err = s.addDecided(ctx, page, f); page.Next != "" || err != nil {
		return err
	}
	f.After = ""
	return s.addOlder(ctx, page, f)
}

func badAfter() error {
	return oauth.Errorf(oauth.CodeInvalidRequest, "after must be the member next of the page before")
}

// maxDeciding is far more than passes between the second in a decision's id, when
// its request came, and its end.
const maxDeciding = 5 * time.Minute

// errTooOld ends a walk: everything behind is older.
var errTooOld = errors.New("older than asked for")

// addDecided adds the decisions that fit, up to the first that is too old.
func (s *Server) addDecided(ctx context.Context, page *decisionPage, f *decisionFilter) (next string, err error) {
	last := f.Since.Add(-maxDeciding).Unix()
	next, err = s.walk(ctx, kindDecided, "", f.ask, func(doc store.Doc) (bool, error) {
		id, at, ok := decisionOf(doc.ID)
		switch {
		case !ok:
			page.Unreadable++
			return false, nil
		case at < last:
			return false, errTooOld
		}
		return s.addDecision(ctx, page, f, id, doc)
	})
	if errors.Is(err, errTooOld) {
		return "", nil
	}
	return next, err
}

// addDecision adds a decision if it fits.
func (s *Server) addDecision(ctx context.Context, page *decisionPage, f *decisionFilter, id string, doc store.Doc) (bool, error) {
	page.looked++
	rec, err := decodeRecord[decisionRecord](doc)
	if err != nil {
		page.Unreadable++
		return false, nil //nolint:nilerr // one does not save those behind it
	}
	fits, err := s.decisionFits(ctx, id, rec, f)
	if fits {
		page.Decisions = append(page.Decisions, rec.view(id))
	}
	return fits, err
}

func (s *Server) decisionFits(ctx context.Context, id string, rec decisionRecord, f *decisionFilter) (bool, error) {
	for _, pair := range [][2]string{
		{string(f.Outcome), string(rec.Outcome)},
		{f.Client, rec.Client},
		{f.ResourceServer, rec.ResourceServer},
		{f.Owner, rec.Owner},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false, nil
		}
	}
	if rec.at().Before(f.Since.Truncate(time.Second)) {
		return false, nil
	}
	if f.person == nil {
		return true, nil
	}
	return s.isOf(ctx, id, *f.person)
}

func (r decisionRecord) view(id string) decisionView {
	return decisionView{
		ID: id, At: r.at().UTC(), Outcome: r.Outcome, Reason: r.Reason, Policy: r.Policy, Client: r.Client,
		ResourceServer: r.ResourceServer, Owner: r.Owner, TicketChallenge: r.TicketChallenge,
		Asked: append([]oauth.Permission{}, r.Asked...),
	}
}
