package keystore

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// checkText is what the check document holds.
const checkText = "caddy-uma"

// check makes sure, once, that this node has the key encryption key of the
// tenant; the first node of all sets it. A node with another one could read no
// key, and what it made nobody else could.
func (s *Storage) check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checked {
		return nil
	}
	// First, because a check document that somebody deleted must not come back
	// sealed with another key than the rest.
	if err := s.reseal(ctx); err != nil {
		return err
	}
	if err := s.compare(ctx); err != nil {
		return err
	}
	s.checked = true
	return nil
}

// compare opens the check document, and makes it if there is none.
func (s *Storage) compare(ctx context.Context) error {
	key := s.key(kindCheck, "kek")
	doc, err := s.cfg.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		err = s.put(ctx, store.Doc{Key: key}, []byte(checkText))
		if err != nil && !errors.Is(err, store.ErrExists) { // else another node was faster
			return err
		}
		doc, err = s.cfg.Store.Get(ctx, key)
	}
	if err != nil {
		return err
	}
	text, err := s.open(ctx, doc)
	if err == nil && string(text) != checkText {
		err = errDamaged
	}
	return err
}

// reseal seals with the first secret what was sealed with an older one, so that
// the older one can go from the configuration when all nodes were started with
// both. It runs once: nodes whose order of the two differs do not undo each
// other's work for ever.
func (s *Storage) reseal(ctx context.Context) error {
	n := 0
	again := func(doc store.Doc) error {
		changed, err := s.resealOne(ctx, doc)
		if changed {
			n++
		}
		return err
	}
	for _, kind := range []string{kindKey, kindCheck} {
		if err := s.each(ctx, kind, "", again); err != nil {
			return err
		}
	}
	if n > 0 {
		s.cfg.Log.Info("keys in the store are sealed with the first key encryption key now", zap.String("issuer", s.cfg.Issuer), zap.Int("documents", n))
	}
	return nil
}

func (s *Storage) resealOne(ctx context.Context, doc store.Doc) (changed bool, err error) {
	if s.sealedWith(doc) == s.cfg.Secrets.ids[0] {
		return false, nil
	}
	plain, err := s.open(ctx, doc)
	if errors.Is(err, errDamaged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = s.put(ctx, doc, plain)
	if errors.Is(err, store.ErrConflict) { // another node was faster
		return false, nil
	}
	return err == nil, err
}
