package umaapp

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// clockAt is a zapcore.Clock.
type clockAt struct{ now time.Time }

func (c *clockAt) Now() time.Time                         { return c.now }
func (c *clockAt) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

func TestQuiet(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	clock := &clockAt{time.Unix(1_800_000_000, 0)}
	log := quiet(zap.New(core, zap.WithClock(clock))).With(zap.String("issuer", "x"))
	fail := func(n int) {
		for range n {
			log.Error("request failed", zap.Error(errors.New("no space left on device")))
		}
	}
	fail(1000)
	log.Error("something else")
	for range 50 {
		log.Debug("request failed") // not a flood of errors
	}
	clock.now = clock.now.Add(quietWindow)
	fail(3)
	all := logs.FilterLevelExact(zapcore.ErrorLevel).FilterMessage("request failed").All()
	if len(all) != quietLines+3 || logs.FilterMessage("something else").Len() != 1 || logs.FilterLevelExact(zapcore.DebugLevel).Len() != 50 {
		t.Fatalf("%d lines", len(all))
	}
	for i, line := range all {
		fields := line.ContextMap()
		if fields["error"] != "no space left on device" || fields["issuer"] != "x" {
			t.Errorf("line %d: %v", i, fields)
		}
		if left, ok := fields["left_out"]; ok != (i == quietLines) || ok && left != int64(1000-quietLines) {
			t.Errorf("line %d: left_out = %v", i, left)
		}
	}
}

// The names of messages are few; were they not, the memory would stay bounded.
func TestQuietIsBounded(t *testing.T) {
	all := &counted{lines: map[string]*lines{}}
	for i := range 10 * quietMessages {
		all.count(zapcore.Entry{Message: strconv.Itoa(i)})
	}
	if len(all.lines) > quietMessages {
		t.Errorf("%d messages are counted", len(all.lines))
	}
}
