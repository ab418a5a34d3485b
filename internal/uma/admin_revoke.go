package uma

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// reasonAdministrator is for the log, and for whoever looks at the grant afterwards.
const reasonAdministrator = "revoked by the administrator"

// revoked is the answer to a revocation. With Next the call is to be repeated with
// that as after: there may be more.
type revoked struct {
	Ended int    `json:"ended"`
	Next  string `json:"next,omitempty"`
}

// maxEnded is how many grants one call ends: each is a write of its own.
const maxEnded = 250

// revokeAsk names one grant, or says which.
type revokeAsk struct {
	Grant string `json:"grant_id"`
	grantFilter
	After string `json:"after"`
}

// adminRevokeGrants ends a grant with everything that came of it, also the claims
// that are kept for the client, or all live ones that fit.
func (s *Server) adminRevokeGrants(ctx context.Context, r *http.Request) (any, error) {
	var in revokeAsk
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	switch {
	case in.grantFilter == grantFilter{} && in.Grant == "":
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "say which grants are to end: name one, or a client, a resource, a person")
	case in.Grant == "":
		return s.revokeThose(ctx, in.grantFilter, in.After, event.Administration{Action: "grants_revoked"})
	case in.grantFilter != grantFilter{} || in.After != "":
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "grant_id stands alone")
	}
	return s.revokeOne(ctx, in.Grant)
}

func (s *Server) revokeOne(ctx context.Context, id string) (any, error) {
	g, err := s.knownGrant(ctx, id)
	if err != nil {
		return nil, err
	}
	out := revoked{}
	if out.Ended, err = s.endByAdministrator(ctx, id); err != nil {
		return nil, err
	}
	s.administered(ctx, event.Administration{
		Action: "grant_revoked", ID: id, ClientID: g.rec.Client, ResourceServer: g.rec.ResourceServer,
		Owner: g.rec.Owner, DecisionID: g.rec.DecisionID, Subject: g.rec.Subject, Ended: out.Ended,
	})
	return out, nil
}

// endByAdministrator ends a grant and those that upgrades put in its place, and says
// how many of them lived.
func (s *Server) endByAdministrator(ctx context.Context, id string) (ended int, err error) {
	for next := id; next != ""; {
		g, found, err := s.loadGrant(ctx, next)
		if err != nil {
			return 0, err
		}
		if !found {
			break
		}
		if s.lives(g.rec) {
			ended++
		}
		next = g.rec.Next
	}
	return ended, s.endGrant(ctx, id, reasonAdministrator, true)
}

// revokeThose ends the live grants that fit, as many as one call may.
// Whoever asked may go: what was begun is done, up to there. One that cannot be ended
// does not save the others. Each call is one event.
func (s *Server) revokeThose(ctx context.Context, f grantFilter, after string, e event.Administration) (any, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	page := ask{After: after, Limit: maxEnded}
	if err := page.checkPage(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	out := revoked{}
	var failed, unread, err error
	var next string
	for {
		next, err = s.walk(ctx, kindGrant, f.ResourceServer, page, func(doc store.Doc) (bool, error) {
			rec, err := decodeRecord[grantRecord](doc)
			if err != nil {
				unread = err
				return false, nil //nolint:nilerr // one does not save those behind it
			}
			n, fits, err := s.endFitting(ctx, doc.ID, rec, &f)
			if err != nil {
				failed = err // the last one stands for all
			}
			out.Ended += n
			return fits, nil
		})
		// A grant that cannot be read will not be the next time: there is no page after
		// this one to ask for, so all are of this call.
		if page.After = next; err != nil || failed != nil || unread == nil || next == "" {
			break
		}
	}
	s.administered(ctx, f.event(e, out.Ended))
	if err = errors.Join(err, failed, unread); err != nil {
		return nil, &oauth.Error{
			Code: oauth.CodeUnavailable, Status: http.StatusServiceUnavailable, Err: err,
			Description: "not everything that is live could be ended; give the command again",
		}
	}
	out.Next = next
	return out, nil
}

// endFitting ends a grant that lives and fits.
func (s *Server) endFitting(ctx context.Context, id string, rec grantRecord, f *grantFilter) (ended int, fits bool, err error) {
	if !s.lives(rec) {
		return 0, false, nil
	}
	if fits, err = s.fits(ctx, rec, f); err != nil || !fits {
		return 0, false, err
	}
	ended, err = s.endByAdministrator(ctx, id)
	return ended, true, err
}

// event says whose grants were ended: an address stands in Person alone.
func (f grantFilter) event(e event.Administration, ended int) event.Administration {
	e.Ended, e.ClientID, e.ResourceServer, e.Owner = ended, f.Client, f.ResourceServer, f.Owner
	e.DecisionID, e.Subject = f.DecisionID, f.Subject
	defaultTo(&e.ID, f.Resource)
	if f.person == nil {
		return e
	}
	switch f.person.kind {
	case blockAddress:
		e.Person.Email = f.person.value
	case blockDomain:
		e.Domain = f.person.value
	case blockIssuer:
		e.Person.Issuer = f.person.value
	}
	return e
}
