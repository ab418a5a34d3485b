package jose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Storage is the part of certmagic.Storage that key files need. Load and List
// return fs.ErrNotExist for what is absent.
type Storage interface {
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
	List(ctx context.Context, path string, recursive bool) ([]string, error)
}

// RingConfig describes the keys of one purpose of one issuer.
type RingConfig struct {
	Storage Storage
	// Role is as or sts, Issuer the issuer that the keys belong to.
	Role, Issuer string
	// Purpose is one of rpt status introspection assertion claims id-token
	// (signing keys) and ticket nonce op subject audit (32-byte secrets).
	Purpose string
	// Alg is ES256 (default), EdDSA, PS256 or RS256; secrets have none.
	Alg string
	// Rotation is the age at which a key is replaced; 0 = never.
	Rotation time.Duration
	// Retain is how long a replaced key must still verify: the longest life of a
	// token made with it, plus leeway.
	Retain time.Duration
	Now    func() time.Time
	Log    *zap.Logger
}

const (
	// overlap is how long a new key is published before it is used, when there
	// is an older one: as long as others may keep our key set.
	overlap = 15 * time.Minute
	// relist is how often storage is looked at for keys of other nodes, and the
	// least time between two looks because of an unknown kid.
	relist        = time.Minute
	relistUnknown = 10 * time.Second
	// storageTimeout bounds an operation on the storage, waiting for the lock
	// included.
	storageTimeout = 20 * time.Second
)

var (
	signingPurposes = []string{"rpt", "status", "introspection", "assertion", "claims", "id-token"}
	secretPurposes  = []string{"ticket", "nonce", "op", "subject", "audit"}
)

// Ring is the keys of one purpose of one issuer, in Caddy's storage. Keys are
// only added: each node reads what the others made. Nothing is read or made
// before first use.
type Ring struct {
	cfg    RingConfig
	folder string

	mu     sync.Mutex
	keys   []*ringKey // newest first
	listed time.Time
}

