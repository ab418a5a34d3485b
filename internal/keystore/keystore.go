// Package keystore keeps key files in the document store, each sealed with a
// secret that the store does not hold (the key encryption key): nodes that share
// a store then need no shared Caddy storage, and who reads the store has no key.
//
// A Storage is that of one tenant (role, issuer). Its documents:
//
//	key       id and name of a key file, index its folder; body {"v":1,"kek","box"}
//	key-check id "kek"; a sealed text, by which a node with another key encryption
//	          key is told from a damaged file, before it makes keys of its own
//	key-lock  id of a lock; expires, so that a dead node holds nobody up
//
// Associated data of a box is kind, role, issuer and id: moved to another
// tenant or name it does not open.
package keystore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Store is what is needed of store.Store.
type Store interface {
	Get(ctx context.Context, key store.Key) (store.Doc, error)
	List(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error)
	Commit(ctx context.Context, ops ...store.Op) error
}

// Config describes the key files of one role and issuer.
type Config struct {
	Store        Store
	Role, Issuer string
	// Secrets are the key encryption keys: the first seals, all open.
	Secrets *Secrets
	Now     func() time.Time
	Log     *zap.Logger
}

// ErrOtherSecret says that the keys in the store were sealed with a key
// encryption key that this node has not. Nothing is made or written then.
var ErrOtherSecret = errors.New("the keys in the store are sealed with another key encryption key than those of 'keys store'; give this node the one of the other nodes (while it is being changed, both)")

// Storage is a jose.Storage.
type Storage struct {
	cfg    Config
	tenant string

	mu      sync.Mutex
	checked bool
	owned   map[string]string // locks that are held here
}

// New checks the description. It reads nothing.
func New(cfg Config) (*Storage, error) {
	if cfg.Store == nil || cfg.Secrets == nil || cfg.Now == nil || cfg.Role == "" || cfg.Issuer == "" {
		return nil, errors.New("keys in the store need a store, a key encryption key, a clock, a role and an issuer")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Storage{cfg: cfg, tenant: store.Tenant(cfg.Role, cfg.Issuer), owned: map[string]string{}}, nil
}

const (
	kindKey   = "key"
	kindCheck = "key-check"
	kindLock  = "key-lock"
)

// body is the form of a document: kek is the id of the secret that box is sealed
// with.
type body struct {
	V   int    `json:"v"`
	KEK string `json:"kek"`
	Box string `json:"box"`
}

const bodyVersion = 1

// Store implements jose.Storage: it writes a key file.
func (s *Storage) Store(ctx context.Context, name string, value []byte) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	doc := store.Doc{Key: s.key(kindKey, name), Index: path.Dir(name)}
	before, err := s.cfg.Store.Get(ctx, doc.Key)
	switch {
	case err == nil:
		doc.Rev = before.Rev
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return s.put(ctx, doc, value)
}

// put seals a document and writes it, over the revision that was read.
func (s *Storage) put(ctx context.Context, doc store.Doc, plain []byte) error {
	box, err := s.cfg.Secrets.box.Seal(ctx, plain, s.associated(doc.Key)...)
	if err != nil {
		return err
	}
	doc.Body, err = json.Marshal(body{V: bodyVersion, KEK: s.cfg.Secrets.ids[0], Box: box})
	if err != nil {
		return err
	}
	if doc.Rev > 0 {
		return s.cfg.Store.Commit(ctx, store.Swap(doc))
	}
	return s.cfg.Store.Commit(ctx, store.Create(doc))
}

// Load implements jose.Storage: it reads a key file.
func (s *Storage) Load(ctx context.Context, name string) ([]byte, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	doc, err := s.cfg.Store.Get(ctx, s.key(kindKey, name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	plain, err := s.open(ctx, doc)
	if errors.Is(err, errDamaged) {
		// The ring skips and logs what is no key file: it stops nothing else.
		return nil, nil
	}
	return plain, err
}

var errDamaged = errors.New("a document is damaged, or was moved from another place")

// open gives the content of a document.
func (s *Storage) open(ctx context.Context, doc store.Doc) ([]byte, error) {
	var b body
	if json.Unmarshal(doc.Body, &b) != nil {
		return nil, errDamaged
	}
	if b.V != bodyVersion {
		return nil, fmt.Errorf("version %d of a key in the store is unknown to this program", b.V)
	}
	if !s.cfg.Secrets.has(b.KEK) {
		return nil, ErrOtherSecret
	}
	plain, err := s.cfg.Secrets.box.Open(ctx, b.Box, s.associated(doc.Key)...)
	if err != nil {
		return nil, errDamaged
	}
	return plain, nil
}

// sealedWith is the id of the secret that a document is sealed with.
func (s *Storage) sealedWith(doc store.Doc) string {
	var b body
	if json.Unmarshal(doc.Body, &b) != nil {
		return ""
	}
	return b.KEK
}

// page is how many documents are listed at once.
const page = 100

// List implements jose.Storage: it gives the names in a folder, never those in
// folders below it.
func (s *Storage) List(ctx context.Context, folder string, _ bool) ([]string, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	var names []string
	err := s.each(ctx, kindKey, folder, func(doc store.Doc) error {
		names = append(names, doc.ID)
		return nil
	})
	return names, err
}

func (s *Storage) each(ctx context.Context, kind, index string, do func(store.Doc) error) error {
	for after := ""; ; {
		docs, err := s.cfg.Store.List(ctx, s.tenant, kind, index, after, page)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			if err := do(doc); err != nil {
				return err
			}
			after = doc.ID
		}
		if len(docs) < page {
			return nil
		}
	}
}

func (s *Storage) key(kind, id string) store.Key {
	return store.Key{Tenant: s.tenant, Kind: kind, ID: id}
}

func (s *Storage) associated(key store.Key) []string {
	return []string{key.Kind, s.cfg.Role, s.cfg.Issuer, key.ID}
}

var _ jose.Storage = (*Storage)(nil)
