package umaapp

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// hands are the two clocks of a machine.
type hands struct {
	wall   time.Time
	uptime time.Duration
}

func (h *hands) pass(d time.Duration) { h.wall, h.uptime = h.wall.Add(d), h.uptime+d }
func (h *hands) set(by time.Duration) { h.wall = h.wall.Add(by) }

func TestWallClock(t *testing.T) {
	h := &hands{wall: time.Unix(1_800_000_000, 0)}
	core, logs := observer.New(zap.WarnLevel)
	c := startClock(func() time.Time { return h.wall }, func() time.Duration { return h.uptime })
	want := func(steady bool, lines int) {
		t.Helper()
		if got := c.steady(zap.New(core)); got != steady || logs.Len() != lines {
			t.Errorf("steady = %v with %d lines, want %v with %d", got, logs.Len(), steady, lines)
		}
	}
	for range 100 { // NTP slews by at most half a millisecond a second
		h.pass(time.Minute)
		h.set(30 * time.Millisecond)
		want(true, 0)
	}
	for i, by := range []time.Duration{time.Hour, -24 * time.Hour, clockJump, -clockJump} {
		h.pass(time.Minute)
		h.set(by)
		want(false, i+1)
		h.pass(keepAfterJump - 1)
		want(false, i+1)
		h.pass(1)
		want(true, i+1)
	}
	h.pass(time.Minute)
	h.set(clockJump - 1)
	want(true, 4)
}

// A clock that was ahead for a while makes no spent ticket good again.
func TestSEC_12_SpentTicketsOutliveAClockThatWasAhead(t *testing.T) {
	h := &hands{wall: time.Unix(1_800_000_000, 0)}
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "x.db"), store.BoltOptions{Now: func() time.Time { return h.wall }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	l := newLazyStore(&fake{key: t.Name()})
	l.opened.Store(&pooledStore{s, startClock(func() time.Time { return h.wall }, func() time.Duration { return h.uptime })})
	spent := store.Doc{Key: store.Key{Tenant: "as", Kind: "spent", ID: "a"}, Expires: h.wall.Add(7 * time.Minute)}
	if err := s.Commit(t.Context(), store.Create(spent)); err != nil {
		t.Fatal(err)
	}
	sweepAt := func(d time.Duration) {
		h.pass(d)
		if err := sweep(t.Context(), l, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
	}
	for _, ahead := range []time.Duration{time.Hour, 24 * time.Hour} {
		h.set(ahead)
		sweepAt(time.Minute)
		sweepAt(time.Minute)
		h.set(-ahead)
		sweepAt(time.Minute)
		if err := s.Commit(t.Context(), store.Create(spent)); err == nil {
			t.Fatalf("SEC-12: after %v ahead and back the ticket can be spent again", ahead)
		}
	}
	sweepAt(keepAfterJump)
	if n, err := s.Sweep(t.Context(), 9); n != 0 || err != nil {
		t.Errorf("the record stays for ever: %d, %v", n, err)
	}
}
