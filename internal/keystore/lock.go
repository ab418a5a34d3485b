package keystore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	// lockLife is how long a dead node holds others up: less than who needs a key
	// waits (jose.StorageTimeout).
	lockLife = 10 * time.Second
	// lockPause is between two attempts.
	lockPause = 100 * time.Millisecond
)

// Lock implements jose.Storage. It is not fenced: a node that hangs for longer
// than lockLife may go on while another holds the lock, which makes a key too
// many and hurts nobody.
func (s *Storage) Lock(ctx context.Context, name string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	owner := rand.Text()
	for {
		now, err := store.Time(ctx, s.cfg.Store, s.cfg.Now)
		if err != nil {
			return err
		}
		err = s.cfg.Store.Commit(ctx, store.Create(store.Doc{
			Key: s.key(kindLock, name), Expires: now.Add(lockLife), Body: lockBody(owner),
		}))
		if err == nil {
			s.mu.Lock()
			s.owned[name] = owner
			s.mu.Unlock()
			return nil
		}
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context) error {
	t := time.NewTimer(lockPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock implements jose.Storage. A lock that expired and is another's now stays.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	owner := s.owned[name]
	delete(s.owned, name)
	s.mu.Unlock()
	doc, err := s.cfg.Store.Get(ctx, s.key(kindLock, name))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil || !bytes.Equal(doc.Body, lockBody(owner)) {
		return err
	}
	err = s.cfg.Store.Commit(ctx, store.Delete(doc.Key, doc.Rev))
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

func lockBody(owner string) []byte { return []byte(`{"v":1,"owner":"` + owner + `"}`) }
