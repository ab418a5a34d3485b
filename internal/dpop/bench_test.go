package dpop_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// BenchmarkVerify is the price of one proof at the server.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range dpop.Algs() {
		b.Run(alg, func(b *testing.B) {
			bench, key := newBench(b), josetest.NewKey(alg, "")
			proofs := make([]string, 256)
			for i := range proofs {
				proofs[i] = bench.proof(key, nil, nil)
			}
			n := 0
			for b.Loop() {
				if n++; n%len(proofs) == 0 { // an empty memory: they are new again
					bench.verifier = newBench(b).verifier
				}
				if _, err := bench.verify(from(n), proofs[n%len(proofs)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse is the price of what is refused before its signature.
func BenchmarkRefuse(b *testing.B) {
	bench := newBench(b)
	proof := bench.proof(key, nil, map[string]any{"htu": "https://other.example/"})
	for b.Loop() {
		if _, err := bench.verify(request, proof); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkReplays remembers proofs in a table that fills and empties as time
// passes, with the memory of an entry in a full one.
func BenchmarkReplays(b *testing.B) {
	for _, size := range []int{1 << 12, 1 << 17, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			now := time.Unix(1800000000, 0)
			clock := func() time.Time { return now }
			r, n := dpop.NewReplays(size, clock), 0
			for b.Loop() {
				if n++; n%(size/64) == 0 {
					now = now.Add(time.Second)
				}
				if err := dpop.Use(r, fmt.Sprint(n), fmt.Sprint("s", n%1000), now.Add(time.Minute)); err != nil {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(perEntry(size, clock), "B/entry")
		})
	}
}

func perEntry(size int, clock func() time.Time) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := dpop.NewReplays(size, clock)
	for i := range size {
		if err := dpop.Use(r, fmt.Sprint(i), fmt.Sprint("s", i), clock().Add(time.Duration(i%60)*time.Second)); err != nil {
			panic(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(r)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(size)
}
