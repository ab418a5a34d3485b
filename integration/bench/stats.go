package main

import (
	"cmp"
	"slices"
	"time"
)

// quantile of sorted values, between two of them in proportion; 0 for none.
func quantile[T ~int64 | ~float64](sorted []T, q float64) T {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + T((at-float64(i))*float64(sorted[i+1]-sorted[i]))
}

// spread is a median with its quartiles: half of the values lie between them.
type spread struct {
	Low    float64 `json:"q1"`
	Median float64 `json:"median"`
	High   float64 `json:"q3"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, cmp.Compare[float64])
	return spread{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

// noise is how far the quartiles of ratios that should be 1 are from it.
func (s spread) noise() float64 { return max(s.High-1, 1-s.Low, 0) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratio is a/b, 0 if there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
