package josetest

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Storage keeps key files in memory. Fail, if set, is the error of every call
// but Lock and Unlock; set it before others use the storage, or with Break.
type Storage struct {
	Fail error
	// NoLock makes Lock succeed at once for everybody, like a lock that was lost.
	NoLock bool

	mu    sync.Mutex
	files map[string][]byte
	locks map[string]chan struct{}
	calls map[string]int
}

// NewStorage makes an empty storage.
func NewStorage() *Storage {
	return &Storage{files: map[string][]byte{}, locks: map[string]chan struct{}{}, calls: map[string]int{}}
}

// Break sets the error of all calls from now on; nil repairs the storage.
func (s *Storage) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fail = err
}

// Calls is how often a method was called.
func (s *Storage) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Names lists the files in order.
func (s *Storage) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.files))
}

// Delete removes a file, as an administrator may.
func (s *Storage) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, key)
}

// Lock implements jose.Storage.
func (s *Storage) Lock(ctx context.Context, name string) error {
	lock := s.lock(name)
	if lock == nil {
		return nil
	}
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Storage) lock(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["Lock"]++
	if s.NoLock {
		return nil
	}
	if s.locks[name] == nil {
		s.locks[name] = make(chan struct{}, 1)
	}
	return s.locks[name]
}

// Unlock implements jose.Storage.
func (s *Storage) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["Unlock"]++
	if lock := s.locks[name]; lock != nil {
		<-lock
	}
	return nil
}

// Store implements jose.Storage.
func (s *Storage) Store(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["Store"]++
	if s.Fail != nil {
		return s.Fail
	}
	s.files[key] = slices.Clone(value)
	return nil
}

// Load implements jose.Storage.
func (s *Storage) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["Load"]++
	if s.Fail != nil {
		return nil, s.Fail
	}
	value, ok := s.files[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(value), nil
}

// List implements jose.Storage.
func (s *Storage) List(_ context.Context, path string, _ bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["List"]++
	if s.Fail != nil {
		return nil, s.Fail
	}
	var names []string
	for name := range s.files {
		if strings.HasPrefix(name, path+"/") {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, fs.ErrNotExist
	}
	return names, nil
}
