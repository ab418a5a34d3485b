package uma

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
	Hour  int64 `json:"hour"` // since 1970
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
	hour      int64
	next, end int64 // what is left of the block

	building sync.Mutex
	lists    map[int64]*madeList // by hour
	failed   time.Time           // when the last list could not be made
	failure  error
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// place gives a place that nobody else has.
func (l *statuses) place(ctx context.Context) (*statusPlace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hour := hourOf(l.s.cfg.Now())
	if hour != l.hour || l.next == l.end {
		first, err := l.reserve(ctx, hour)
		if err != nil {
			return nil, l.s.unavailable("places of status lists", err)
		}
		l.hour, l.next, l.end = hour, first, first+placeBlock
	}
	p := &statusPlace{Hour: hour, Index: l.next}
	l.next++
	return p, nil
}

// reserve takes the next block of an hour; another process may do so, too.
func (l *statuses) reserve(ctx context.Context, hour int64) (first int64, err error) {
	for range maxRaces {
		rec, doc, err := l.places(ctx, hour)
		if err != nil {
			return 0, err
		}
		first, rec.Next = rec.Next, rec.Next+placeBlock
		if rec.Next > statuslist.MaxSize {
			return 0, errors.New("too many RPTs were issued in this hour")
		}
		op, err := l.write(doc, hour, rec)
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

// places reads how many places of an hour are reserved; the document of an hour
// without any has revision 0.
func (l *statuses) places(ctx context.Context, hour int64) (placesRecord, store.Doc, error) {
	rec, doc, err := load[placesRecord](ctx, l.s, kindPlaces, strconv.FormatInt(hour, 10))
	if absent(err) {
		return placesRecord{version: version{currentVersion}}, store.Doc{}, nil
	}
	return rec, doc, err
}

func (l *statuses) write(was store.Doc, hour int64, rec placesRecord) (store.Op, error) {
	doc, err := l.s.doc(kindPlaces, strconv.FormatInt(hour, 10), "", l.s.listEnds(hour), rec)
	if was.Rev == 0 {
		return store.Create(doc), err
	}
	doc.Rev = was.Rev
	return store.Swap(doc), err
}

// listEnds is when the last RPT of an hour is dead for every clock. All that is
// kept of a list ends then together: a list never shrinks.
func (s *Server) listEnds(hour int64) time.Time {
	return time.Unix((hour+1)*3600, 0).Add(max(24*time.Hour, s.cfg.RPTLifetime+2*s.cfg.Leeway))
}

// statusURI is the URI of a list.
func (s *Server) statusURI(hour int64) string {
	return s.endpoint("status/" + strconv.FormatInt(hour, 10))
}

// statusOf is the claim status of an RPT.
func (s *Server) statusOf(rpt rptRecord) statuslist.Status {
	return statuslist.Status{List: &statuslist.Reference{Index: rpt.Place.Index, URI: s.statusURI(rpt.Place.Hour)}}
}

// revokedRecord is an RPT that was taken back, on the list of its hour.
type revokedRecord struct {
	version
	Index int64 `json:"idx"`
}

// takeBack gives the ops that put RPTs on their lists.
func (s *Server) takeBack(dropped []rptRecord) ([]store.Op, error) {
	var ops []store.Op
	for _, rpt := range dropped {
		if rpt.Place == nil {
			continue
		}
		hour := strconv.FormatInt(rpt.Place.Hour, 10)
		ends := s.listEnds(rpt.Place.Hour)
		if dead := time.Unix(rpt.Expires, 0).Add(2 * s.cfg.Leeway); dead.After(ends) { // the lifetime was longer once
			ends = dead
		}
		doc, err := s.doc(kindRevoked, fmt.Sprintf("%s.%d", hour, rpt.Place.Index), hour, ends, revokedRecord{
			version: version{currentVersion}, Index: rpt.Place.Index,
		})
		if err != nil {
			return nil, err
		}
		ops = append(ops, store.Create(doc))
	}
	return ops, nil
}
