package storetest

import (
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// testExpiry: absent from its expiry on, not a millisecond earlier or later,
// for every call.
func testExpiry(b *bench) {
	d := doc("id", index("x"), expires(in(hour)))
	b.must(store.Create(d), store.Create(doc("forever", index("x"))), store.Create(doc("long", expires(farFuture()))))
	d.Rev = 1
	b.clock.advance(hour - time.Nanosecond)
	b.has(d)
	b.lists(tenant, kind, "x", "", 9, "forever", "id")
	b.refused(0, store.ErrExists, store.Create(d))
	b.clock.advance(time.Nanosecond)
	b.lacks(d.Key)
	b.lists(tenant, kind, "", "", 9, "forever", "long")
	b.lists(tenant, kind, "x", "", 9, "forever")
	b.lists(tenant, kind, "", "", 1, "forever")
	b.refused(0, store.ErrConflict, store.Swap(doc("id", rev(1))))
	b.refused(0, store.ErrConflict, store.Delete(d.Key, 1))
	b.has(doc("forever", index("x"), rev(1)))
	b.has(doc("long", expires(farFuture()), rev(1)))
	// What was born expired was never there.
	b.must(store.Create(doc("late", expires(in(0)))))
	b.lacks(key("late"))
}

// testExpiredCreate: an expired document is in nobody's way, and nothing of
// it stays.
func testExpiredCreate(b *bench) {
	b.must(store.Create(doc("id", index("old"), expires(in(hour)))))
	b.must(store.Swap(doc("id", rev(1), index("old"), expires(in(hour)))))
	b.clock.advance(hour)
	b.must(store.Create(doc("id", index("new"))))
	b.has(doc("id", index("new"), rev(1)))
	b.lists(tenant, kind, "old", "", 9)
	b.lists(tenant, kind, "new", "", 9, "id")
	b.refused(0, store.ErrConflict, store.Swap(doc("id", rev(2))))
	b.refused(0, store.ErrExists, store.Create(doc("id")))
}

// testExpiryRounding: a lifetime may become longer by less than a millisecond,
// never shorter: a spent ticket must be remembered until it is worthless.
func testExpiryRounding(b *bench) {
	b.must(store.Create(doc("up", expires(in(time.Millisecond+1)))), store.Create(doc("even", expires(in(time.Millisecond)))))
	b.clock.advance(time.Millisecond)
	b.lacks(key("even"))
	b.has(doc("up", expires(in(2*time.Millisecond)), rev(1)))
	b.clock.advance(time.Millisecond - 1)
	b.has(doc("up", expires(in(2*time.Millisecond)), rev(1)))
	b.clock.advance(1)
	b.lacks(key("up"))
}

// sweeps wants Sweep to remove so many.
func (b *bench) sweeps(n, want int) {
	b.Helper()
	got, err := b.store.Sweep(b.Context(), n)
	if err != nil || got != want {
		b.Errorf("Sweep(%d) = %d, %v, want %d", n, got, err, want)
	}
}

// testSweep: at most n, of every tenant, only what has expired.
func testSweep(b *bench) {
	b.sweeps(9, 0)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		b.must(store.Create(doc(id, expires(in(hour)), index("x"))), store.Create(doc(id, of(other, kind), expires(in(hour)))))
	}
	b.must(store.Create(doc("live", expires(farFuture()), index("x"))), store.Create(doc("forever", index("x"))))
	b.clock.advance(2 * hour)
	b.sweeps(0, 0)
	b.sweeps(-1, 0)
	b.sweeps(3, 3)
	b.sweeps(1, 1)
	b.sweeps(99, 6)
	b.sweeps(99, 0)
	b.lists(tenant, kind, "x", "", 9, "forever", "live")
	b.lists(other, kind, "", "", 9)
	b.has(doc("live", expires(farFuture()), index("x"), rev(1)))
	b.must(store.Create(doc("1", index("x"))))
	b.has(doc("1", index("x"), rev(1)))
}

// testSweepChanges: an expiry that was changed, deleted or written over no
// longer counts.
func testSweepChanges(b *bench) {
	soon := expires(in(hour))
	b.must(store.Create(doc("longer", soon)), store.Create(doc("shorter", expires(farFuture()))), store.Create(doc("never", soon)), store.Create(doc("deleted", soon)), store.Create(doc("again", soon)))
	b.must(store.Swap(doc("longer", rev(1), expires(farFuture()))), store.Swap(doc("shorter", rev(1), soon)), store.Swap(doc("never", rev(1))), store.Delete(key("deleted"), 1))
	b.clock.advance(hour)
	b.must(store.Create(doc("again")))
	b.sweeps(99, 1)
	b.lists(tenant, kind, "", "", 9, "again", "longer", "never")
	b.has(doc("longer", rev(2), expires(farFuture())))
	b.has(doc("never", rev(2)))
	b.has(doc("again", rev(1)))
	b.lacks(key("shorter"))
	b.sweeps(99, 0)
}
