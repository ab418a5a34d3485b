package main

import (
	"slices"
	"testing"
)

func TestJudge(t *testing.T) {
	o := outcome{
		Speed: spread{Median: 0.94}, CPU: spread{Median: 1.10},
		Figures: map[string]float64{callsPer401: 1},
	}
	for _, tc := range []struct {
		name  string
		g     goal
		noise float64
		want  bool
	}{
		{"fast enough", goal{about: speed, atLeast: 0.94}, 0, true},
		{"too slow", goal{about: speed, atLeast: 0.95}, 0, false},
		{"too slow, within the noise", goal{about: speed, atLeast: 0.95}, 0.02, true},
		{"too slow by more than the noise", goal{about: speed, atLeast: 0.97}, 0.02, false},
		{"cheap enough", goal{about: cpu, atMost: 1.10}, 0, true},
		{"too dear", goal{about: cpu, atMost: 1.08}, 0, false},
		{"too dear, within the noise", goal{about: cpu, atMost: 1.08}, 0.02, true},
		{"a figure", goal{about: callsPer401, atMost: 1}, 0, true},
		{"a figure above", goal{about: callsPer401, atMost: 0}, 0, false},
		{"noise forgives no figure", goal{about: callsPer401, atMost: 0.99}, 0.5, false},
		{"a figure that is not there", goal{about: newConnections, atMost: 0}, 0, false},
	} {
		if got := tc.g.judge(o, tc.noise); got.Held != tc.want {
			t.Errorf("%s: %+v, want held = %v", tc.name, got, tc.want)
		}
	}
}

func TestJudgeAll(t *testing.T) {
	aa := outcome{Pair: pairAA, Speed: spread{0.98, 1, 1.04}, CPU: spread{0.99, 1, 1.01}}
	warm := outcome{Pair: "warm", Speed: spread{Median: 0.93}, CPU: spread{Median: 1.10}}
	got := judgeAll([]outcome{aa, warm})
	held := []bool{got[0].Held, got[1].Held}
	if len(got) != 2 || !slices.Equal(held, []bool{true, false}) {
		t.Errorf("%+v: want the two goals of the pair, speed within 4 %% and CPU not within 1 %%", got)
	}
	if got := judgeAll([]outcome{warm}); len(got) != 2 || got[0].Held {
		t.Errorf("without A/A something was forgiven: %+v", got)
	}
	if got := judgeAll(nil); len(got) != 0 {
		t.Errorf("nothing was measured: %+v", got)
	}
}

// TestGoalsAreOfVariants: a goal of a pair that does not exist is never judged.
func TestGoalsAreOfVariants(t *testing.T) {
	var names []string
	for _, v := range variants() {
		names = append(names, v.name)
	}
	for _, g := range goals() {
		if !slices.Contains(names, g.pair) {
			t.Errorf("%s: there is no such pair", g)
		}
		if (g.atLeast > 0) && (g.atMost > 0) {
			t.Errorf("%s: two bounds", g)
		}
	}
}

func TestFloodVerdicts(t *testing.T) {
	good := damage{Flood: "x", Stored: 5, MayStore: 5, Memory: 1 << 20, Alone: 10, P99: 30}
	for _, v := range good.verdicts() {
		if !v.Held {
			t.Errorf("%+v", v)
		}
	}
	bad := damage{Flood: "x", Stored: 6, MayStore: 5, Memory: maxFloodMemory + 1, Alone: 10, P99: 30.1}
	for _, v := range bad.verdicts() {
		if v.Held {
			t.Errorf("%+v", v)
		}
	}
}

func TestFailure(t *testing.T) {
	missed := []verdict{{Goal: "x"}}
	for _, tc := range []struct {
		name  string
		r     results
		judge bool
		fails bool
	}{
		{"all well", results{outcomes: []outcome{{Pair: "a"}}, damages: []damage{{}}}, true, false},
		{"an error", results{outcomes: []outcome{{Errors: 1}}}, false, true},
		{"a wrong status", results{outcomes: []outcome{{Unexpected: 1}}}, false, true},
		{"a wrong status in a flood", results{damages: []damage{{Unexpected: 1}}}, false, true},
		{"a missed goal", results{verdicts: missed}, true, true},
		{"a missed goal that is not judged", results{verdicts: missed}, false, false},
	} {
		if err := tc.r.failure(tc.judge); (err != nil) != tc.fails {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
