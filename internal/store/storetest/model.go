package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// model is a store in a map: what Store promises, said once more.
type model struct {
	docs map[store.Key]store.Doc
	now  func() time.Time
}

// get gives a live document.
func (m *model) get(k store.Key) (store.Doc, bool) {
	d, ok := m.docs[k]
	return d, ok && (d.Expires.IsZero() || m.now().Before(d.Expires))
}

// commit does all ops or none.
func (m *model) commit(ops []store.Op) (at int, err error) {
	for i, op := range ops {
		old, found := m.get(op.Doc.Key)
		switch {
		case op.Action == store.ActionCreate && found:
			return i, store.ErrExists
		case op.Action != store.ActionCreate && (!found || old.Rev != op.Doc.Rev):
			return i, store.ErrConflict
		}
	}
	for _, op := range ops {
		d := op.Doc
		d.Expires = store.RoundExpiry(d.Expires)
		switch op.Action {
		case store.ActionCreate:
			d.Rev = 1
			m.docs[d.Key] = d
		case store.ActionSwap:
			d.Rev++
			m.docs[d.Key] = d
		case store.ActionDelete:
			delete(m.docs, d.Key)
		}
	}
	return 0, nil
}

// list gives live documents in the order of their ids.
func (m *model) list(tenant, kind, index, after string, n int) []store.Doc {
	var out []store.Doc
	for k := range m.docs {
		d, live := m.get(k)
		if live && k.Tenant == tenant && k.Kind == kind && (index == "" || d.Index == index) && k.ID > after {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b store.Doc) int { return strings.Compare(a.ID, b.ID) })
	return out[:min(n, len(out))]
}

// testModel compares store and model over random histories. Each history has
// tenants of its own, so that one store serves them all.
func testModel(b *bench) {
	history := 0
	rapid.Check(b.TB, func(t *rapid.T) {
		history++
		h := &histories{
			bench:   b,
			t:       t,
			model:   &model{docs: map[store.Key]store.Doc{}, now: b.clock.now},
			tenants: []string{fmt.Sprintf("%d:a", history), fmt.Sprintf("%d:b", history)},
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			h.step()
		}
		h.compare()
	})
}

// histories is one random history.
type histories struct {
	*bench
	t       *rapid.T
	model   *model
	tenants []string
}

// pick draws one of the values.
func pick[T any](t *rapid.T, name string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, name)
}

// step is a commit or a step of the clock, and a look.
func (h *histories) step() {
	switch pick(h.t, "step", "commit", "commit", "commit", "commit", "wait", "sweep") {
	case "wait":
		h.clock.advance(pick(h.t, "wait", time.Millisecond-1, 1, time.Millisecond, second))
	case "sweep":
		if _, err := h.store.Sweep(h.Context(), pick(h.t, "n", 0, 1, 99)); err != nil {
			h.t.Fatalf("Sweep = %v", err)
		}
	default:
		h.commit()
	}
	h.look()
}

// commit draws ops and compares the outcome.
func (h *histories) commit() {
	ops := h.ops()
	at, want := h.model.commit(ops)
	err := h.store.Commit(h.Context(), ops...)
	var op *store.OpError
	switch {
	case want == nil && err != nil:
		h.t.Fatalf("Commit = %v, want success", err)
	case want != nil && (!errors.As(err, &op) || !errors.Is(err, want) || op.Op != at || op.Key != ops[at].Doc.Key):
		h.t.Fatalf("Commit = %v, want op %d: %v", err, at, want)
	}
}

// ops draws one to three ops on different keys. Swap and Delete mostly name the
// revision that is there.
func (h *histories) ops() []store.Op {
	var ops []store.Op
	seen := map[store.Key]bool{}
	for range rapid.IntRange(1, 3).Draw(h.t, "ops") {
		d := h.draw()
		if seen[d.Key] {
			continue
		}
		seen[d.Key] = true
		switch action := pick(h.t, "action", store.ActionCreate, store.ActionCreate, store.ActionSwap, store.ActionSwap, store.ActionDelete); action {
		case store.ActionCreate:
			ops = append(ops, store.Create(d))
		case store.ActionSwap:
			ops = append(ops, store.Swap(d))
		case store.ActionDelete:
			ops = append(ops, store.Delete(d.Key, d.Rev))
		}
	}
	return ops
}

// draw makes a document of few names, so that histories meet themselves.
func (h *histories) draw() store.Doc {
	d := store.Doc{
		Key:   store.Key{Tenant: pick(h.t, "tenant", h.tenants...), Kind: pick(h.t, "kind", "k", "kk"), ID: pick(h.t, "id", "a", "ab")},
		Index: pick(h.t, "index", "", "x", "xx"),
		Body:  fmt.Appendf(nil, `{"v":1,"n":%d}`, rapid.IntRange(0, 9).Draw(h.t, "body")),
	}
	if life := pick(h.t, "life", 0, 0, 1, time.Millisecond, second, hour, -second); life != 0 {
		d.Expires = h.clock.now().Add(life)
	}
	old := h.model.docs[d.Key]
	d.Rev = max(1, old.Rev+pick[int64](h.t, "rev", 0, 0, 1, -1))
	return d
}

// look compares one drawn List.
func (h *histories) look() {
	tenant, kind := pick(h.t, "tenant", h.tenants...), pick(h.t, "kind", "k", "kk")
	h.compareList(tenant, kind, pick(h.t, "index", "", "x", "xx"), pick(h.t, "after", "", "a", "aa", "ab"), pick(h.t, "n", 1, 2, 99))
}

// compare compares everything at the end of the history.
func (h *histories) compare() {
	for _, tenant := range h.tenants {
		for _, kind := range []string{"k", "kk"} {
			h.compareList(tenant, kind, "", "", 99)
		}
	}
}

// compareList compares one List and a Get of everything in it.
func (h *histories) compareList(tenant, kind, index, after string, n int) {
	want := h.model.list(tenant, kind, index, after, n)
	got, err := h.store.List(h.Context(), tenant, kind, index, after, n)
	if err != nil || !slices.EqualFunc(got, want, equal) {
		h.t.Fatalf("List(%q, %q, %q, %q, %d) = %v, %v, want %v", tenant, kind, index, after, n, got, err, want)
	}
	for _, d := range want {
		if one, err := h.store.Get(h.Context(), d.Key); err != nil || !equal(one, d) {
			h.t.Fatalf("Get(%v) = %v, %v, want %v", d.Key, one, err, d)
		}
	}
}

// equal compares documents.
func equal(a, b store.Doc) bool {
	return a.Key == b.Key && a.Index == b.Index && a.Rev == b.Rev && a.Expires.Equal(b.Expires) && string(a.Body) == string(b.Body)
}
