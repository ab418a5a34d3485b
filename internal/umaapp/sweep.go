package umaapp

import (
	"context"
	"errors"
	"fmt"
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

// startSweeping removes expired documents while the app runs.
func (a *App) startSweeping() {
	a.sweeping.start(func(ctx context.Context) { sweepLoop(ctx, a.store, a.log, sweepEvery) })
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
