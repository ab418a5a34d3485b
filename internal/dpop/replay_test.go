package dpop_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
)

func TestDP_06_Replay(t *testing.T) {
	b := newBench(t)
	proof := b.proof(key, nil, map[string]any{"jti": "one"})
	if _, err := b.verify(request, proof); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		proof string
		at    dpop.Expect
		want  error
	}{
		"the same":                 {proof, request, dpop.ErrReplay},
		"from elsewhere":           {proof, dpop.Expect{Method: "POST", URI: tokenURI, Source: "198.51.100.1"}, dpop.ErrReplay},
		"the same jti, signed new": {b.proof(key, nil, map[string]any{"jti": "one", "iat": b.now.Unix() - 1}), request, dpop.ErrReplay},
		"another spelling of htu":  {b.proof(key, nil, map[string]any{"jti": "one", "htu": "https://AS.alice.example:443/uma/%74oken?x"}), request, dpop.ErrReplay},
		"another jti":              {b.proof(key, nil, map[string]any{"jti": "two"}), request, nil},
		"another URI":              {b.proof(key, nil, map[string]any{"jti": "one", "htu": tokenURI + "2"}), dpop.Expect{Method: "POST", URI: tokenURI + "2"}, nil},
		"the jti of another key":   {b.proof(fixed, nil, map[string]any{"jti": "one"}), request, nil},
	} {
		t.Run("DP-06 "+name, func(t *testing.T) {
			if _, err := b.verify(tc.at, tc.proof); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

// A proof is remembered for as long as it would be accepted.
func TestDP_06_WholeWindow(t *testing.T) {
	for name, ahead := range map[string]int64{"iat now": 0, "iat ahead": 60, "iat ago": -60} {
		t.Run("DP-06 "+name, func(t *testing.T) {
			b := newBench(t)
			proof := b.proof(key, nil, map[string]any{"iat": b.now.Unix() + ahead})
			if _, err := b.verify(request, proof); err != nil {
				t.Fatal(err)
			}
			for range ahead + 60 {
				b.now = b.now.Add(time.Second)
				if _, err := b.verify(request, proof); !errors.Is(err, dpop.ErrReplay) {
					t.Fatalf("at %v: %v", b.now, err)
				}
			}
			b.now = b.now.Add(time.Second)
			if _, err := b.verify(request, proof); !errors.Is(err, dpop.ErrProof) || errors.Is(err, dpop.ErrReplay) {
				t.Errorf("too old: %v", err)
			}
			_, _ = b.verify(request, b.proof(key, nil, nil)) // forgets what has expired
			b.now = b.now.Add(-30 * time.Second)
			if _, err := b.verify(request, proof); !errors.Is(err, dpop.ErrProof) {
				t.Errorf("with a clock that was set back: %v", err)
			}
		})
	}
}

// What is about to expire does not stand in the way of what is as old.
func TestDP_06_LastMoment(t *testing.T) {
	b := newBench(t)
	first, second := b.proof(key, nil, nil), b.proof(key, nil, nil)
	if _, err := b.verify(request, first); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Minute)
	if _, err := b.verify(request, second); err != nil {
		t.Errorf("a proof of the same age: %v", err)
	}
	if _, err := b.verify(request, first); !errors.Is(err, dpop.ErrReplay) {
		t.Errorf("the first one again: %v", err)
	}
}

// After a clock that was a day ahead proofs are accepted again.
func TestDP_06_ClockGoesBack(t *testing.T) {
	b := newBench(t)
	if _, err := b.verify(request, b.proof(key, nil, nil)); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(24 * time.Hour)
	if _, err := b.verify(request, b.proof(key, nil, nil)); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(-24*time.Hour + 2*time.Minute)
	if _, err := b.verify(request, b.proof(key, nil, nil)); err != nil {
		t.Error(err)
	}
}

func TestDP_06_ExactlyOneWins(t *testing.T) {
	b := newBench(t)
	for range 20 {
		proof := b.proof(key, nil, nil)
		var won, replayed atomic.Int32
		var wait sync.WaitGroup
		start := make(chan struct{})
		for range 16 {
			wait.Go(func() {
				<-start
				switch _, err := b.verify(request, proof); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, dpop.ErrReplay):
					replayed.Add(1)
				}
			})
		}
		close(start)
		wait.Wait()
		if won.Load() != 1 || replayed.Load() != 15 {
			t.Fatalf("%d won, %d were refused", won.Load(), replayed.Load())
		}
	}
}

func from(i int) dpop.Expect {
	return dpop.Expect{Method: "POST", URI: tokenURI, Source: fmt.Sprint("source ", i)}
}

func TestDP_06_FullTableRefuses(t *testing.T) {
	b := newBench(t)
	const size = 50
	small := dpop.NewReplays(size, b.clock)
	verifier, err := dpop.New(dpop.Config{Replays: small, Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	b.verifier = verifier
	first := b.proof(key, nil, nil)
	if _, err := b.verify(from(0), first); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < size; i++ {
		if _, err := b.verify(from(i), b.proof(key, nil, nil)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	late := b.proof(key, nil, nil)
	if _, err := b.verify(from(size), late); !errors.Is(err, dpop.ErrFull) || errors.Is(err, dpop.ErrProof) {
		t.Errorf("the table is full: %v", err)
	}
	if _, err := b.verify(from(0), first); !errors.Is(err, dpop.ErrReplay) {
		t.Errorf("nothing was forgotten for it: %v", err)
	}
	b.now = b.now.Add(61 * time.Second)
	if _, err := b.verify(from(size), b.proof(key, nil, nil)); err != nil {
		t.Errorf("a window later: %v", err)
	}
}

// However many proofs a source brings, others find room.
func TestDP_06_OneSourceCannotFillTheTable(t *testing.T) {
	b := newBench(t)
	verifier, err := dpop.New(dpop.Config{Replays: dpop.NewReplays(90, b.clock), Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	b.verifier = verifier
	flood := func(source int) (taken int) {
		for range 90 {
			switch _, err := b.verify(from(source), b.proof(key, nil, nil)); {
			case err == nil:
				taken++
			case !errors.Is(err, dpop.ErrSource):
				t.Fatal(err)
			}
		}
		return taken
	}
	first := flood(1)
	if first < 5 || first > 15 {
		t.Errorf("the first source got %d of 90", first)
	}
	last, all := first, first
	for source := 2; source < 20; source++ {
		taken := flood(source)
		if taken > last || taken < 1 {
			t.Errorf("source %d got %d, the one before %d", source, taken, last)
		}
		last, all = taken, all+taken
	}
	if all >= 90 {
		t.Fatalf("19 sources filled the table")
	}
	if _, err := b.verify(from(100), b.proof(key, nil, nil)); err != nil {
		t.Errorf("a newcomer: %v", err)
	}
	b.now = b.now.Add(61 * time.Second)
	if again := flood(1); again != first {
		t.Errorf("a window later: %d, want %d", again, first)
	}
}
