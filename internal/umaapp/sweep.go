package umaapp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// One sweep removes at most sweepRounds × sweepBatch documents, in short
// transactions, so that it never holds requests up for long.
const (
	sweepEvery  = time.Minute
	sweepBatch  = 500
	sweepRounds = 200
)

// sweeper removes expired documents while the app runs.
type sweeper struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *sweeper) start(l *lazyStore, log *zap.Logger, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func(done chan<- struct{}) {
		defer close(done)
		sweepLoop(ctx, l, log, every)
	}(s.done)
}

// stop ends the goroutine and waits for it; a second stop does nothing.
func (s *sweeper) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.cancel = nil
}

func sweepLoop(ctx context.Context, l *lazyStore, log *zap.Logger, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := sweep(ctx, l, log); err != nil && !errors.Is(err, context.Canceled) {
				log.Error("expired documents could not be removed", zap.Error(err))
			}
		}
	}
}

// sweep never opens a store: one that nobody has used yet is left alone. It
// recovers: in a goroutine of its own a panic would end the process.
func sweep(ctx context.Context, l *lazyStore, log *zap.Logger) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	open := l.opened.Load()
	if open == nil || !open.clock.steady(log) {
		return nil
	}
	for range sweepRounds {
		n, err := l.Sweep(ctx, sweepBatch)
		if err != nil || n < sweepBatch {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
