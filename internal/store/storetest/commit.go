package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// testCreate: what is created comes back, and only under its own key.
func testCreate(b *bench) {
	d := doc("id", index("idx"), expires(farFuture()), body(`{"v":1,"s":"ä\u0000\"","n":12345678901234567890}`))
	sent := d
	sent.Body = bytes.Clone(d.Body)
	b.must(store.Create(sent))
	d.Rev = 1
	// The store keeps bytes of its own, going in and coming out.
	clear(sent.Body)
	b.has(d)
	got, err := b.store.Get(b.Context(), d.Key)
	if err != nil {
		b.Fatalf("Get = %v", err)
	}
	clear(got.Body)
	b.has(d)
	for _, k := range []store.Key{{Tenant: tenant, Kind: kind, ID: "ID"}, {Tenant: tenant, Kind: kind, ID: "i"}, {Tenant: tenant, Kind: kind, ID: "id "}, {Tenant: tenant, Kind: "spen", ID: "id"}, {Tenant: other, Kind: kind, ID: "id"}} {
		b.lacks(k)
	}
	// The revision of a new document is 1, whatever the caller wrote there.
	b.must(store.Create(doc("second", rev(7))))
	b.has(doc("second", rev(1)))
	b.must(store.Create(doc("many")), store.Create(doc("at")), store.Create(doc("once")))
	b.has(doc("at", rev(1)))
	b.must()
}

// testExists: Create never writes over a live document.
func testExists(b *bench) {
	b.must(store.Create(doc("id", index("idx"))))
	b.refused(0, store.ErrExists, store.Create(doc("id", body(`{"v":1,"second":true}`))))
	b.has(doc("id", index("idx"), rev(1)))
	b.refused(0, store.ErrExists, store.Create(doc("id", rev(1))))
	b.lists(tenant, kind, "idx", "", 9, "id")
}

// testSwap: Swap replaces everything but only what the caller has seen.
func testSwap(b *bench) {
	b.must(store.Create(doc("id", index("a"), expires(in(hour)))))
	b.must(store.Swap(doc("id", rev(1), index("b"), expires(in(2*hour)), body(`{"v":1,"n":2}`))))
	second := doc("id", rev(2), index("b"), expires(in(2*hour)), body(`{"v":1,"n":2}`))
	b.has(second)
	b.lists(tenant, kind, "a", "", 9)
	b.lists(tenant, kind, "b", "", 9, "id")
	for _, stale := range []int64{1, 3} {
		b.refused(0, store.ErrConflict, store.Swap(doc("id", rev(stale), body(`{"v":1,"stale":true}`))))
	}
	b.has(second)
	b.refused(0, store.ErrConflict, store.Swap(doc("absent", rev(1))))
	b.lacks(key("absent"))
	b.must(store.Swap(doc("id", rev(2))))
	b.has(doc("id", rev(3)))
	b.lists(tenant, kind, "b", "", 9)
}

// testDelete: Delete removes what the caller has seen.
func testDelete(b *bench) {
	b.must(store.Create(doc("id", index("a"))))
	b.refused(0, store.ErrConflict, store.Delete(key("id"), 2))
	b.refused(0, store.ErrConflict, store.Delete(key("absent"), 1))
	b.has(doc("id", index("a"), rev(1)))
	b.must(store.Swap(doc("id", rev(1), index("a"))))
	b.refused(0, store.ErrConflict, store.Delete(key("id"), 1))
	b.must(store.Delete(key("id"), 2))
	b.lacks(key("id"))
	b.lists(tenant, kind, "", "", 9)
	b.lists(tenant, kind, "a", "", 9)
	b.refused(0, store.ErrConflict, store.Delete(key("id"), 2))
	b.must(store.Create(doc("id")))
	b.has(doc("id", rev(1)))
}

// testAllOrNothing: a failing op leaves nothing of the others, in whatever
// place it stands.
func testAllOrNothing(b *bench) {
	b.must(store.Create(doc("a", index("x"))), store.Create(doc("b")))
	b.refused(1, store.ErrExists, store.Create(doc("new", index("x"))), store.Create(doc("b")))
	b.lacks(key("new"))
	b.refused(1, store.ErrConflict, store.Swap(doc("a", rev(1), index("y"))), store.Delete(key("b"), 2))
	b.refused(2, store.ErrExists, store.Delete(key("a"), 1), store.Create(doc("new")), store.Create(doc("b")))
	b.refused(0, store.ErrConflict, store.Swap(doc("b", rev(5))), store.Delete(key("a"), 1))
	b.refused(1, store.ErrConflict, store.Create(doc("new")), store.Swap(doc("absent", rev(1))), store.Create(doc("later")))
	b.lacks(key("new"))
	b.lacks(key("later"))
	b.has(doc("a", index("x"), rev(1)))
	b.has(doc("b", rev(1)))
	b.lists(tenant, kind, "x", "", 9, "a")
	b.lists(tenant, kind, "y", "", 9)
	b.must(store.Swap(doc("a", rev(1))), store.Delete(key("b"), 1), store.Create(doc("c")))
	b.lists(tenant, kind, "", "", 9, "a", "c")
}

