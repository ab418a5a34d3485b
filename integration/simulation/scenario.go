package main

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
)

// scenario is one run.
type scenario struct {
	name    string
	rate    float64 // flows a second
	people  int     // 0 = as many as make this rate with perDay flows each
	clients int
	size    int // 0 = the default, as below
	maxAge  time.Duration
	warmUp  time.Duration
	length  time.Duration // after the warm-up
	attacks []attack
}

// result is what came of it.
type result struct {
	scenario
	*tally
	*traffic
	heap int64         // bytes of the finder at the end
	real time.Duration // that it took
}

func (s scenario) count() int {
	if s.people > 0 {
		return s.people
	}
	return int(s.rate * 86400 / perDay)
}

// run lets the time of a bubble pass: the clock goes on when everybody waits.
func (s scenario) run(t *testing.T, w *world) (r result) {
	t.Helper()
	began := time.Now() //nolint:forbidigo // how long it took in reality
	synctest.Test(t, func(t *testing.T) {
		r = s.inside(t, w)
	})
	r.real = time.Since(began)
	return r
}

func (s scenario) inside(t *testing.T, w *world) result {
	t.Helper()
	w.start = time.Now()
	w.stolen = w.start.Add(s.warmUp + s.length/2)
	r := result{scenario: s, tally: newTally(s.count()), traffic: newTraffic()}
	finder, err := discovery.New(discovery.Config{Client: &network{w: w, traffic: r.traffic}, Size: s.size, MaxAge: s.maxAge, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		w: w, finder: finder, tally: r.tally, number: s.count(), rate: s.rate, clients: s.clients,
		measured: w.start.Add(s.warmUp), until: w.start.Add(s.warmUp + s.length),
	}
	for _, a := range s.attacks {
		c.running.Go(func() { a.run(c) })
	}
	c.running.Go(func() {
		time.Sleep(s.warmUp)
		r.tally.begin()
		r.traffic.reset()
	})
	c.come()
	time.Sleep(time.Minute) // look-ups outlive their callers
	r.heap = finderHeap(finder)
	return r
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// finderHeap is what is freed with the finder.
func finderHeap(f *discovery.Finder) int64 {
	with := heap()
	*f = discovery.Finder{}
	return with - heap()
}
