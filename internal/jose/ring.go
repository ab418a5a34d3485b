package jose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	// Role is as, sts or rs, Issuer whom the keys belong to.
	Role, Issuer string
	// Purpose is one of rpt status introspection assertion claims id-token
	// (signing keys) and ticket grant nonce op subject audit (32-byte secrets).
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

// Times that hold for every ring; whoever tells how far a change of the keys has
// got computes with them.
const (
	// Overlap is how long a new key is published before it is used, when there
	// is an older one: as long as others may keep our key set.
	Overlap = 15 * time.Minute
	// Relist is how often storage is looked at for keys of other nodes.
	Relist = time.Minute
	// StorageTimeout bounds an operation on the storage, waiting for the lock
	// included.
	StorageTimeout = 20 * time.Second
)

// relistUnknown is the least time between two looks because of an unknown kid
// or after a failure.
const relistUnknown = 10 * time.Second

const purposeSubject = "subject"

var (
	signingPurposes = []string{"rpt", "status", "introspection", "assertion", "claims", "id-token"}
	secretPurposes  = []string{"ticket", "grant", "nonce", "op", purposeSubject, "audit"}
	roles           = []string{"as", "sts", "rs"}
	signingAlgs     = []string{"ES256", "EdDSA", "PS256", "RS256"}
)

// Ring is the keys of one purpose of one issuer, in Caddy's storage or in the
// document store. Keys are only added, and taken back by Retire: each node reads
// what the others made. Nothing is read or made
// before first use, and later uses are served from memory: a slow or broken
// storage delays or stops only what needs a key that is not known yet.
type Ring struct {
	cfg    RingConfig
	folder string
	state  atomic.Pointer[ringState]

	// mu is held while storage is used; it guards what follows.
	mu      sync.Mutex
	failed  time.Time         // of the last failure of a look that could have waited
	asked   time.Time         // of the last look because of an unknown key
	answer  error             // what that look failed with
	skipped map[string]string // files that are not used, and why; logged once
}

// ringState is what is known of storage; it is replaced, never changed.
type ringState struct {
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
	case cfg.Storage == nil || cfg.Now == nil || cfg.Issuer == "" || !slices.Contains(roles, cfg.Role):
		return nil, errors.New("keys need a storage, a clock, a role and an issuer")
	case secret:
		cfg.Alg = algSecret
	case cfg.Alg == "":
		cfg.Alg = "ES256"
	case !slices.Contains(signingAlgs, cfg.Alg):
		return nil, errAlg(cfg.Alg)
	}
	// A backend may keep an RPT's sub, so the key that makes it never changes.
	if cfg.Purpose == purposeSubject {
		cfg.Rotation = 0
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	r := &Ring{cfg: cfg, folder: folder(cfg.Role, cfg.Issuer, cfg.Purpose), skipped: map[string]string{}}
	r.state.Store(&ringState{})
	return r, nil
}

func errAlg(alg string) error {
	return fmt.Errorf("algorithm %s cannot sign here; use ES256, EdDSA, PS256 or RS256", alg)
}

// current gives the key to use, making one if there is none or the newest is
// too old. Who has a key does not wait for somebody else's look at storage.
func (r *Ring) current(ctx context.Context) (*ringKey, error) {
	key := r.life().choose()
	switch {
	case key != nil && !r.old() && !r.life().due():
		return key, nil
	case key == nil:
		r.mu.Lock()
	case !r.mu.TryLock():
		return key, nil
	}
	defer r.mu.Unlock()
	err := r.refresh(ctx, true)
	if key := r.life().choose(); key != nil {
		return key, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: no usable key", ErrKeySource)
	}
	return nil, err
}

// life is the keys in memory as they stand now.
func (r *Ring) life() life {
	return life{cfg: &r.cfg, keys: r.state.Load().keys, now: r.cfg.Now()}
}

// old tells whether storage must be looked at again.
func (r *Ring) old() bool { return elapsed(r.state.Load().listed, r.cfg.Now(), Relist) }

// elapsed is also true when the clock was set back.
func elapsed(since, now time.Time, d time.Duration) bool {
	return now.Before(since) || now.Sub(since) >= d
}

// refresh looks into storage if the last look is old, and makes a key if one is
// due. With a usable key in memory a failure is logged and not tried again at
// once. The caller holds mu.
func (r *Ring) refresh(ctx context.Context, mayMake bool) error {
	usable := r.life().choose() != nil
	if usable && !elapsed(r.failed, r.cfg.Now(), relistUnknown) {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var err error
	if r.old() {
		err = r.list(ctx)
	}
	if err == nil && mayMake && r.life().due() {
		err = r.rotate(ctx)
	}
	r.failed = time.Time{}
	if err != nil && usable {
		r.failed = r.cfg.Now()
		r.cfg.Log.Error("keys could not be read or made; those in memory are used",
			zap.String("folder", r.folder), zap.Error(err))
	}
	return err
}

// lookAround looks into storage if the last look is older than relistUnknown. A
// failure leaves what is known; nobody waits for somebody else's look.
func (r *Ring) lookAround(ctx context.Context) {
	now := r.cfg.Now()
	if !elapsed(r.state.Load().listed, now, relistUnknown) || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if !elapsed(r.failed, now, relistUnknown) {
		return
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := r.list(ctx); err != nil {
		r.failed = now
		r.cfg.Log.Error("keys could not be read; those in memory are used", zap.String("folder", r.folder), zap.Error(err))
	}
}

// find looks for a live key; for an unknown one it looks into storage again,
// but not at every request with an invented kid.
func (r *Ring) find(ctx context.Context, match func(*ringKey) bool) (*ringKey, error) {
	if !r.state.Load().listed.IsZero() && r.old() && r.mu.TryLock() {
		_ = r.refresh(ctx, false) // logged there
		r.mu.Unlock()
	}
	if k := r.life().match(match); k != nil {
		return k, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.life().match(match); k != nil { // somebody else's look found it
		return k, nil
	}
	if now := r.cfg.Now(); elapsed(r.asked, now, relistUnknown) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		r.asked, r.answer = now, r.list(ctx)
	}
	if k := r.life().match(match); k != nil {
		return k, nil
	}
	if r.answer != nil {
		return nil, r.answer
	}
	return nil, ErrNoKey
}
