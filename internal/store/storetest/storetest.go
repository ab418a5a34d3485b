// Package storetest is the conformance suite that every implementation of
// store.Store passes, and a wrapper that makes a store fail on demand.
//
// The suite is made to catch: its own tests run it against stores with planted
// defects and want it to fail for each.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Run runs the suite. open gives the store that belongs to t: an empty one at
// the first call for a t; at a later call for the same t (the one before was
// closed) the same documents again. Whatever fails in open ends the test
// there. The suite closes what it opened.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			c.run(newBench(t, func(now func() time.Time) store.Store { return open(t, now) }))
		})
	}
}

// testCase is one part of the suite.
type testCase struct {
	name string
	run  func(*bench)
}

// cases are the parts of the suite.
func cases() []testCase {
	return []testCase{
		{"create and get", testCreate},
		{"create over a live document", testExists},
		{"swap", testSwap},
		{"delete", testDelete},
		{"all or nothing", testAllOrNothing},
		{"mistakes of the caller", testInvalid},
		{"list every index", testListAll},
		{"list one index", testListIndex},
		{"names of any bytes", testNames},
		{"expiry", testExpiry},
		{"create over an expired document", testExpiredCreate},
		{"expiry is rounded up", testExpiryRounding},
		{"sweep", testSweep},
		{"sweep follows changes", testSweepChanges},
		{"SEC-28 tenants never meet", testTenants},
		{"context", testContext},
		{"reopen", testReopen},
		{"closed", testClosed},
		{"SEC-12 one Create wins", testCreateRace},
		{"SEC-12 one Swap wins", testSwapRace},
		{"SEC-12 one of two crossed commits wins", testCrossedRace},
		{"SEC-12 nothing is lost", testCounter},
		{"model", testModel},
	}
}

// Names that most cases use.
const (
	tenant = "2:as:https://as.example"
	other  = "2:as:https://as.example/2"
	kind   = "spent"
)

// epoch is where the clock of each case starts. It lies in the past, and what
// must not be swept expires in a far future or never: a store may sweep by a
// clock of its own.
func epoch() time.Time { return time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC) }

// farFuture is expired by nobody's clock.
func farFuture() time.Time { return time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC) }

// clock is the injected clock.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// bench is what a case works with.
type bench struct {
	testing.TB
	clock *clock
	store store.Store
	open  func() store.Store
}

// newBench opens the store of a case.
func newBench(t testing.TB, open func(now func() time.Time) store.Store) *bench {
	t.Helper()
	b := &bench{TB: t, clock: &clock{}}
	b.clock.nanos.Store(epoch().UnixNano())
	b.open = func() store.Store { return open(b.clock.now) }
	b.store = b.open()
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

// in gives the instant d from the start of the case.
func in(d time.Duration) time.Time { return epoch().Add(d) }

// key makes a key of the usual tenant and kind.
func key(id string) store.Key { return store.Key{Tenant: tenant, Kind: kind, ID: id} }

// doc makes a document of the usual tenant and kind.
func doc(id string, change ...func(*store.Doc)) store.Doc {
	d := store.Doc{Key: key(id), Body: fmt.Appendf(nil, `{"v":1,"id":%q}`, id)}
	for _, c := range change {
		c(&d)
	}
	return d
}

// Changes of a document.
func rev(n int64) func(*store.Doc)         { return func(d *store.Doc) { d.Rev = n } }
func index(s string) func(*store.Doc)      { return func(d *store.Doc) { d.Index = s } }
func body(s string) func(*store.Doc)       { return func(d *store.Doc) { d.Body = []byte(s) } }
func expires(t time.Time) func(*store.Doc) { return func(d *store.Doc) { d.Expires = t } }
func of(tenant, kind string) func(*store.Doc) {
	return func(d *store.Doc) { d.Tenant, d.Kind = tenant, kind }
}

// must commits and wants success.
func (b *bench) must(ops ...store.Op) {
	b.Helper()
	if err := b.store.Commit(b.Context(), ops...); err != nil {
		b.Fatalf("Commit = %v, want success", err)
	}
}

// refused commits and wants op at to fail with want, in an OpError.
func (b *bench) refused(at int, want error, ops ...store.Op) {
	b.Helper()
	err := b.store.Commit(b.Context(), ops...)
	var op *store.OpError
	if !errors.As(err, &op) {
		b.Fatalf("Commit = %v, want an OpError with %v", err, want)
	}
	if op.Op != at || op.Key != ops[at].Doc.Key || !errors.Is(err, want) {
		b.Errorf("Commit = op %d on %v: %v, want op %d on %v: %v", op.Op, op.Key, op.Err, at, ops[at].Doc.Key, want)
	}
}

// has gets a document and compares it, Rev included.
func (b *bench) has(want store.Doc) {
	b.Helper()
	got, err := b.store.Get(b.Context(), want.Key)
	if err != nil {
		b.Fatalf("Get(%v) = %v, want a document", want.Key, err)
	}
	b.same(got, want)
}

// same compares documents.
func (b *bench) same(got, want store.Doc) {
	b.Helper()
	if got.Key != want.Key || got.Index != want.Index || got.Rev != want.Rev ||
		!got.Expires.Equal(store.RoundExpiry(want.Expires)) || !bytes.Equal(got.Body, want.Body) {
		b.Errorf("document = %s, want %s", show(got), show(want))
	}
}

// show prints a document.
func show(d store.Doc) string {
	return fmt.Sprintf("{%q %q %q index %q rev %d expires %v body %q}", d.Tenant, d.Kind, d.ID, d.Index, d.Rev, d.Expires.UTC(), d.Body)
}

// lacks wants a document to be absent.
func (b *bench) lacks(k store.Key) {
	b.Helper()
	d, err := b.store.Get(b.Context(), k)
	if !errors.Is(err, store.ErrNotFound) {
		b.Errorf("Get(%v) = %s, %v, want ErrNotFound", k, show(d), err)
	}
}

// lists wants List to give the documents with these ids.
func (b *bench) lists(tenant, kind, index, after string, n int, want ...string) {
	b.Helper()
	docs, err := b.store.List(b.Context(), tenant, kind, index, after, n)
	if err != nil {
		b.Fatalf("List = %v", err)
	}
	got := make([]string, 0, len(docs))
	for _, d := range docs {
		if d.Tenant != tenant || d.Kind != kind || index != "" && d.Index != index {
			b.Errorf("List(%q, %q, %q) gave %s", tenant, kind, index, show(d))
		}
		got = append(got, d.ID)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", append([]string{}, want...)) {
		b.Errorf("List(%q, %q, %q, after %q, %d) = %q, want %q", tenant, kind, index, after, n, got, want)
	}
}
