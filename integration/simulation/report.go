package main

import (
	"fmt"
	"time"
)

// table is some scenarios that are best seen together.
type table struct {
	title     string
	scenarios []scenario
}

func tables() []table {
	base := scenario{rate: 10, warmUp: time.Hour, length: 30 * time.Minute}
	return []table{
		{"Load", loads(base)},
		{"Caches", caches(base)},
		{"Attacks", attacked(base)},
	}
}

func loads(base scenario) (all []scenario) {
	for _, rate := range []float64{1, 10, 100, 1000} {
		s := base
		s.name, s.rate = fmt.Sprintf("%.0f flows/s", rate), rate
		if rate >= 100 { // a million flows are enough
			s.warmUp, s.length = s.warmUp*60/time.Duration(rate), s.length*60/time.Duration(rate)
		}
		all = append(all, s)
	}
	through := all[2]
	through.name, through.clients = through.name+" through 20 applications", 20
	return append(all, through)
}

// caches are compared at the most people that a node of some cores serves.
func caches(base scenario) (all []scenario) {
	base.rate, base.warmUp, base.length = 100, 36*time.Minute, 18*time.Minute
	for _, c := range []struct {
		size int
		age  time.Duration
	}{
		{1000, 15 * time.Minute},
		{10_000, 5 * time.Minute},
		{10_000, 15 * time.Minute},
		{10_000, time.Hour},
		{100_000, 15 * time.Minute},
	} {
		s := base
		s.name, s.size, s.maxAge = fmt.Sprintf("cache %d %.0fm", c.size, c.age.Minutes()), c.size, c.age
		all = append(all, s)
	}
	return all
}

func attacked(base scenario) (all []scenario) {
	base.name, base.warmUp, base.length = "nobody", 50*time.Minute, 10*time.Minute
	all = append(all, base)
	for _, a := range attacks(base.count()) {
		s := base
		s.name, s.attacks = a.name, []attack{a}
		all = append(all, s)
	}
	base.name, base.attacks = "all at once", attacks(base.count())
	return append(all, base)
}

const header = "| | flows | waited % | p50 / p99 of the waits, ms | known people refused % | new at known domains refused % | others refused % | failed | requests/s, mean / most | most to one domain in a minute | at once | heap MiB |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|\n"

func (r result) row() string {
	return fmt.Sprintf("| %s | %d | %.1f | %d / %d | %.2f | %.2f | %.2f | %d | %.1f / %d | %d | %d | %.1f |\n",
		r.name, r.tally.all, percent(r.waited, r.tally.all-r.dead), r.wait(.5).Milliseconds(), r.wait(.99).Milliseconds(),
		r.known.percent(), r.place.percent(), r.stranger.percent(), r.failed+r.unknownKey,
		float64(r.traffic.all)/r.length.Seconds(), r.busiest(), r.worst, r.atOnce, float64(r.heap)/(1<<20))
}
