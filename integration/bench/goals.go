package main

import "fmt"

// What a goal is about: the ratios of a pair, or a figure by its name.
const (
	speed = "speed"
	cpu   = "CPU"
)

// goal is a bound on what a pair shows; one of the two is set.
type goal struct {
	pair, about     string
	atLeast, atMost float64
}

// goals are those of a full run. Ratios are judged less the noise of the run,
// which its A/A pair shows.
func goals() []goal {
	return []goal{
		{pair: "warm", about: speed, atLeast: 0.95},
		{pair: "warm", about: cpu, atMost: 1.08},
		{pair: "warm/forward_auth", about: speed, atLeast: 1.5},
		{pair: "cold", about: speed, atLeast: 0.60},
		{pair: "challenge", about: speed, atLeast: 0.85},
		{pair: "challenge/remote", about: callsPer401, atMost: 1},
		{pair: "challenge/remote", about: newConnections, atMost: 0},
		{pair: "flow", about: cpu, atMost: 2.0},
		{pair: "durable", about: speed, atLeast: 0.85},
	}
}

// verdict is a goal with what came of it.
type verdict struct {
	Kind  string  `json:"kind"` // "goal"
	Goal  string  `json:"goal"`
	Value float64 `json:"value"`
	Noise float64 `json:"noise"`
	Held  bool    `json:"held"`
}

// judge holds a goal against the outcome of its pair. noise is that of A/A for the
// same ratio: 0.03 forgives 3 %.
func (g goal) judge(o outcome, noise float64) verdict {
	v := verdict{Kind: "goal", Goal: g.String()}
	switch g.about {
	case speed:
		v.Value, v.Noise = o.Speed.Median, noise
	case cpu:
		v.Value, v.Noise = o.CPU.Median, noise
	default:
		value, known := o.Figures[g.about]
		if !known {
			return v
		}
		v.Value = value
	}
	if g.atLeast > 0 {
		v.Held = v.Value >= g.atLeast*(1-v.Noise)
	} else {
		v.Held = v.Value <= g.atMost*(1+v.Noise)
	}
	return v
}

// String says the goal in words.
func (g goal) String() string {
	if g.atLeast > 0 {
		return fmt.Sprintf("%s: %s at least %g", g.pair, g.about, g.atLeast)
	}
	return fmt.Sprintf("%s: %s at most %g", g.pair, g.about, g.atMost)
}

// judgeAll judges the goals of the pairs that were measured.
func judgeAll(outcomes []outcome) []verdict {
	var noise struct{ speed, cpu float64 }
	by := map[string]outcome{}
	for _, o := range outcomes {
		by[o.Pair] = o
	}
	if aa, measured := by[pairAA]; measured {
		noise.speed, noise.cpu = aa.Speed.noise(), aa.CPU.noise()
	}
	var all []verdict
	for _, g := range goals() {
		o, measured := by[g.pair]
		if !measured {
			continue
		}
		forgiven := noise.speed
		if g.about == cpu {
			forgiven = noise.cpu
		}
		all = append(all, g.judge(o, forgiven))
	}
	return all
}
