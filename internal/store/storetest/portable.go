package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// RunPortable is the suite of stores whose documents can move. open is that of Run.
func RunPortable(t *testing.T, open func(t *testing.T, now func() time.Time) store.Portable) {
	t.Helper()
	for _, c := range portableCases() {
		t.Run(c.name, func(t *testing.T) {
			c.run(newBench(t, func(now func() time.Time) store.Store { return open(t, now) }))
		})
	}
}

func portableCases() []testCase {
	return []testCase{
		{"walk", testWalk},
		{"walk is one instant", testWalkInstant},
		{"SEC-12 fill", testFill},
		{"fill over what has expired", testFillExpired},
		{"SEC-12 fill refuses", testFillRefuses},
		{"fill fails as a whole", testFillFails},
		{"SEC-12 another id", testRenew},
	}
}

func (b *bench) portable() store.Portable { return b.store.(store.Portable) }

// wholes are documents of several tenants, with all that a document can have.
func wholes() []store.Doc {
	docs := []store.Doc{
		doc("a", rev(1)), doc("b", rev(7), index("x")), doc("c", rev(1<<40), index("x"), expires(in(hour+time.Microsecond))),
		doc("d", rev(2), body("")), doc("a", rev(3), of(other, kind), index("y"), expires(in(second))),
		doc("\xff\xfe", rev(1), of("t\xff", "k\xfe"), index("\xfd\\")),
		doc(strings.Repeat("i", store.MaxName), rev(1), of(strings.Repeat("t", store.MaxName), "k"), body(strings.Repeat("b", store.MaxBody))),
	}
	for i := range 1500 { // more than a store writes at once
		docs = append(docs, doc(fmt.Sprintf("n%04d", i), rev(int64(i+1)), of(tenant, "many"), index("all")))
	}
	return docs
}

func sequence(docs []store.Doc, last error) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
		if last != nil {
			yield(store.Doc{}, last)
		}
	}
}

// walked gives all documents, in the order of their keys.
func (b *bench) walked() []store.Doc {
	b.Helper()
	var docs []store.Doc
	for d, err := range b.portable().Walk(b.Context()) {
		if err != nil {
			b.Fatalf("Walk = %v", err)
		}
		docs = append(docs, d)
	}
	sortDocs(docs)
	return docs
}

func sortDocs(docs []store.Doc) {
	slices.SortFunc(docs, func(x, y store.Doc) int {
		return bytes.Compare([]byte(x.Tenant+"\x00"+x.Kind+"\x00"+x.ID), []byte(y.Tenant+"\x00"+y.Kind+"\x00"+y.ID))
	})
}

func (b *bench) holds(want []store.Doc) {
	b.Helper()
	got, want := b.walked(), slices.Clone(want)
	sortDocs(want)
	if len(got) != len(want) {
		b.Fatalf("Walk gave %d documents, want %d", len(got), len(want))
	}
	for i := range got {
		b.same(got[i], want[i])
	}
}

// testWalk: all documents of all tenants, as they are now; one may stop early.
func testWalk(b *bench) {
	b.holds(nil)
	docs := wholes()[:6]
	for i := range docs {
		docs[i].Rev = 1
		b.must(store.Create(docs[i]))
	}
	b.must(store.Swap(docs[1]), store.Delete(docs[3].Key, 1))
	docs[1].Rev = 2
	b.holds(slices.Delete(docs, 3, 4))
	for _, err := range b.portable().Walk(b.Context()) {
		if err != nil {
			b.Error(err)
		}
		break
	}
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	n := 0
	for _, err := range b.portable().Walk(ctx) {
		if n++; !errors.Is(err, context.Canceled) {
			b.Errorf("Walk = %v, want context.Canceled", err)
		}
	}
	if n != 1 {
		b.Errorf("Walk gave %d times, want the error alone", n)
	}
}

// testWalkInstant: what is written during a walk is not seen by it.
func testWalkInstant(b *bench) {
	for i := range 600 {
		b.must(store.Create(doc(fmt.Sprintf("%04d", i))))
	}
	// bolt cannot grow its file while it is walked by the same goroutine.
	written := make(chan error, 1)
	n := 0
	for _, err := range b.portable().Walk(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if n++; n == 1 {
			go func() {
				written <- b.store.Commit(b.Context(), store.Create(doc("9999")), store.Delete(key("0599"), 1))
			}()
		}
	}
	if err := <-written; err != nil || n != 600 {
		b.Errorf("Walk gave %d documents, Commit = %v, want 600", n, err)
	}
}

const filledID = "AAAAAAAAAAAAAAAAAAAAAA"

