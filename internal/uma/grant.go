package uma

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// grantRecord is what a ticket led to: the root of every RPT and refresh token
// that comes of it, for one requesting party, client, resource server and owner
// (UMA Grant §1.3). It names the person by the RPT's opaque sub alone; who that
// is lies sealed in the decision.
type grantRecord struct {
	version
	ResourceServer string             `json:"resource_server"`
	Owner          string             `json:"owner"`
	Client         string             `json:"client"`
	Subject        string             `json:"sub"`
	Confirm        confirmation       `json:"cnf,omitzero"`
	Permissions    []oauth.Permission `json:"permissions"`
	Policy         string             `json:"policy"`
	DecisionID     string             `json:"decision_id"`
	// Revision is that of the policies which allowed the permissions last.
	Revision string `json:"policy_revision"`
	// IssuedAt is when it was made; 0 = it is older than this member.
	IssuedAt int64 `json:"iat,omitempty"`
	// Expires is when the last of all that came of the grant ends.
	Expires int64 `json:"exp"`
	// Serial is the number of the newest RPT, RPTs are those that count.
	Serial  int          `json:"serial"`
	RPTs    []rptRecord  `json:"rpts,omitempty"`
	Refresh refreshState `json:"refresh,omitzero"`
	// PCT is the hash of the persisted claims token that was issued together with
	// the grant, Next the grant that an upgrade put in the place of this one.
	PCT  string `json:"pct,omitempty"`
	Next string `json:"next,omitempty"`
	// Revoked says why it ended; "" = it lives.
	Revoked string `json:"revoked,omitempty"`
}

// rptRecord is an RPT that is not revoked.
type rptRecord struct {
	Serial   int   `json:"n"`
	IssuedAt int64 `json:"iat"`
	Expires  int64 `json:"exp"`
	// Scopes are those that the client asked for at a refresh; nil = all of the
	// grant's permissions.
	Scopes []string `json:"scopes,omitempty"`
	// Place is where the status of a JWT stands; opaque RPTs have none.
	Place *statusPlace `json:"status,omitempty"`
}

// refreshState is the refresh token of a grant; the zero value is none.
type refreshState struct {
	Current string `json:"current"`          // hash of the token that is good
	Before  string `json:"before,omitempty"` // hash of the one that it replaced
	Rotated int64  `json:"rotated,omitempty"`
	Ends    int64  `json:"ends"`
}

const (
	// idBytes: the id of a grant is 128 random bits, which each RPT carries in its
	// jti (RFC 7519 §4.1.7); so is the _id of a resource (DESIGN §8).
	idBytes = 16
	// maxRPTs is how many RPTs of one grant count at once. Records must stay small,
	// however often a client refreshes.
	maxRPTs = 32
	// maxNarrowed is how many bytes of scopes the RPTs of a grant may be narrowed to.
	maxNarrowed = 32 << 10
	// maxRaces is how often a change is tried again that lost against another one.
	maxRaces = 8
)

// grant is a grant record that is in the store, or will be.
type grant struct {
	id  string
	rec grantRecord
	rev int64 // 0 = not written yet
	// evicted: an RPT that was still good had to make room for another one.
	evicted bool
	// dropped are the RPTs that counted when the record was read and must be on a
	// status list from its next write on.
	dropped []rptRecord
}

// loadGrant reads a grant. What is not there is no error.
func (s *Server) loadGrant(ctx context.Context, id string) (g *grant, found bool, err error) {
	rec, doc, err := load[grantRecord](ctx, s, kindGrant, id)
	if absent(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.unavailable("grant", err)
	}
	return &grant{id: id, rec: rec, rev: doc.Rev}, true, nil
}

// ops gives the ops that write the grant. What it takes back gets onto the status
// lists by the same commit, behind the grant: who loses a race loses it there.
func (s *Server) ops(g *grant) ([]store.Op, error) {
	// What has expired is still known for a while: as a candidate for an upgrade,
	// and for clocks that go wrong.
	expires := time.Unix(g.rec.Expires, 0).Add(2 * s.cfg.Leeway)
	doc, err := s.doc(kindGrant, g.id, g.rec.ResourceServer, expires, g.rec)
	if err != nil {
		return nil, err
	}
	more, err := s.takeBack(g)
	return append([]store.Op{over(g.rev, doc)}, more...), err
}

// saveGrant writes a changed grant together with other ops. The error wraps
// store.ErrConflict if somebody else changed it in the meantime.
func (s *Server) saveGrant(ctx context.Context, g *grant, more ...store.Op) error {
	ops, err := s.ops(g)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, append(ops, more...)...); err != nil {
		return s.unavailable("grant", err)
	}
	g.rev, g.dropped = g.rev+1, nil
	return nil
}

// again repeats what lost against another change; do must read everything anew.
func (s *Server) again(do func() error) (err error) {
	for range maxRaces {
		if err = do(); !errors.Is(err, store.ErrConflict) && !claimedByAnother(err) {
			return err
		}
	}
	return err
}

// add takes in a new RPT. Those that have expired leave the record, and the oldest
// one if there are too many.
func (g *grant) add(rpt rptRecord, now time.Time, leeway time.Duration) {
	g.rec.RPTs = slices.DeleteFunc(g.rec.RPTs, func(old rptRecord) bool {
		return !now.Before(time.Unix(old.Expires, 0).Add(2 * leeway))
	})
	g.rec.RPTs = append(g.rec.RPTs, rpt)
	for len(g.rec.RPTs) > 1 && g.tooMany() {
		oldest := g.rec.RPTs[0]
		g.evicted = g.evicted || oldest.good(now)
		g.drop(oldest.Serial)
	}
	g.rec.Expires = max(g.rec.Expires, rpt.Expires)
}

// tooMany tells whether the RPTs make the record too large.
func (g *grant) tooMany() bool {
	size := 0
	for _, rpt := range g.rec.RPTs {
		for _, scope := range rpt.Scopes {
			size += len(scope)
		}
	}
	return len(g.rec.RPTs) > maxRPTs || size > maxNarrowed
}

func (r rptRecord) good(now time.Time) bool { return now.Before(time.Unix(r.Expires, 0)) }

// find gives the RPT with a serial number, unless it was revoked.
func (g *grant) find(serial int) (rptRecord, bool) {
	for _, rpt := range g.rec.RPTs {
		if rpt.Serial == serial {
			return rpt, true
		}
	}
	return rptRecord{}, false
}

// drop takes an RPT back.
func (g *grant) drop(serial int) {
	g.rec.RPTs = slices.DeleteFunc(g.rec.RPTs, func(rpt rptRecord) bool {
		if rpt.Serial == serial {
			g.dropped = append(g.dropped, rpt)
		}
		return rpt.Serial == serial
	})
}

// end takes everything from a grant that could be used.
func (g *grant) end(reason string) {
	g.dropped = append(g.dropped, g.rec.RPTs...)
	g.rec.RPTs, g.rec.Refresh, g.rec.Revoked = nil, refreshState{}, reason
}
