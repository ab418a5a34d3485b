package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		name   string
		sorted []float64
		q      float64
		want   float64
	}{
		{"none", nil, 0.5, 0},
		{"one", []float64{3}, 0.99, 3},
		{"median of an odd number", []float64{1, 2, 9}, 0.5, 2},
		{"median of an even number", []float64{1, 2, 4, 9}, 0.5, 3},
		{"first", []float64{1, 2}, 0, 1},
		{"last", []float64{1, 2}, 1, 2},
		{"between", []float64{0, 10}, 0.25, 2.5},
	} {
		if got := quantile(tc.sorted, tc.q); got != tc.want {
			t.Errorf("%s: quantile = %v, want %v", tc.name, got, tc.want)
		}
	}
	if got := quantile([]time.Duration{time.Second, 3 * time.Second}, 0.5); got != 2*time.Second {
		t.Errorf("of times: %v", got)
	}
}

func TestSpread(t *testing.T) {
	values := []float64{1.2, 0.8, 1.0, 0.9, 1.1}
	got := spreadOf(values)
	if got != (spread{0.9, 1.0, 1.1}) {
		t.Errorf("spread = %v", got)
	}
	if values[0] != 1.2 {
		t.Error("the values were put into another order")
	}
	for _, tc := range []struct {
		s    spread
		want float64
	}{
		{spread{0.98, 1, 1.05}, 0.05},
		{spread{0.9, 1, 1.05}, 0.1},
		{spread{1, 1, 1}, 0},
		{spread{1.02, 1.03, 1.04}, 0.04},
	} {
		if got := tc.s.noise(); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("noise of %v = %v, want %v", tc.s, got, tc.want)
		}
	}
}

func TestRatio(t *testing.T) {
	if got := ratio(3, 2); got != 1.5 {
		t.Errorf("ratio = %v", got)
	}
	if got := ratio(3, 0); got != 0 {
		t.Errorf("ratio without a base = %v", got)
	}
}
