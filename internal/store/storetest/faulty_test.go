package storetest

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

func newFaulty(t *testing.T) *Faulty {
	t.Helper()
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "store.db"), store.BoltOptions{Now: epoch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return NewFaulty(s)
}

func TestFaulty_FailBefore(t *testing.T) {
	f := newFaulty(t)
	f.FailBefore(func(c Call) bool { return c.Writes(store.ActionCreate, kind) })
	if err := f.Commit(t.Context(), store.Create(doc("id"))); !errors.Is(err, ErrDisk) {
		t.Errorf("Commit = %v, want ErrDisk", err)
	}
	if err := f.Commit(t.Context(), store.Create(doc("id", of(tenant, "grant")))); err != nil {
		t.Errorf("Commit of another kind = %v", err)
	}
	f.Repair()
	if _, err := f.Get(t.Context(), key("id")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound: nothing was written", err)
	}
	if err := f.Commit(t.Context(), store.Create(doc("id"))); err != nil {
		t.Errorf("Commit after Repair = %v", err)
	}
}

func TestFaulty_LoseAnswer(t *testing.T) {
	f := newFaulty(t)
	f.LoseAnswer(func(c Call) bool { return c.Method == "Commit" || c.Method == "Get" })
	if err := f.Commit(t.Context(), store.Create(doc("id"))); !errors.Is(err, ErrDisk) {
		t.Errorf("Commit = %v, want ErrDisk", err)
	}
	if d, err := f.Get(t.Context(), key("id")); !errors.Is(err, ErrDisk) || d.Body != nil {
		t.Errorf("Get = %v, %v, want ErrDisk alone", d, err)
	}
	f.Repair()
	if _, err := f.Get(t.Context(), key("id")); err != nil {
		t.Errorf("Get = %v, want what was written", err)
	}
}

// The hooks see every call, in order, with its error.
func TestFaulty_Hooks(t *testing.T) {
	f := newFaulty(t)
	var seen []string
	f.Before(func(_ context.Context, c Call) error {
		seen = append(seen, "before "+c.Method+" "+c.Key.Kind)
		return nil
	})
	f.After(func(_ context.Context, c Call, err error) error {
		if errors.Is(err, store.ErrNotFound) {
			return ErrDisk
		}
		return err
	})
	_, _ = f.ID(t.Context())
	_, _ = f.List(t.Context(), tenant, kind, "", "", 1)
	_, _ = f.Sweep(t.Context(), 1)
	if _, err := f.Get(t.Context(), key("id")); !errors.Is(err, ErrDisk) {
		t.Errorf("Get = %v, want what After made of it", err)
	}
	want := []string{"before ID ", "before List spent", "before Sweep ", "before Get spent"}
	if len(seen) != len(want) {
		t.Fatalf("seen = %q, want %q", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("seen = %q, want %q", seen, want)
		}
	}
}
