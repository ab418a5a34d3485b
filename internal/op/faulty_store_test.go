package op_test

import (
	"context"
	"sync"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// faultyStore fails on demand.
type faultyStore struct {
	store.Store
	mu   sync.Mutex
	get  error
	save error
}

func (s *faultyStore) fail(get, save error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get, s.save = get, save
}

func (s *faultyStore) errs() (get, save error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get, s.save
}

func (s *faultyStore) Get(ctx context.Context, key store.Key) (store.Doc, error) {
	if err, _ := s.errs(); err != nil {
		return store.Doc{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s *faultyStore) List(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
	if err, _ := s.errs(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, tenant, kind, index, after, n)
}

func (s *faultyStore) Commit(ctx context.Context, ops ...store.Op) error {
	if _, err := s.errs(); err != nil {
		return err
	}
	return s.Store.Commit(ctx, ops...)
}
