package uma

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/statuslist"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Every JWT that is an RPT has a place on a status list (draft-ietf-oauth-status-list),
// by which a resource server learns that it was taken back. A list is that of the
// RPTs of one hour, which bounds its size. Places are reserved in blocks, so that
// an RPT costs no write of its own; a process that ends leaves the rest of its block
// unused.

// statusPlace is where the status of an RPT stands.
type statusPlace struct {
	listID
	Index int64 `json:"idx"`
}

// placesRecord is how many places of an hour are reserved.
type placesRecord struct {
	version
	Next int64 `json:"next"`
}

// placeBlock is how many places are reserved at once.
const placeBlock = 1024

// statuses gives out places and keeps the lists that were made.
type statuses struct {
	s *Server

	mu        sync.Mutex
	block     listID
	next, end int64 // what is left of the block

	building sync.Mutex
	lists    map[listID]*madeList
	failed   time.Time // when the last list could not be made
	failure  error
}

// place gives a place that nobody else has.
func (l *statuses) place(ctx context.Context) (*statusPlace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.s.listOf(l.s.cfg.Now())
	if id != l.block || l.next == l.end {
		first, err := l.reserve(ctx, id)
		if err != nil {
			return nil, l.s.unavailable("places of status lists", err)
		}
		l.block, l.next, l.end = id, first, first+placeBlock
	}
	p := &statusPlace{listID: id, Index: l.next}
	l.next++
	return p, nil
}

// reserve takes the next block of a list; another process may do so, too.
func (l *statuses) reserve(ctx context.Context, id listID) (first int64, err error) {
	for range maxRaces {
		rec, doc, err := l.places(ctx, id)
		if err != nil {
			return 0, err
		}
		first, rec.Next = rec.Next, rec.Next+placeBlock
		if rec.Next > statuslist.MaxSize {
			return 0, errors.New("too many RPTs were issued in this hour")
		}
		op, err := l.write(doc, id, rec)
		if err != nil {
			return 0, err
		}
		err = l.s.commit(ctx, op)
		if err == nil {
			return first, nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return 0, err
		}
	}
	return 0, store.ErrConflict
}

// places reads how many places of a list are reserved; the document of one without
// any has revision 0.
func (l *statuses) places(ctx context.Context, id listID) (placesRecord, store.Doc, error) {
	rec, doc, err := load[placesRecord](ctx, l.s, kindPlaces, id.String())
	if absent(err) {
		return placesRecord{version: version{currentVersion}}, store.Doc{}, nil
	}
	return rec, doc, err
}

func (l *statuses) write(was store.Doc, id listID, rec placesRecord) (store.Op, error) {
	doc, err := l.s.doc(kindPlaces, id.String(), "", id.ends(), rec)
	return over(was.Rev, doc), err
}

// statusURI is the URI of a list.
func (s *Server) statusURI(id listID) string { return s.endpoint("status/" + id.String()) }

// statusOf is the claim status of an RPT.
func (s *Server) statusOf(rpt rptRecord) statuslist.Status {
	return statuslist.Status{List: &statuslist.Reference{Index: rpt.Place.Index, URI: s.statusURI(rpt.Place.listID)}}
}

// revokedRecord is an RPT that was taken back, on the list of its hour.
type revokedRecord struct {
	version
	Index int64 `json:"idx"`
}

// takeBack gives the ops that put the dropped RPTs of a grant on their lists. The
// documents bear the names of the RPTs and not of the places: should two RPTs have
// one place after all, because a clock went wrong, both can be taken back.
func (s *Server) takeBack(g *grant) ([]store.Op, error) {
	var ops []store.Op
	for _, rpt := range g.dropped {
		if rpt.Place == nil {
			continue
		}
		id := rpt.Place.listID
		doc, err := s.doc(kindRevoked, g.jti(rpt), id.String(), id.ends(), revokedRecord{
			version: version{currentVersion}, Index: rpt.Place.Index,
		})
		if err != nil {
			return nil, err
		}
		ops = append(ops, store.Create(doc))
	}
	return ops, nil
}
