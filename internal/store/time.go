package store

import (
	"context"
	"time"
)

// Timed is a store whose documents expire by another clock than that of this machine.
type Timed interface {
	// Time is what that clock shows.
	Time(ctx context.Context) (time.Time, error)
}

// Time is the time by which documents of s expire: what lives for seconds is made by it,
// or else it would be gone at once, or stay for as long as two clocks differ. now is the
// clock of this machine.
func Time(ctx context.Context, s any, now func() time.Time) (time.Time, error) {
	if timed, ok := s.(Timed); ok {
		return timed.Time(ctx)
	}
	return now(), ctx.Err()
}