// NewRing checks the description. It reads nothing.
func NewRing(cfg RingConfig) (*Ring, error) {
	secret := slices.Contains(secretPurposes, cfg.Purpose)
	if !secret && !slices.Contains(signingPurposes, cfg.Purpose) {
		return nil, fmt.Errorf("unknown purpose of keys '%s'", cfg.Purpose)
	}
	switch {
	case cfg.Storage == nil || cfg.Now == nil || cfg.Issuer == "" || cfg.Role != "as" && cfg.Role != "sts":
		return nil, errors.New("keys need a storage, a clock, a role and an issuer")
	case secret:
		cfg.Alg = algSecret
	case cfg.Alg == "":
		cfg.Alg = "ES256"
	case !slices.Contains([]string{"ES256", "EdDSA", "PS256", "RS256"}, cfg.Alg):
		return nil, fmt.Errorf("algorithm %s cannot sign here; use ES256, EdDSA, PS256 or RS256", cfg.Alg)
	}
	// A backend may keep an RPT's sub, so the key that makes it never changes.
	if cfg.Purpose == "subject" {
		cfg.Rotation = 0
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Ring{cfg: cfg, folder: folder(cfg.Role, cfg.Issuer, cfg.Purpose)}, nil
}

// current gives the key to use, making one if there is none or the newest is
// too old.
func (r *Ring) current(ctx context.Context) (*ringKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.Now().Sub(r.listed) >= relist {
		if err := r.list(ctx); err != nil && r.usable() == nil {
			return nil, err
		}
	}
	if r.due() {
		if err := r.rotate(ctx); err != nil && r.usable() == nil {
			return nil, err
		}
	}
	if key := r.usable(); key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("%w: no usable key", ErrKeySource)
}

// usable is the newest key whose time has come.
func (r *Ring) usable() *ringKey {
	now := r.cfg.Now()
	for _, k := range r.keys {
		if k.alg == r.cfg.Alg && !now.Before(k.notBefore) && r.alive(k, now) {
			return k
		}
	}
	for _, k := range r.keys { // after a change of algorithm, until the new key's time has come
		if !now.Before(k.notBefore) && r.alive(k, now) {
			return k
		}
	}
	return nil
}

// alive: a key verifies until the last token made with it has expired.
func (r *Ring) alive(k *ringKey, now time.Time) bool {
	if !k.retire.IsZero() && !now.Before(k.retire) {
		return false
	}
	successor := r.successor(k)
	return successor == nil || now.Before(successor.notBefore.Add(r.cfg.Retain))
}

// successor is the next newer key of the ring.
func (r *Ring) successor(k *ringKey) *ringKey {
	var next *ringKey
	for _, other := range r.keys {
		if other == k {
			break
		}
		next = other
	}
	return next
}

// due tells whether a new key must be made: there is none, or the newest has
// another algorithm or is too old.
func (r *Ring) due() bool {
	if len(r.keys) == 0 || r.keys[0].alg != r.cfg.Alg {
		return true
	}
	return r.cfg.Rotation > 0 && r.cfg.Now().Sub(r.keys[0].created) >= r.cfg.Rotation
}

// list reads the key files that are not known yet and forgets those that are
// gone.
func (r *Ring) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	names, err := r.cfg.Storage.List(ctx, r.folder, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	known := map[string]*ringKey{}
	for _, k := range r.keys {
		known[k.kid] = k
	}
	var keys []*ringKey
	for _, name := range names {
		kid, isKey := strings.CutSuffix(name[strings.LastIndexByte(name, '/')+1:], ".json")
		if !isKey {
			continue
		}
		k, have := known[kid]
		if !have {
			if k, err = r.load(ctx, r.folder+"/"+kid+".json"); err != nil {
				return err
			}
		}
		if k != nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, newestFirst)
	r.keys, r.listed = keys, r.cfg.Now()
	return nil
}

func newestFirst(a, b *ringKey) int {
	if n := b.created.Compare(a.created); n != 0 {
		return n
	}
	return strings.Compare(a.kid, b.kid)
}

// load reads a key file. A broken one is skipped: one bad file must not stop
// the server.
func (r *Ring) load(ctx context.Context, name string) (*ringKey, error) {
	data, err := r.cfg.Storage.Load(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	k, err := parseKeyFile(data)
	if err != nil {
		r.cfg.Log.Error("a key file is skipped", zap.String("file", name), zap.Error(err))
		return nil, nil
	}
	return k, nil
}

// rotate adds a key under a lock, after another look: of two nodes one makes
// the key and the other finds it. The lock may be lost (certmagic's locks are
// not fenced); then there is a key too many, which hurts nobody.
func (r *Ring) rotate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	lock := strings.ReplaceAll(r.folder, "/", "_")
	if err := r.cfg.Storage.Lock(ctx, lock); err != nil {
		return fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	defer func() {
		if err := r.cfg.Storage.Unlock(context.WithoutCancel(ctx), lock); err != nil {
			r.cfg.Log.Error("the lock of the keys could not be released", zap.Error(err))
		}
	}()
	if err := r.list(ctx); err != nil || !r.due() {
		return err
	}
	k, err := r.add(ctx)
	if err != nil {
		return err
	}
	r.keys = append([]*ringKey{k}, r.keys...)
	return nil
}

// add makes a key and stores it. The first one is used at once; a later one is
// published first (CONFORMANCE SEC-11).
func (r *Ring) add(ctx context.Context) (*ringKey, error) {
	k, err := generate(r.cfg.Alg)
	if err != nil {
		return nil, err
	}
	k.created = r.cfg.Now().UTC()
	k.notBefore = k.created
	if r.usable() != nil {
		k.notBefore = k.created.Add(overlap)
	}
	data, err := k.marshal()
	if err != nil {
		return nil, err
	}
	if err := r.cfg.Storage.Store(ctx, r.folder+"/"+k.kid+".json", data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	return k, nil
}
