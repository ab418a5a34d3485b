package uma

import (
	"context"
	"errors"
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
	anew    bool      // something happened that the pass which runs may have missed
	done    int       // passes that came to their end
	warned  bool      // about orphans
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

// reviewAnew has the grants looked through from the start, now.
func (s *Server) reviewAnew() {
	r := &s.review
	r.mu.Lock()
	r.anew, r.done, r.next = r.running, 0, time.Time{}
	r.over.Store(false)
	r.mu.Unlock()
	s.reviewInBackground()
}

func (s *Server) runReview(ctx context.Context) {
	for again := true; again && ctx.Err() == nil; {
		alone := orphans{}
		looked, ended, err := s.lookThrough(ctx, alone)
		if ctx.Err() == nil {
			s.logReview(looked, ended, err)
			s.warnOrphans(alone, err)
		}
		again = s.reviewed(err)
	}
}

// reviewed notes the end of a pass and tells whether another one follows at once.
func (s *Server) reviewed(err error) (again bool) {
	r := &s.review
	r.mu.Lock()
	defer r.mu.Unlock()
	again, r.anew = r.anew, false
	switch {
	case again:
		return true
	case err != nil:
		r.next = s.cfg.Now().Add(reviewPause)
	default:
		r.next = s.cfg.Now().Add(reviewAgain)
		r.done++
		r.over.Store(r.done >= reviewPasses)
	}
	r.running = false
	return false
}

func (s *Server) logReview(looked, ended int, err error) {
	about := []zap.Field{
		zap.String("issuer", s.cfg.Issuer), zap.String("policy_revision", s.cfg.PolicyRevision),
		zap.Int("looked_at", looked), zap.Int("ended", ended),
	}
	if err != nil {
		s.cfg.Log.Error("not all grants could be looked through; it will be tried again", append(about, zap.Error(err))...)
	} else if ended > 0 {
		s.cfg.Log.Info("grants ended that the configuration does not allow any more", about...)
	}
}

// warnOrphans is for the first pass that came to its end: one that broke off has not
// seen all.
func (s *Server) warnOrphans(alone orphans, err error) {
	s.review.mu.Lock()
	first := err == nil && !s.review.warned
	s.review.warned = s.review.warned || first
	s.review.mu.Unlock()
	if first {
		alone.warn(s.cfg.Log, s.cfg.Issuer)
	}
}

// lookThrough is one pass. A grant that cannot be judged does not save those behind
// it: whoever can make one must not hold up a tightened policy.
func (s *Server) lookThrough(ctx context.Context, alone orphans) (looked, ended int, err error) {
	defer func() { // in a goroutine of its own a panic would end the process
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	var failed error
	err = s.eachGrant(ctx, func(id string, rec grantRecord) error {
		looked++
		good, err := s.judged(ctx, id, rec)
		switch {
		case err != nil:
			failed = err // the last one stands for all
		case !good:
			ended++
		default:
			if _, served := s.servers[rec.ResourceServer]; !served {
				alone[rec.ResourceServer]++
			}
		}
		return ctx.Err()
	})
	return looked, ended, errors.Join(err, failed)
}

// judged recovers: in a goroutine of its own a panic of a policy's guest would end
// the process.
func (s *Server) judged(ctx context.Context, id string, rec grantRecord) (good bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return s.stillGood(ctx, id, rec)
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