// testInvalid: mistakes are refused before anything is written, and not as
// something that the store says.
func testInvalid(b *bench) {
	long := strings.Repeat("x", store.MaxName+1)
	for name, op := range map[string]store.Op{
		"no tenant":        store.Create(doc("id", of("", kind))),
		"no kind":          store.Create(doc("id", of(tenant, ""))),
		"no id":            store.Create(doc("")),
		"zero in tenant":   store.Create(doc("id", of("a\x00b", kind))),
		"zero in kind":     store.Create(doc("id", of(tenant, "a\x00b"))),
		"zero in id":       store.Create(doc("a\x00b")),
		"zero in index":    store.Create(doc("id", index("a\x00b"))),
		"long id":          store.Create(doc(long)),
		"long index":       store.Create(doc("id", index(long))),
		"long body":        store.Create(doc("id", body(strings.Repeat(" ", store.MaxBody+1)))),
		"swap nothing":     store.Swap(doc("id")),
		"delete nothing":   store.Delete(key("id"), 0),
		"negative":         store.Delete(key("id"), -1),
		"no action":        {Doc: doc("id")},
		"unknown action":   {Action: 9, Doc: doc("id")},
		"the same key":     store.Create(doc("first")),
		"expiry in 1960":   store.Create(doc("id", expires(epoch().AddDate(-60, 0, 0)))),
		"expiry in 10000":  store.Create(doc("id", expires(epoch().AddDate(8000, 0, 0)))),
		"delete the first": store.Delete(key("first"), 1),
	} {
		err := b.store.Commit(b.Context(), store.Create(doc("first")), op)
		if err == nil || isVerdict(err) {
			b.Errorf("%s: Commit = %v, want a plain error", name, err)
		}
		b.lacks(key("first"))
	}
	if _, err := b.store.Get(b.Context(), key("")); err == nil || isVerdict(err) {
		b.Errorf("Get without id = %v, want a plain error", err)
	}
	if _, err := b.store.List(b.Context(), "", kind, "", "", 1); err == nil || isVerdict(err) {
		b.Errorf("List without tenant = %v, want a plain error", err)
	}
	if _, err := b.store.List(b.Context(), tenant, kind, "a\x00b", "", 1); err == nil || isVerdict(err) {
		b.Errorf("List of an impossible index = %v, want a plain error", err)
	}
	name := strings.Repeat("x", store.MaxName)
	b.must(store.Create(doc(name, index(name))))
	b.lists(tenant, kind, name, "", 9, name)
}

// isVerdict tells whether the error says something about what is stored.
func isVerdict(err error) bool {
	var op *store.OpError
	return errors.As(err, &op) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict)
}

// testContext: a call whose time is over does nothing and says so.
func testContext(b *bench) {
	b.must(store.Create(doc("id")), store.Create(doc("old", expires(in(second)))))
	b.clock.advance(hour)
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	for name, err := range map[string]error{
		"Commit": b.store.Commit(ctx, store.Create(doc("new"))),
		"Get":    errOf(b.store.Get(ctx, key("id"))),
		"List":   errOf(b.store.List(ctx, tenant, kind, "", "", 9)),
		"Sweep":  errOf(b.store.Sweep(ctx, 9)),
	} {
		if !errors.Is(err, context.Canceled) {
			b.Errorf("%s under a cancelled context = %v, want context.Canceled", name, err)
		}
	}
	b.lacks(key("new"))
	b.has(doc("id", rev(1)))
}

// errOf is the error of a pair.
func errOf[T any](_ T, err error) error { return err }

// testReopen: id and documents outlive the process.
func testReopen(b *bench) {
	id, err := b.store.ID(b.Context())
	if err != nil || len(id) != 22 || strings.Trim(id, idLetters) != "" {
		b.Fatalf("ID = %q, %v, want 22 characters of base64url", id, err)
	}
	b.must(store.Create(doc("id", index("x"), expires(in(hour)))), store.Create(doc("gone")))
	b.must(store.Delete(key("gone"), 1))
	if err := b.store.Close(); err != nil {
		b.Fatalf("Close = %v", err)
	}
	b.store = b.open()
	if again, err := b.store.ID(b.Context()); err != nil || again != id {
		b.Errorf("ID after reopening = %q, %v, want %q", again, err, id)
	}
	b.has(doc("id", index("x"), expires(in(hour)), rev(1)))
	b.lacks(key("gone"))
	b.lists(tenant, kind, "x", "", 9, "id")
	b.clock.advance(hour)
	b.lacks(key("id"))
}

const idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// testClosed: a store that is gone is a failure, not an empty store (SEC-13).
func testClosed(b *bench) {
	b.must(store.Create(doc("id")))
	if err := b.store.Close(); err != nil {
		b.Fatalf("Close = %v", err)
	}
	for name, err := range map[string]error{
		"Commit": b.store.Commit(b.Context(), store.Create(doc("new"))),
		"Get":    errOf(b.store.Get(b.Context(), key("id"))),
		"List":   errOf(b.store.List(b.Context(), tenant, kind, "", "", 9)),
		"Sweep":  errOf(b.store.Sweep(b.Context(), 9)),
	} {
		if err == nil || isVerdict(err) {
			b.Errorf("%s of a closed store = %v, want a plain error", name, err)
		}
	}
}

var _ testing.TB = (*bench)(nil)
