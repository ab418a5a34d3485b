package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// small is a scenario of half a second: 4,200 flows of 2,500 people.
func small() scenario {
	return scenario{name: "small", rate: 5, people: 2500, size: 400, warmUp: 10 * time.Minute, length: 4 * time.Minute}
}

func smallWorld() *world { return newWorld(7, 20_000, 1) }

// What the attackers of the simulation can do, and what they cannot.
func TestSEC_09_Simulation(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds")
	}
	w := smallWorld()
	quiet := small().run(t, w)
	wantServed(t, quiet)
	for _, a := range attacks(small().people) {
		t.Run("SEC-09 "+a.name, func(t *testing.T) {
			s := small()
			a.rate = 35 // more than strangers have
			s.attacks = []attack{a}
			r := s.run(t, w)
			wantServed(t, r)
			wantBounded(t, r)
			// Nobody whom we know waits longer or more often.
			if more := r.known.waited() - quiet.known.waited(); more > 3 {
				t.Errorf("%.1f %% of the people we know waited, %.1f %% without an attacker", r.known.waited(), quiet.known.waited())
			}
		})
	}
}

// wantServed: our bounds refuse nobody whom we know, and nobody who is new at a
// domain from which somebody came.
func wantServed(t *testing.T, r result) {
	t.Helper()
	if r.known.all < 500 || r.place.all < 40 {
		t.Fatalf("only %d flows of known people, and %d at known domains", r.known.all, r.place.all)
	}
	if r.known.refused > 0 || r.place.percent() > .5 {
		t.Errorf("refused: %d of %d of known people, %d of %d at known domains: %v", r.known.refused, r.known.all, r.place.refused, r.place.all, r.why)
	}
}

// wantBounded: a look-up is three requests, and each segment begins so many.
func wantBounded(t *testing.T, r result) {
	t.Helper()
	if mean := float64(r.traffic.all) / r.length.Seconds(); mean > 3*1800/60+3*r.rate {
		t.Errorf("%.1f requests a second", mean)
	}
	if r.worst > 3*600 || r.atOnce > 3*64 {
		t.Errorf("%d requests to %s in a minute, %d at once", r.worst, r.worstHost, r.atOnce)
	}
	if r.heap > int64(r.size)*50<<10 {
		t.Errorf("%d KiB for caches of %d", r.heap>>10, r.size)
	}
}

// The same seed is the same run.
func TestSimulationRepeats(t *testing.T) {
	w := newWorld(7, 1000, 1)
	s := scenario{name: "short", rate: 5, people: 500, size: 100, warmUp: 3 * time.Minute, length: 2 * time.Minute}
	one, two := s.run(t, w), s.run(t, w)
	one.heap, two.heap = 0, 0
	if diff := cmp.Diff(one.row(), two.row()); diff != "" {
		t.Error(diff)
	}
	other := s.run(t, newWorld(8, 1000, 1))
	other.heap = 0
	if other.row() == one.row() {
		t.Error("another seed is the same run, too")
	}
}

// Caches that are too small for the people show it: the figures can be bad.
func TestSimulationShowsTooSmallACache(t *testing.T) {
	s := scenario{name: "tiny", rate: 5, people: 500, size: 16, maxAge: time.Second, warmUp: 3 * time.Minute, length: 2 * time.Minute}
	w := newWorld(7, 1000, 1)
	tiny := s.run(t, w)
	s.size, s.maxAge = 1000, time.Hour
	large := s.run(t, w)
	if tiny.waited < 3*large.waited {
		t.Errorf("%d waited with tiny caches, %d with large ones", tiny.waited, large.waited)
	}
}

func TestCapacity(t *testing.T) {
	f, err := readFigures("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := capacity(f)
	if err != nil || strings.Count(text, "\n") < 10 {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := capacity(parseFigures("| pair | per second |\n|---|---|\n| flow: nine steps | ? |\n")); err == nil {
		t.Error("computed from nothing")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{0.9: "0", 441.3: "441", 1000: "1,000", 1234.5: "1,230", 4390: "4,390", 381_234.7: "381,000", 67_108_864: "67,108,864"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%v) = %q, want %q", n, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct {
		args []string
		ok   bool
	}{
		{nil, true},
		{[]string{"-seed", "2", "-only", "x"}, true},
		{[]string{"-only", "("}, false},
		{[]string{"-domains", "0"}, false},
		{[]string{"more"}, false},
	} {
		var help strings.Builder
		if _, err := parseFlags(tc.args, &help); (err == nil) != tc.ok {
			t.Errorf("%v: %v", tc.args, err)
		}
	}
}
