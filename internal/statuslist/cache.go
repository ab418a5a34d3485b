package statuslist

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// What Check says of a token.
var (
	// ErrRevoked: the token was revoked.
	ErrRevoked = errors.New("revoked")
	// ErrNotListed: the list does not speak of the token (§8.3: such a token is
	// refused).
	ErrNotListed = errors.New("not on the status list")
	// ErrLost: there is no list that is recent enough to tell.
	ErrLost = errors.New("the status list cannot be had")
)

// StaleFactor: while no newer list can be had, one is used for this many MaxAges.
const StaleFactor = 3

// Config describes a Cache.
type Config struct {
	// Issuer is who signs the lists.
	Issuer string
	// Fetch reads the list at a URI. etag is that of the list which is known, ""
	// for none; it bounds time and size.
	Fetch func(ctx context.Context, uri, etag string) (Answer, error)
	// MaxAge is how old a list may be: what is revoked now is refused from now +
	// MaxAge on. Default 10s. Half as old, a list that is in use is read again.
	MaxAge time.Duration
	// FailOpen uses the last list for any time, while no newer one can be had.
	// Without a list at all nothing is accepted.
	FailOpen bool
	// Size is how many lists are remembered; default 64. Bytes is how much memory they
	// may take; default 64 MiB, eight of the largest. The list that was used longest ago
	// goes first, and is read again before a token of it is accepted.
	Size  int
	Bytes int
	// Lost is told when a list could not be read, at most once per Pause and list;
	// nil = nobody is.
	Lost func(ctx context.Context, uri string, err error)
	Now  func() time.Time
}

// Pause is the least time between two attempts to read one list after one failed,
// and between two that were made because a list did not speak of a token.
const Pause = time.Second

// Answer is what is at the URI of a list.
type Answer struct {
	// Unchanged: it is still the list whose etag was shown.
	Unchanged bool
	Token     string // the status list token
	ETag      string
}

// Cache keeps status lists. Each is read when the first token asks for it, and again
// while tokens ask; nothing runs in between.
type Cache struct {
	cfg   Config
	lists *lru.Cache[string, *cached]
	marks *lru.Cache[string, mark] // of more lists than those

	readings chan struct{} // holds one token for each that runs
	trimming sync.Mutex    // also for what is remembered
}

// NewCache makes an empty cache.
func NewCache(cfg Config) (*Cache, error) {
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = 10 * time.Second
	}
	if cfg.Size <= 0 {
		cfg.Size = 64
	}
	if cfg.Bytes <= 0 {
		cfg.Bytes = 64 << 20
	}
	if cfg.Lost == nil {
		cfg.Lost = func(context.Context, string, error) {}
	}
	lists, err := lru.New[string, *cached](cfg.Size)
	if err != nil {
		return nil, err
	}
	marks, err := lru.New[string, mark](cfg.Size * marksPerList)
	return &Cache{cfg: cfg, lists: lists, marks: marks, readings: make(chan struct{}, maxReadings)}, err
}

// Check tells whether a token with this reference may be used: nil, or one of the
// errors above. keys are those of the issuer.
func (c *Cache) Check(ctx context.Context, keys jose.KeySet, ref Reference) error {
	list := c.entry(ref.URI)
	have, err := list.recent(ctx, c, keys, ref.URI)
	if err != nil {
		return err
	}
	revoked, known := have.list.Revoked(ref.Index)
	if !known { // issued after the list was made, perhaps
		if have, err = list.newer(ctx, c, keys, ref.URI, have); err != nil {
			return err
		}
		revoked, known = have.list.Revoked(ref.Index)
	}
	switch {
	case !known:
		return ErrNotListed
	case revoked:
		return ErrRevoked
	}
	return nil
}

func (c *Cache) entry(uri string) *cached {
	if have, ok := c.lists.Get(uri); ok {
		return have
	}
	fresh := new(cached)
	if have, was, _ := c.lists.PeekOrAdd(uri, fresh); was {
		return have
	}
	return fresh
}
