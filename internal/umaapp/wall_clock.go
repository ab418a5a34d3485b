package umaapp

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// clockJump is what the clock on the wall may gain or lose between two looks
	// without having been set: correcting it bit by bit does less.
	clockJump = 10 * time.Second
	// keepAfterJump is how long expired documents are kept after the clock was set:
	// longer than a ticket lives. If the clock was wrong for that long, the tickets of
	// before have expired by any clock.
	keepAfterJump = 30 * time.Minute
)

// wallClock tells whether the clock of the machine was set. What has expired by a
// clock that is ahead has not when it is set back; if it is removed meanwhile, a
// ticket that was spent is good again (CONFORMANCE SEC-12). It lives as long as
// the store is open, also over reloads.
type wallClock struct {
	wall   func() time.Time     // what the clock shows
	uptime func() time.Duration // what has passed, whatever it shows

	mu     sync.Mutex
	shown  time.Time
	passed time.Duration
	until  time.Duration // of uptime: nothing is removed before
}

func newWallClock() *wallClock {
	start := time.Now()
	return startClock(
		func() time.Time { return time.Now().Round(0) },
		func() time.Duration { return time.Since(start) },
	)
}

func startClock(wall func() time.Time, uptime func() time.Duration) *wallClock {
	return &wallClock{wall: wall, uptime: uptime, shown: wall(), passed: uptime()}
}

// steady tells whether what has expired may be removed.
func (c *wallClock) steady(log *zap.Logger) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown, passed := c.wall(), c.uptime()
	by := shown.Sub(c.shown) - (passed - c.passed)
	c.shown, c.passed = shown, passed
	if by.Abs() >= clockJump {
		c.until = passed + keepAfterJump
		log.Warn("the clock of this machine was set; expired documents are kept for a while in case it is set back",
			zap.Duration("by", by), zap.Duration("kept_for", keepAfterJump))
	}
	return passed >= c.until
}