// testFill: the copy is the same store: id, revisions, index, expiry.
func testFill(b *bench) {
	docs := wholes()
	if err := b.portable().Fill(b.Context(), filledID, sequence(docs, nil)); err != nil {
		b.Fatalf("Fill = %v", err)
	}
	for range 2 {
		if id, err := b.store.ID(b.Context()); id != filledID || err != nil {
			b.Errorf("ID = %q, %v", id, err)
		}
		b.holds(docs)
		_ = b.store.Close()
		b.store = b.open()
	}
	b.has(docs[2])
	b.lists(tenant, kind, "x", "", 9, "b", "c")
	b.lists(tenant, kind, "", "", 9, "a", "b", "c", "d")
	b.lists(other, kind, "y", "", 9, "a")
	b.refused(0, store.ErrExists, store.Create(docs[1]))
	b.refused(0, store.ErrConflict, store.Swap(doc("b", rev(6))))
	b.must(store.Swap(doc("b", rev(7), index("z"))))
	b.lists(tenant, kind, "x", "", 9, "c")
	b.clock.advance(2 * second)
	b.lacks(docs[4].Key)
	if n, err := b.store.Sweep(b.Context(), 99); n != 1 || err != nil {
		b.Errorf("Sweep = %d, %v, want the one that has expired", n, err)
	}
}

// testFillExpired: what has expired is not there; it does not stand in the way.
func testFillExpired(b *bench) {
	b.must(store.Create(doc("old", index("x"), expires(in(second)))))
	b.clock.advance(2 * second)
	docs := []store.Doc{doc("old", rev(4), index("y")), doc("also", rev(1), expires(in(second)))}
	if err := b.portable().Fill(b.Context(), filledID, sequence(docs, nil)); err != nil {
		b.Fatalf("Fill = %v", err)
	}
	b.has(docs[0])
	b.lists(tenant, kind, "", "", 9, "old")
	b.lists(tenant, kind, "x", "", 9)
}

// testFillRefuses: a store with documents is left as it is.
func testFillRefuses(b *bench) {
	b.must(store.Create(doc("mine")))
	id, _ := b.store.ID(b.Context())
	if err := b.portable().Fill(b.Context(), filledID, sequence(wholes(), nil)); !errors.Is(err, store.ErrNotEmpty) {
		b.Errorf("Fill = %v, want ErrNotEmpty", err)
	}
	if now, _ := b.store.ID(b.Context()); now != id {
		b.Errorf("ID = %q, want %q", now, id)
	}
	b.holds([]store.Doc{doc("mine", rev(1))})
	b.must(store.Delete(key("mine"), 1))
	if err := b.portable().Fill(b.Context(), "short", sequence(wholes(), nil)); err == nil {
		b.Error("Fill takes any text as an id")
	}
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	if err := b.portable().Fill(ctx, filledID, sequence(wholes(), nil)); !errors.Is(err, context.Canceled) {
		b.Errorf("Fill = %v, want context.Canceled", err)
	}
	b.holds(nil)
}

// testFillFails: whatever fails on the way leaves an empty store, which can be
// filled and opened again.
func testFillFails(b *bench) {
	id, _ := b.store.ID(b.Context())
	broken, docs := errors.New("the disk of the other store is broken"), wholes()
	for name, given := range map[string]iter.Seq2[store.Doc, error]{
		"an error at the end":       sequence(docs, broken),
		"a document that is no one": sequence(append(docs[:1200:1200], doc("x", of("", kind), rev(1))), nil),
		"no revision":               sequence(append(docs[:3:3], doc("x")), nil),
		"a document twice":          sequence(append(docs[:1200:1200], docs[0]), nil),
	} {
		err := b.portable().Fill(b.Context(), filledID, given)
		if err == nil || name == "an error at the end" && !errors.Is(err, broken) {
			b.Errorf("%s: Fill = %v", name, err)
		}
		if now, _ := b.store.ID(b.Context()); now != id {
			b.Errorf("%s: ID = %q, want %q", name, now, id)
		}
		b.holds(nil)
		_ = b.store.Close()
		b.store = b.open()
	}
	if err := b.portable().Fill(b.Context(), filledID, sequence(docs, nil)); err != nil {
		b.Errorf("Fill afterwards = %v", err)
	}
	b.holds(docs)
}

// testRenew: the documents stay, the id does not.
func testRenew(b *bench) {
	b.must(store.Create(doc("a")))
	before, _ := b.store.ID(b.Context())
	if err := b.portable().Renew(b.Context()); err != nil {
		b.Fatalf("Renew = %v", err)
	}
	now, _ := b.store.ID(b.Context())
	if now == before || len(now) != len(before) {
		b.Errorf("ID = %q, before %q", now, before)
	}
	b.must(store.Create(doc("b")))
	_ = b.store.Close()
	b.store = b.open()
	if again, _ := b.store.ID(b.Context()); again != now {
		b.Errorf("ID = %q after reopening, want %q", again, now)
	}
	b.holds([]store.Doc{doc("a", rev(1)), doc("b", rev(1))})
}
