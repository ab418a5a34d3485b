package limit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
)

type clock struct{ t time.Time }

func newClock() *clock               { return &clock{t: time.Unix(1_800_000_000, 0)} }
func (c *clock) now() time.Time      { return c.t }
func (c *clock) add(d time.Duration) { c.t = c.t.Add(d) }

// allowed asks n times and counts the yeses.
func allowed(l *limit.Limiter, source string, n int) int {
	yes := 0
	for range n {
		if ok, _ := l.Allow(source); ok {
			yes++
		}
	}
	return yes
}

func TestSEC_18_LimitPerSource(t *testing.T) {
	c := newClock()
	l := limit.New(60, time.Minute, 100, c.now)
	if got := allowed(l, "a", 100); got != 60 {
		t.Errorf("first burst: %d allowed, want 60", got)
	}
	if got := allowed(l, "b", 100); got != 60 {
		t.Errorf("another source: %d allowed, want 60", got)
	}
	ok, wait := l.Allow("a")
	if ok || wait != time.Second {
		t.Errorf("Allow = %v, %v, want false, 1s", ok, wait)
	}
	c.add(wait - 1)
	if ok, _ := l.Allow("a"); ok {
		t.Error("allowed one nanosecond too early")
	}
	c.add(1)
	if ok, _ := l.Allow("a"); !ok {
		t.Error("not allowed after the wait")
	}
	c.add(time.Hour)
	if got := allowed(l, "a", 100); got != 60 {
		t.Errorf("after a rest: %d allowed, want 60 and no more", got)
	}
}

func TestSEC_18_Return(t *testing.T) {
	c := newClock()
	l := limit.New(3, time.Minute, 2, c.now)
	if got := allowed(l, "a", 10); got != 3 {
		t.Fatalf("%d allowed, want 3", got)
	}
	l.Return("a")
	if got := allowed(l, "a", 10); got != 1 {
		t.Errorf("after Return: %d allowed, want 1", got)
	}
	for range 10 { // more than was taken is not given
		l.Return("a")
		l.Return("stranger")
	}
	if got := allowed(l, "a", 10); got != 3 {
		t.Errorf("after many: %d allowed, want 3", got)
	}
	if got := allowed(l, "b", 10); got != 3 { // the stranger has no place
		t.Errorf("another source: %d allowed, want 3", got)
	}
	if got := allowed(l, "c", 10); got != 3 {
		t.Fatalf("a source without a place: %d allowed, want 3", got)
	}
	l.Return("c")
	if got := allowed(l, "c", 10); got != 0 {
		t.Errorf("a source without a place: %d more allowed, want none", got)
	}
	var none *limit.Limiter
	none.Return("a")
}

func TestSEC_18_NoLimit(t *testing.T) {
	for name, l := range map[string]*limit.Limiter{
		"nil":    nil,
		"zero":   limit.New(0, time.Minute, 10, time.Now),
		"window": limit.New(1, 0, 10, time.Now),
	} {
		if got := allowed(l, "a", 1000); got != 1000 {
			t.Errorf("%s: %d allowed, want all", name, got)
		}
	}
	one := limit.New(1, time.Minute, 10, newClock().now)
	if got := allowed(one, "a", 1000); got != 1 {
		t.Errorf("n = 1: %d allowed, want 1", got)
	}
}

// A flood of new sources neither frees an abuser nor takes memory without end.
func TestSEC_18_FloodFreesNobody(t *testing.T) {
	c := newClock()
	l := limit.New(5, time.Minute, 100, c.now)
	if got := allowed(l, "abuser", 10); got != 5 {
		t.Fatalf("abuser: %d allowed, want 5", got)
	}
	flood := 0
	for i := range 100_000 {
		flood += allowed(l, "f"+strconv.Itoa(i), 1)
	}
	if ok, _ := l.Allow("abuser"); ok {
		t.Error("the flood lifted the abuser's limit")
	}
	// 99 with a place of their own, the rest in 1024 shared buckets of 5.
	if most := 99 + 1024*5; flood > most {
		t.Errorf("flood: %d allowed, want at most %d", flood, most)
	}
	if got := allowed(l, "f0", 10); got != 4 {
		t.Errorf("a source with a place: %d more allowed, want 4", got)
	}
	// When the debts are paid, places are free again.
	c.add(2 * time.Minute)
	for i := range 50 {
		if got := allowed(l, "later"+strconv.Itoa(i), 10); got != 5 {
			t.Fatalf("after the flood: %d allowed, want 5", got)
		}
	}
}

func TestSEC_18_ClockSetBack(t *testing.T) {
	c := newClock()
	l := limit.New(2, time.Minute, 10, c.now)
	allowed(l, "a", 5)
	c.add(-24 * time.Hour)
	if ok, wait := l.Allow("a"); ok || wait > time.Minute {
		t.Errorf("Allow = %v, %v, want false and at most a window", ok, wait)
	}
	c.add(time.Minute)
	if got := allowed(l, "a", 5); got != 2 {
		t.Errorf("a window later: %d allowed, want 2", got)
	}
}

func TestSEC_18_Concurrent(t *testing.T) {
	l := limit.New(50, time.Minute, 4, newClock().now)
	var yes atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			yes.Add(int64(allowed(l, "a", 100)))
			for i := range 100 {
				l.Allow(strconv.Itoa(i))
			}
		})
	}
	wg.Wait()
	if yes.Load() != 50 {
		t.Errorf("%d allowed, want 50", yes.Load())
	}
}

func TestSEC_18_Source(t *testing.T) {
	for _, tc := range []struct{ ip, want string }{
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.2", "192.0.2.2"},
		{"192.0.2.1:4711", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::", "2001:db8:1:2::/64"},
		{"2001:db8:1:3::", "2001:db8:1:3::/64"},
		{"[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},
		{"", "unknown"},
		{"localhost", "unknown"},
		{"192.0.2.1, 10.0.0.1", "unknown"},
		{"192.0.2.01", "unknown"},
	} {
		if got := limit.Source(tc.ip); got != tc.want {
			t.Errorf("Source(%q) = %q, want %q", tc.ip, got, tc.want)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "[::1]:1", "fe80::1%x", "::ffff:1.2.3.4", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := limit.Source(s); got == "" || len(got) > 64 {
			t.Errorf("Source(%q) = %q: no bounded key", s, got)
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	l := limit.New(60, time.Minute, 10_000, time.Now)
	names := make([]string, 20_000)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	i := 0
	for b.Loop() {
		l.Allow(names[i%len(names)])
		i++
	}
}
