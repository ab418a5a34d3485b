package uma

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Decisions are listed with the newest first, minute by minute: that is what they are
// found by (minuteOf). Nothing is written for the list alone.

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

// maxMinutes is how many minutes are looked at for one page: without decisions a day.
const maxMinutes = 24 * 60

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
	minute, after, err := s.decisionsFrom(f.After)
	if err != nil {
		return nil, err
	}
	page := decisionPage{Decisions: []decisionView{}}
	first := f.Since.Unix() / 60
	for seen := 0; minute >= first; seen, minute, after = seen+1, minute-1, "" {
		left := f.Limit - len(page.Decisions)
		if seen == maxMinutes || left == 0 || page.looked >= maxLooked {
			page.Next = strconv.FormatInt(minute, 10) + "."
			break
		}
		next, err := s.addMinute(ctx, &page, &f, minute, ask{After: after, Limit: left})
		if err != nil {
			return nil, err
		}
		if next != "" {
			page.Next = strconv.FormatInt(minute, 10) + "." + next
			break
		}
	}
	slices.SortStableFunc(page.Decisions, func(a, b decisionView) int { return cmp.Compare(b.At.Unix(), a.At.Unix()) })
	return page, nil
}

// decisionsFrom reads where the page begins: in which minute, behind which id. The
// clock of the node that decided may be ahead.
func (s *Server) decisionsFrom(after string) (minute int64, id string, err error) {
	if after == "" {
		return s.cfg.Now().Add(s.cfg.Leeway).Unix() / 60, "", nil
	}
	text, id, found := strings.Cut(after, ".")
	minute, err = strconv.ParseInt(text, 10, 64)
	if err != nil || !found || minute > s.cfg.Now().Add(s.cfg.Leeway).Unix()/60 {
		return 0, "", oauth.Errorf(oauth.CodeInvalidRequest, "after must be the member next of the page before")
	}
	return minute, id, nil
}

// addMinute adds the decisions of a minute that fit.
func (s *Server) addMinute(ctx context.Context, page *decisionPage, f *decisionFilter, minute int64, a ask) (next string, err error) {
	return s.walk(ctx, kindDecision, strconv.FormatInt(minute, 10), a, func(doc store.Doc) (bool, error) {
		page.looked++
		rec, err := decodeRecord[decisionRecord](doc)
		if err != nil {
			page.Unreadable++
			return false, nil //nolint:nilerr // one does not save those behind it
		}
		fits, err := s.decisionFits(ctx, doc.ID, rec, f)
		if fits {
			page.Decisions = append(page.Decisions, rec.view(doc.ID))
		}
		return fits, err
	})
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
