package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// folded is a store that keeps different keys in one place.
func folded(s store.Store, fold func(store.Key) store.Key) *broken {
	safe := func(k store.Key) store.Key {
		if k.Validate() != nil {
			return k
		}
		return fold(k)
	}
	return &broken{
		commit: func(ctx context.Context, ops []store.Op) error {
			err := each(s, func(_ context.Context, op store.Op) store.Op {
				op.Doc.Key = safe(op.Doc.Key)
				return op
			})(ctx, ops)
			if e, ok := errors.AsType[*store.OpError](err); ok {
				return &store.OpError{Op: e.Op, Key: ops[e.Op].Doc.Key, Err: e.Err}
			}
			return err
		},
		get: func(ctx context.Context, k store.Key) (store.Doc, error) {
			d, err := s.Get(ctx, safe(k))
			if err == nil {
				d.Key = k
			}
			return d, err
		},
		list: func(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
			k := safe(store.Key{Tenant: tenant, Kind: kind, ID: "-"})
			docs, err := s.List(ctx, k.Tenant, k.Kind, index, after, n)
			for i := range docs {
				docs[i].Tenant, docs[i].Kind = tenant, kind
			}
			return docs, err
		},
	}
}

// lower folds capital letters, as a careless collation does.
func lower(k store.Key) store.Key {
	return store.Key{Tenant: strings.ToLower(k.Tenant), Kind: strings.ToLower(k.Kind), ID: strings.ToLower(k.ID)}
}

// crossTenant lists the documents of every tenant it has met.
func crossTenant(s store.Store) *broken {
	var mu sync.Mutex
	var tenants []string
	return &broken{
		commit: each(s, func(_ context.Context, op store.Op) store.Op {
			mu.Lock()
			defer mu.Unlock()
			if t := op.Doc.Tenant; op.Doc.Key.Validate() == nil && !slices.Contains(tenants, t) {
				tenants = append(tenants, t)
			}
			return op
		}),
		list: func(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
			docs, err := s.List(ctx, tenant, kind, index, after, n)
			mu.Lock()
			defer mu.Unlock()
			for _, t := range tenants {
				if more, err := s.List(ctx, t, kind, index, after, n-len(docs)); err == nil && t != tenant {
					docs = append(docs, more...)
				}
			}
			return docs, err
		},
	}
}

// listArgs are the arguments of List that a defect changes.
type listArgs struct {
	index, after string
	n            int
}

// listing is a store that forgets an argument of List. What List refuses it
// still refuses.
func listing(s store.Store, change func(*listArgs)) *broken {
	return &broken{list: func(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
		if err := store.ValidateList(tenant, kind, index, after); err != nil {
			return nil, err
		}
		a := listArgs{index, after, n}
		change(&a)
		docs, err := s.List(ctx, tenant, kind, a.index, a.after, a.n)
		for i := range docs {
			if index != "" {
				docs[i].Index = index
			}
		}
		return docs, err
	}}
}

// includesAfter begins a page with the last of the page before.
func includesAfter(s store.Store) *broken {
	return &broken{list: func(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
		docs, err := s.List(ctx, tenant, kind, index, after, n)
		if last, e := s.Get(ctx, store.Key{Tenant: tenant, Kind: kind, ID: after}); e == nil && n > 0 && (index == "" || last.Index == index) {
			docs = append([]store.Doc{last}, docs[:min(len(docs), n-1)]...)
		}
		return docs, err
	}}
}

// reversed gives a page from its end.
func reversed(s store.Store) *broken {
	return &broken{list: func(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
		docs, err := s.List(ctx, tenant, kind, index, after, n)
		slices.Reverse(docs)
		return docs, err
	}}
}

// failureAbsent takes a failure for an absent document (SEC-13: a spent ticket
// would be good again).
func failureAbsent(s store.Store) *broken {
	return &broken{get: func(ctx context.Context, k store.Key) (store.Doc, error) {
		d, err := s.Get(ctx, k)
		if err != nil && ctx.Err() == nil && k.Validate() == nil {
			err = store.ErrNotFound
		}
		return d, err
	}}
}

// contextIgnored writes after the caller has gone.
func contextIgnored(s store.Store) *broken {
	return &broken{commit: func(ctx context.Context, ops []store.Op) error {
		if err := s.Commit(context.WithoutCancel(ctx), ops...); err != nil {
			return err
		}
		return ctx.Err()
	}}
}

// opened counts the stores of anotherID.
var opened atomic.Int64 //nolint:gochecknoglobals // a defect outlives its store

// anotherID makes the id anew whenever the store is opened.
func anotherID(store.Store) *broken {
	id := strconv.FormatInt(opened.Add(1), 10)
	return &broken{id: func(context.Context) (string, error) {
		return strings.Repeat("A", 22-len(id)) + id, nil
	}}
}

// bodyShared hands out the bytes it keeps.
func bodyShared(s store.Store) *broken {
	var mu sync.Mutex
	kept := map[store.Key]store.Doc{}
	return &broken{get: func(ctx context.Context, k store.Key) (store.Doc, error) {
		d, err := s.Get(ctx, k)
		mu.Lock()
		defer mu.Unlock()
		if old, ok := kept[k]; ok && err == nil && old.Rev == d.Rev {
			return old, nil
		}
		kept[k] = d
		return d, err
	}}
}
