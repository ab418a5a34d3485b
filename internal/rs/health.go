package rs

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// heardAge is how long a good answer of the authorization server counts. After that a
// check of the health asks for its metadata; between, requests tell enough.
const heardAge = 30 * time.Second

// troubleAge is how long a failure counts, unless something good was heard since. A
// node with a wrong secret must not use up the limits of the authorization server
// because it is asked how it is.
const troubleAge = 5 * time.Second

// Of the health of the way to the authorization server.
var (
	// ErrRefused: it answers, and refuses this resource server.
	ErrRefused = errors.New("the authorization server refuses this resource server")
	// ErrUnreachable: it does not answer, or not to the point.
	ErrUnreachable = errors.New("the authorization server cannot be reached")
)

// heard is the last good answer, in nanoseconds of the clock.
type heard struct{ atomic.Int64 }

// unwell is how the last check failed.
type unwell struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// hear notes how a call came out.
func (s *Server) hear(status int) {
	if status < http.StatusBadRequest {
		s.heard.Store(s.cfg.Now().UnixNano())
	}
}

// Reachable tells whether there is a PAT and everything else that requests need, and
// whether the authorization server still answers. It asks at most what the first
// request would, and for the metadata if nothing was heard for a while; a failure is
// remembered for some seconds.
func (s *Server) Reachable(ctx context.Context) error {
	if err := s.unwellLately(); err != nil {
		return err
	}
	err := s.reach(ctx)
	if errors.Is(err, context.Canceled) { // who asked has left, which says nothing of us
		return err
	}
	s.unwell.mu.Lock()
	defer s.unwell.mu.Unlock()
	s.unwell.at, s.unwell.err = s.cfg.Now(), err
	return err
}

func (s *Server) unwellLately() error {
	s.unwell.mu.Lock()
	defer s.unwell.mu.Unlock()
	since := s.cfg.Now().Sub(s.unwell.at)
	if since < 0 || since >= troubleAge || s.heard.Load() > s.unwell.at.UnixNano() {
		return nil
	}
	return s.unwell.err
}

func (s *Server) reach(ctx context.Context) error {
	err := s.Ready(ctx)
	if err == nil && !s.heardLately() {
		_, err = s.probe.get(ctx, s.cfg.Now, func(ctx context.Context) (struct{}, time.Time, error) {
			_, _, err := s.loadEndpoints(ctx)
			return struct{}{}, s.cfg.Now(), err // what was heard counts, not this
		})
	}
	var refused *statusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, refused.status):
		return errors.Join(ErrRefused, err)
	}
	return errors.Join(ErrUnreachable, err)
}

func (s *Server) heardLately() bool {
	since := s.cfg.Now().Sub(time.Unix(0, s.heard.Load()))
	return since >= 0 && since < heardAge
}

// StatusLists tells whether what is known of revoked RPTs is fresh: nil,
// statuslist.ErrStale or statuslist.ErrLost.
func (s *Server) StatusLists() error { return s.verifier.revocations.lists.Fresh() }
