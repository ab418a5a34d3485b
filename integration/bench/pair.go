package main

import (
	"fmt"
	"time"
)

// side is one of the two that are compared.
type side struct {
	name string
	// measure does the work for about so long.
	measure func(time.Duration) (sample, error)
}

// sample is one measurement.
type sample struct {
	Kind       string  `json:"kind"` // "sample"
	Pair       string  `json:"pair"`
	Side       string  `json:"side"`
	Round      int     `json:"round"`
	Ops        int64   `json:"ops"`
	PerSecond  float64 `json:"per_second"`
	CPU        float64 `json:"cpu_us"` // of the server, per op
	Allocs     float64 `json:"allocs"` // of the server, per op
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Errors     int64   `json:"errors"`
	Unexpected int64   `json:"unexpected"` // answers with another status
	FirstError string  `json:"first_error,omitempty"`
	memory
}

// pair compares x with its base.
type pair struct {
	name    string
	what    string // one line for the table
	base, x side
	// after, if set, finds at the end figures that are no ratios.
	after func() (map[string]float64, error)
}

// outcome sums a pair up.
type outcome struct {
	Kind  string `json:"kind"` // "pair"
	Pair  string `json:"pair"`
	What  string `json:"what"`
	Base  medium `json:"base"`
	X     medium `json:"x"`
	Speed spread `json:"speed"` // x per second / base per second
	CPU   spread `json:"cpu"`   // CPU of x / CPU of base, per op
	// Figures are no ratios.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Errors and Unexpected are those of all rounds and both sides.
	Errors     int64  `json:"errors"`
	Unexpected int64  `json:"unexpected"`
	FirstError string `json:"first_error,omitempty"`
}

// medium holds medians over the rounds of one side.
type medium struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"per_second"`
	CPU       float64 `json:"cpu_us"`
	Allocs    float64 `json:"allocs"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	RSS       float64 `json:"rss"`
}

// compare measures base, x, base, x and so on: what drifts on the machine hits
// both. Each sample is reported when it is there.
func (p *pair) compare(rounds int, d time.Duration, report func(any)) (outcome, error) {
	o := outcome{Kind: "pair", Pair: p.name, What: p.what}
	for _, s := range []side{p.base, p.x} { // connections are made, caches filled
		m, err := s.measure(d / 4)
		if err != nil {
			return o, fmt.Errorf("%s, %s: %w", p.name, s.name, err)
		}
		o.count(m)
	}
	var base, x []sample
	for round := range rounds {
		for _, s := range []struct {
			side side
			to   *[]sample
		}{{p.base, &base}, {p.x, &x}} {
			m, err := s.side.measure(d)
			if err != nil {
				return o, fmt.Errorf("%s, %s: %w", p.name, s.side.name, err)
			}
			m.Kind, m.Pair, m.Side, m.Round = "sample", p.name, s.side.name, round+1
			report(m)
			o.count(m)
			*s.to = append(*s.to, m)
		}
	}
	var err error
	if p.after != nil {
		o.Figures, err = p.after()
	}
	o.sumUp(p, base, x)
	return o, err
}

func (o *outcome) count(m sample) {
	o.Errors += m.Errors
	o.Unexpected += m.Unexpected
	if o.FirstError == "" {
		o.FirstError = m.FirstError
	}
}

func (o *outcome) sumUp(p *pair, base, x []sample) {
	var speed, cpu []float64
	for i := range base {
		speed = append(speed, ratio(x[i].PerSecond, base[i].PerSecond))
		cpu = append(cpu, ratio(x[i].CPU, base[i].CPU))
	}
	o.Speed, o.CPU = spreadOf(speed), spreadOf(cpu)
	o.Base, o.X = mediumOf(p.base.name, base), mediumOf(p.x.name, x)
}

func mediumOf(name string, samples []sample) medium {
	of := func(value func(sample) float64) float64 {
		var all []float64
		for _, s := range samples {
			all = append(all, value(s))
		}
		return spreadOf(all).Median
	}
	return medium{
		Name:      name,
		PerSecond: of(func(s sample) float64 { return s.PerSecond }),
		CPU:       of(func(s sample) float64 { return s.CPU }),
		Allocs:    of(func(s sample) float64 { return s.Allocs }),
		P50:       of(func(s sample) float64 { return s.P50 }),
		P99:       of(func(s sample) float64 { return s.P99 }),
		RSS:       of(func(s sample) float64 { return float64(s.All) }),
	}
}

// loaded measures a server under a closed loop of the ops.
func loaded(v *server, ops []op) func(time.Duration) (sample, error) {
	return measured(v, func(d time.Duration) tally { return closedLoop(ops, d) })
}

// paced measures a server under so many ops in a second. A closed loop waits with
// the server and so hides how long requests queue.
func paced(v *server, ops []op, perSecond int64) func(time.Duration) (sample, error) {
	return measured(v, func(d time.Duration) tally {
		return fixedNumber(ops, int64(float64(perSecond)*d.Seconds()), perSecond)
	})
}

// measured gives what a load did, with what it cost the server.
func measured(v *server, load func(time.Duration) tally) func(time.Duration) (sample, error) {
	return func(d time.Duration) (sample, error) {
		stateBefore, err := v.state()
		if err != nil {
			return sample{}, err
		}
		before, err := cpuTime(v.pid())
		if err != nil {
			return sample{}, err
		}
		t := load(d)
		after, err := cpuTime(v.pid())
		if err != nil {
			return sample{}, err
		}
		stateAfter, err := v.state()
		if err != nil {
			return sample{}, err
		}
		s := t.sample()
		if t.ops > 0 {
			s.CPU = float64((after - before).Microseconds()) / float64(t.ops)
			s.Allocs = float64(stateAfter.Allocs-stateBefore.Allocs) / float64(t.ops)
		}
		s.memory, err = memoryOf(v.pid())
		return s, err
	}
}

func (t *tally) sample() sample {
	s := sample{
		Ops: t.ops, PerSecond: float64(t.ops) / t.took.Seconds(), Errors: t.errors, Unexpected: t.unexpected,
		P50: millis(quantile(t.latencies, 0.5)), P99: millis(quantile(t.latencies, 0.99)),
	}
	if t.firstError != nil {
		s.FirstError = t.firstError.Error()
	}
	return s
}
