package rs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

const (
	// entryBytes is what a remembered token may take on average.
	entryBytes = 1 << 10
	// maxEntry bounds one remembered token in bytes. Larger ones are verified or
	// asked about each time.
	maxEntry = 64 << 10
	// entryOverhead is what an entry takes besides the texts and lists of its claims:
	// its place in the list and the map, and the claims themselves.
	entryOverhead = 448
)

// tokenHash names a token: the token itself is kept nowhere.
type tokenHash [sha256.Size]byte

func hashToken(token string) tokenHash {
	var buffer [2 << 10]byte // most tokens need no other memory
	if len(token) > len(buffer) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(buffer[:copy(buffer[:], token)])
}

// verified is a token with what it says. It is never changed: a token that was
// asked about again gets a new one.
type verified struct {
	claims rptClaims
	// key of a JWT whose signature was checked here; else nil.
	key *signingKey
	// asked is when the authorization server was asked about the token, in
	// nanoseconds since 1970; 0 for one that was not.
	asked int64
}

// size counts what allocations are rounded up by, too.
func (t *verified) size() int {
	n := t.claims.size()
	return entryOverhead + n + n/8
}

// tokenCache remembers tokens, never decisions. It is bounded in entries and in
// bytes: large tokens push out several others, and do not multiply the memory.
type tokenCache struct {
	mu     sync.Mutex
	tokens *simplelru.LRU[tokenHash, *verified]
	bytes  int
	most   int
}

func newTokenCache(n int) (*tokenCache, error) {
	c := &tokenCache{most: n * entryBytes}
	tokens, err := simplelru.NewLRU(n, func(_ tokenHash, t *verified) { c.bytes -= t.size() })
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	c.tokens = tokens
	return c, nil
}

// get gives nil for a token that is not remembered.
func (c *tokenCache) get(hash tokenHash) *verified {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, _ := c.tokens.Get(hash)
	return t
}

func (c *tokenCache) add(hash tokenHash, t *verified) {
	size := t.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens.Remove(hash) // so that its size is taken off
	if size > min(maxEntry, c.most) {
		return
	}
	c.bytes += size
	c.tokens.Add(hash, t)
	for c.bytes > c.most {
		c.tokens.RemoveOldest()
	}
}

// remove drops what was found wrong, unless there is something newer.
func (c *tokenCache) remove(hash tokenHash, wrong *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.tokens.Peek(hash); ok && t == wrong {
		c.tokens.Remove(hash)
	}
}

// signingKey is a key of the authorization server, shared by the tokens that it
// has signed.
type signingKey struct {
	kid, alg string
	// key is as it was in the key set last. Each time that is read there are new
	// objects, for the same key.
	key atomic.Pointer[crypto.PublicKey]
}

func newSigningKey(k jose.PublicKey) *signingKey {
	s := &signingKey{kid: k.KID, alg: k.Alg}
	s.key.Store(&k.Key)
	return s
}

// is compares with what the key set has under the same name now.
func (s *signingKey) is(now crypto.PublicKey) bool {
	have := *s.key.Load()
	if identical(have, now) {
		return true
	}
	k, ok := have.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !k.Equal(now) {
		return false
	}
	newer := now // of its own, so that only this path takes memory
	s.key.Store(&newer)
	return true
}

// identical compares objects; what is no pointer cannot be compared so.
func identical(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *ecdsa.PublicKey:
		b, ok := b.(*ecdsa.PublicKey)
		return ok && a == b
	case *rsa.PublicKey:
		b, ok := b.(*rsa.PublicKey)
		return ok && a == b
	}
	return false
}

// signingKeys are the keys in use: the last few.
type signingKeys struct {
	mu   sync.Mutex
	keys []*signingKey
}

const maxSigningKeys = 64

// shared gives the one object for a key.
func (all *signingKeys) shared(k jose.PublicKey) *signingKey {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, s := range all.keys {
		if s.kid == k.KID && s.alg == k.Alg && s.is(k.Key) {
			return s
		}
	}
	if len(all.keys) >= maxSigningKeys {
		all.keys = append([]*signingKey(nil), all.keys[1:]...)
	}
	s := newSigningKey(k)
	all.keys = append(all.keys, s)
	return s
}

// elapsed tells whether d has passed since. A clock that was set back counts as
// passed.
func elapsed(since, now time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return age < 0 || age >= d
}
