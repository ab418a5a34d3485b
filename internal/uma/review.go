package uma

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// review is the look through all live grants after the configuration was loaded.
// What is not granted any more ends and gets onto the status lists, so that a
// tightened policy reaches the resource servers although they ask nobody. It begins
// with the first request, because nothing is done while a configuration is loaded.
type review struct {
	over atomic.Bool

	mu      sync.Mutex
	running bool
	done    int       // passes that came to their end
	next    time.Time // the next one begins not before
}

const (
	// reviewPasses: what the configuration before this one granted to the requests
	// that it still had is found by the second pass.
	reviewPasses = 2
	reviewAgain  = time.Minute
	// reviewPause follows a pass that failed.
	reviewPause = 10 * time.Second
)

// reviewInBackground begins a pass if one is due.
func (s *Server) reviewInBackground() {
	r := &s.review
	if s.cfg.Background == nil || r.over.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running || s.cfg.Now().Before(r.next) {
		return
	}
	r.running = true
	go s.runReview(s.cfg.Background)
}

// reviewOnceMore has another pass done soon.
func (s *Server) reviewOnceMore() {
	r := &s.review
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.next = min(r.done, reviewPasses-1), time.Time{}
	r.over.Store(false)
}

func (s *Server) runReview(ctx context.Context) {
	looked, ended, err := s.lookThrough(ctx)
	r := &s.review
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running, r.next = false, s.cfg.Now().Add(reviewAgain)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		r.next = s.cfg.Now().Add(reviewPause)
		s.cfg.Log.Error("grants could not be looked through; it will be tried again", zap.String("issuer", s.cfg.Issuer), zap.Error(err))
		return
	}
	r.done++
	r.over.Store(r.done >= reviewPasses)
	if ended > 0 {
		s.cfg.Log.Info("grants ended that the configuration does not allow any more", zap.String("issuer", s.cfg.Issuer),
			zap.String("policy_revision", s.cfg.PolicyRevision), zap.Int("looked_at", looked), zap.Int("ended", ended))
	}
}

// lookThrough is one pass. It runs in a goroutine of its own, where a panic of a
// policy's guest would end the process.
func (s *Server) lookThrough(ctx context.Context) (looked, ended int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	err = s.eachGrant(ctx, func(id string, rec grantRecord) error {
		looked++
		good, err := s.stillGood(ctx, id, rec)
		if !good && err == nil {
			ended++
		}
		return err
	})
	return looked, ended, err
}

// stillGood ends a grant whose client is not there any more, or that the policies
// of now do not allow.
func (s *Server) stillGood(ctx context.Context, id string, rec grantRecord) (good bool, err error) {
	if found, err := s.clientExists(ctx, rec.Client); err != nil || !found {
		if err != nil {
			return false, err
		}
		return false, s.endGrant(ctx, id, "the client is not there any more", false)
	}
	if _, served := s.servers[rec.ResourceServer]; !served || rec.Revision == s.cfg.PolicyRevision {
		return true, nil
	}
	err = s.again(func() error {
		g, found, err := s.loadGrant(ctx, id)
		if err != nil || !found || g.rec.Revoked != "" {
			return err
		}
		good, err = s.stillGranted(ctx, g)
		return err
	})
	return good, err
}
