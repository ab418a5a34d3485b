package uma

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

const (
	// listAge is how long a list that was made is shown before the store is looked
	// at again. Together with how often a resource server asks it is the time within
	// which what was taken back is refused.
	listAge = time.Second
	// listCost bounds the share of time that goes into reading long lists: one is
	// shown at least so many times as long as it took to read.
	listCost = 10
	// listSpare: a list speaks of more RPTs than were issued when it was made, in
	// steps of this, so that those issued next are on it already.
	listSpare = 1 << 16
	// listTTL is the claim ttl.
	listTTL = 10 * time.Second
)

// madeList is a status list token.
type madeList struct {
	token, etag string
	checked     time.Time     // when the store was looked at
	took        time.Duration // to read it
}

// serveStatus is the endpoint of the status lists: anyone may read them (draft §8).
func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request, hour string) {
	list, err := s.statuses.list(r.Context(), hour)
	if err != nil {
		s.fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // to be kept, and asked about each time
	h.Set("ETag", list.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if oneOf(r.Header.Values("If-None-Match"), list.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", statuslist.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(list.token)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, list.token)
	}
}

// oneOf: RFC 9110 §13.1.2: a list of tags, or *, which are compared weakly (§8.8.3.2):
// what compresses on the way makes strong tags weak. Ours hold no comma.
func oneOf(fields []string, etag string) bool {
	for _, field := range fields {
		for tag := range strings.SplitSeq(field, ",") {
			tag = strings.Trim(tag, " \t")
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// list gives the list of an hour. One is made at a time, so that nobody can make
// the store be read by asking.
func (l *statuses) list(ctx context.Context, text string) (*madeList, error) {
	unknown := &oauth.Error{Code: oauth.CodeNotFound, Status: http.StatusNotFound, Description: "there is no such status list"}
	id, ok := l.s.parseListID(text)
	if !ok {
		return nil, unknown
	}
	l.building.Lock()
	defer l.building.Unlock()
	have := l.lists[id]
	if have != nil && l.s.since(have.checked) < max(listAge, listCost*have.took) {
		return have, nil
	}
	if l.failure != nil && l.s.since(l.failed) < listAge { // those who waited do not wait in turn
		return nil, l.failure
	}
	fresh, err := l.make(context.WithoutCancel(ctx), id, have)
	if err != nil {
		l.failed, l.failure = l.s.cfg.Now(), l.s.unavailable("status list", err)
		return nil, l.failure
	}
	l.failure = nil
	if fresh == nil {
		return nil, unknown
	}
	l.keep(id, fresh)
	return fresh, nil
}

// since is the time that has passed; a clock that was set back makes it long.
func (s *Server) since(t time.Time) time.Duration {
	if d := s.cfg.Now().Sub(t); d >= 0 {
		return d
	}
	return 365 * 24 * time.Hour
}

// keep remembers a list and forgets those that have ended.
func (l *statuses) keep(id listID, list *madeList) {
	for old := range l.lists {
		if !l.s.cfg.Now().Before(old.ends()) {
			delete(l.lists, old)
		}
	}
	l.lists[id] = list
}

// make gives the list as it is now, or nil for one without RPTs. A list that did
// not change stays the same token, signed once.
func (l *statuses) make(ctx context.Context, id listID, have *madeList) (*madeList, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	began := l.s.cfg.Now()
	places, doc, err := l.places(ctx, id)
	if err != nil || doc.Rev == 0 {
		return nil, err
	}
	list, err := statuslist.New(min((places.Next/listSpare+2)*listSpare, statuslist.MaxSize))
	if err != nil {
		return nil, err
	}
	sequence, err := l.read(ctx, id, list)
	if err != nil {
		return nil, err
	}
	signer, err := l.s.cfg.StatusKeys.Signer(ctx)
	if err != nil {
		return nil, err
	}
	fresh := &madeList{checked: began, took: l.s.since(began), etag: fmt.Sprintf(`"%d-%d-%s"`, sequence, list.Size(), signer.KID)}
	if have != nil && have.etag == fresh.etag {
		fresh.token = have.token
		return fresh, nil
	}
	fresh.token, err = l.sign(ctx, id, list, sequence)
	return fresh, err
}

// read marks what was taken back, and counts it: what is on a list stays there, so
// that one more than the number is the sequence of the list on every node.
func (l *statuses) read(ctx context.Context, id listID, list *statuslist.List) (sequence int64, err error) {
	const page = 1000
	sequence = 1
	for after := ""; ; {
		docs, err := l.s.cfg.Store.List(ctx, l.s.tenant, kindRevoked, id.String(), after, page)
		if err != nil {
			return 0, err
		}
		for _, doc := range docs {
			rec, err := decodeRecord[revokedRecord](doc)
			if err != nil {
				return 0, err
			}
			if err := list.Revoke(rec.Index); err != nil {
				return 0, err
			}
			after = doc.ID
		}
		sequence += int64(len(docs))
		if len(docs) < page {
			return sequence, nil
		}
	}
}

func (l *statuses) sign(ctx context.Context, id listID, list *statuslist.List, sequence int64) (string, error) {
	encoded, err := list.Encode()
	if err != nil {
		return "", err
	}
	return l.s.cfg.StatusKeys.Sign(ctx, statuslist.Type, statuslist.Claims{
		Issuer: l.s.cfg.Issuer, Subject: l.s.statusURI(id), IssuedAt: l.s.cfg.Now().Unix(),
		Expires: id.ends().Unix(), TTL: int64(listTTL / time.Second),
		Sequence: sequence, List: encoded,
	})
}

// statusHour gives the last segment of the path of a list.
func (s *Server) statusHour(path string) (string, bool) {
	return strings.CutPrefix(path, s.base+"status/")
}

func (s *Server) statusRoute(hour string) route {
	return route{methods: "GET HEAD", public: true, serve: func(w http.ResponseWriter, r *http.Request, _ caller) {
		s.serveStatus(w, r, hour)
	}}
}
