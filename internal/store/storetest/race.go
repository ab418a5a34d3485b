package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	rounds  = 100
	runners = 8
)

// race starts n commits together and gives their errors.
func (b *bench) race(n int, ops func(runner int) []store.Op) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		list := ops(i)
		done.Go(func() {
			<-start
			errs[i] = b.store.Commit(b.Context(), list...)
		})
	}
	close(start)
	done.Wait()
	return errs
}

// winner wants exactly one nil among errors that are all want.
func (b *bench) winner(round int, errs []error, want error) int {
	b.Helper()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			b.Fatalf("round %d: two winners, %d and %d", round, won, i)
		case err == nil:
			won = i
		case !errors.Is(err, want):
			b.Fatalf("round %d: loser %d got %v, want %v", round, i, err, want)
		}
	}
	if won < 0 {
		b.Fatalf("round %d: nobody won", round)
	}
	return won
}

// by is the body of a runner.
func by(runner int) string { return fmt.Sprintf(`{"v":1,"by":%d}`, runner) }

// testCreateRace: SEC-12. Of those who create the same document at the same
// time exactly one succeeds, and it is his that is there.
func testCreateRace(b *bench) {
	for round := range rounds {
		id := strconv.Itoa(round)
		errs := b.race(runners, func(i int) []store.Op { return []store.Op{store.Create(doc(id, body(by(i))))} })
		b.has(doc(id, rev(1), body(by(b.winner(round, errs, store.ErrExists)))))
	}
}

// testSwapRace: SEC-12 for a change of what all of them have seen.
func testSwapRace(b *bench) {
	b.must(store.Create(doc("id")))
	for round := range rounds {
		seen := int64(round + 1)
		errs := b.race(runners, func(i int) []store.Op { return []store.Op{store.Swap(doc("id", rev(seen), body(by(i))))} })
		b.has(doc("id", rev(seen+1), body(by(b.winner(round, errs, store.ErrConflict)))))
	}
}

// testCrossedRace: two documents, named in either order: one commit wins both,
// and nobody waits for ever.
func testCrossedRace(b *bench) {
	for round := range rounds {
		x, y := "x"+strconv.Itoa(round), "y"+strconv.Itoa(round)
		errs := b.race(4, func(i int) []store.Op {
			ops := []store.Op{store.Create(doc(x, body(by(i)))), store.Create(doc(y, body(by(i))))}
			if i%2 == 1 {
				ops[0], ops[1] = ops[1], ops[0]
			}
			return ops
		})
		won := b.winner(round, errs, store.ErrExists)
		b.has(doc(x, rev(1), body(by(won))))
		b.has(doc(y, rev(1), body(by(won))))
	}
}

// testCounter: commits that do not collide all succeed, although one that
// collides stands among them.
func testCounter(b *bench) {
	b.must(store.Create(doc("taken")))
	for round := range rounds / 10 {
		errs := b.race(runners, func(i int) []store.Op {
			own := store.Create(doc(fmt.Sprintf("%d-%d", round, i), index("own")))
			if i == 0 {
				return []store.Op{own, store.Create(doc("taken"))}
			}
			return []store.Op{own}
		})
		for i, err := range errs {
			if got := errors.Is(err, store.ErrExists); got != (i == 0) || err != nil && i != 0 {
				b.Fatalf("round %d: runner %d got %v", round, i, err)
			}
		}
	}
	docs, err := b.store.List(b.Context(), tenant, kind, "own", "", 10*rounds)
	if want := rounds / 10 * (runners - 1); err != nil || len(docs) != want {
		b.Errorf("List = %d documents, %v, want %d", len(docs), err, want)
	}
}
