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
	base := scenario{name: "base", rate: 10, warmUp: 2 * time.Hour, length: time.Hour}
	load := table{title: "Load"}
	for _, rate := range []float64{1, 10, 100} {
		s := base
		s.name, s.rate = fmt.Sprintf("%.0f flows a second", rate), rate
		load.scenarios = append(load.scenarios, s)
	}
	caches := table{title: "Caches"}
	for _, size := range []int{1000, 10_000, 100_000} {
		for _, age := range []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour} {
			s := base
			s.name, s.size, s.maxAge = fmt.Sprintf("size %d, %s", size, age), size, age
			caches.scenarios = append(caches.scenarios, s)
		}
	}
	attacked := table{title: "Attacks"}
	for _, a := range attacks(base.count()) {
		s := base
		s.name, s.attacks = "attack: "+a.name, []attack{a}
		attacked.scenarios = append(attacked.scenarios, s)
	}
	s := base
	s.name, s.attacks = "attack: all at once", attacks(base.count())
	attacked.scenarios = append(attacked.scenarios, s)
	return []table{load, caches, attacked}
}

const header = "| scenario | flows | waited % (for keys) | p50 / p99 of waits ms | refused %: known people / new at known domains / others | failed, unknown key | requests/s mean / most | worst domain per minute | at once | heap MiB |\n|---|---|---|---|---|---|---|---|---|---|\n"

func (r result) row() string {
	return fmt.Sprintf("| %s | %d | %.1f (%.2f) | %d / %d | %.2f of %d / %.2f of %d / %.2f of %d | %d, %d | %.1f / %d | %d | %d | %.1f |\n",
		r.name, r.tally.all, percent(r.waited, r.tally.all-r.dead), percent(r.forKeys, r.tally.all-r.dead),
		r.wait(.5).Milliseconds(), r.wait(.99).Milliseconds(),
		r.known.percent(), r.known.all, r.place.percent(), r.place.all, r.stranger.percent(), r.stranger.all,
		r.failed, r.unknownKey, float64(r.traffic.all)/r.length.Seconds(), r.busiest(), r.worst, r.atOnce, float64(r.heap)/(1<<20))
}
