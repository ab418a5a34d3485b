// Package jose holds everything about signed tokens: the strict gate in front
// of the library, key files in Caddy's storage, signing, verification, JWKS and
// the cache of other people's key sets. No type of the library leaves it.
package jose

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"time"

	"go.uber.org/zap"
)

// Storage is the part of certmagic.Storage that key files need. Load returns
// fs.ErrNotExist for what is absent.
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
	// Role is "as", "sts"; Issuer the issuer the keys belong to.
	Role, Issuer string
	// Purpose: rpt status introspection assertion claims id-token (signing),
	// ticket nonce op subject audit (32-byte secrets).
	Purpose string
	// Alg is ES256 (default), EdDSA, PS256 or RS256; ignored for secrets.
	Alg string
	// Rotation is the age at which a new key is made; 0 = never. Purpose
	// subject never rotates.
	Rotation time.Duration
	// Retain is how long a replaced key must still verify: the longest token
	// life plus leeway.
	Retain time.Duration
	Now    func() time.Time
	Log    *zap.Logger
}

// Ring is the keys of one purpose. Nothing is read or made before first use.
type Ring struct{}

func NewRing(cfg RingConfig) (*Ring, error) { panic("later") }

// Sign makes a compact JWS with typ and kid; claims is marshalled as JSON.
func (r *Ring) Sign(ctx context.Context, typ string, claims any) (string, error) { panic("later") }

// Public lists the keys to publish, newest first (also those not yet in use).
func (r *Ring) Public(ctx context.Context) ([]PublicKey, error) { panic("later") }

// Key makes a Ring the KeySet of its own tokens.
func (r *Ring) Key(ctx context.Context, kid, alg string) (PublicKey, error) { panic("later") }

// Signer gives the current private key, for the embedded provider's library.
func (r *Ring) Signer(ctx context.Context) (Signer, error) { panic("later") }

// Current and Find make a Ring of secrets the seal.Keys of a box. The id is the
// first four bytes of SHA-256 of the secret.
func (r *Ring) Current(ctx context.Context) (id [4]byte, key [32]byte, err error) { panic("later") }
func (r *Ring) Find(ctx context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	panic("later")
}

type Signer struct {
	KID, Alg string
	Key      crypto.Signer
}

type PublicKey struct {
	KID, Alg string
	Key      crypto.PublicKey
}

// MarshalJWKS writes a JWK Set of public keys.
func MarshalJWKS(keys ...PublicKey) (json.RawMessage, error) { panic("later") }

// KeySet finds the key for a kid and algorithm. ErrNoKey: there is none; any
// other error: it could not be found out (temporary).
type KeySet interface {
	Key(ctx context.Context, kid, alg string) (PublicKey, error)
}

var (
	ErrNoKey     = errors.New("no key with this kid and algorithm")
	ErrToken     = errors.New("not an acceptable JWS")         // gate, wrapped
	ErrSignature = errors.New("the signature does not verify") // wrapped
	ErrKeySource = errors.New("the key set could not be read") // temporary, wrapped
)

// Header is the protected header after the gate.
type Header struct{ Alg, KID, Typ string }

// Token is a compact JWS that passed the gate and is NOT verified.
type Token struct{ Header Header }

// Parse is the strict gate: three base64url segments, at most max bytes, alg
// asymmetric and known, kid required (≤ 255 printable characters), no crit, jwk, jku, x5u, x5c, b64, zip; payload a JSON
// object without duplicate members.
func Parse(compact string, max int) (*Token, error) { panic("later") }

// Unverified decodes the payload strictly into v before verification.
func (t *Token) Unverified(v any) error { panic("later") }

// Verify checks the signature with a key of keys and one of algs, then decodes
// the verified payload strictly into v.
func (t *Token) Verify(ctx context.Context, keys KeySet, algs []string, v any) error { panic("later") }

// DefaultAlgs are the algorithms accepted from others.
func DefaultAlgs() []string { return []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} }

// Audience is a claim aud: a string or an array of strings (RFC 7519 §4.1.3).
type Audience []string

// NumericDate is seconds since the epoch; fractions are cut off (RFC 7519 §2).
type NumericDate int64

func (d NumericDate) Time() time.Time { return time.Unix(int64(d), 0) }

// CacheConfig: key sets of others, by URI.
type CacheConfig struct {
	// Fetch reads a JWKS document; its caller has limited size and time.
	Fetch  func(ctx context.Context, uri string) ([]byte, error)
	MaxAge time.Duration // 15m
	Pause  time.Duration // 60s between fetches of one URI
	Size   int           // 10000 URIs
	Now    func() time.Time
}

type Cache struct{}

func NewCache(cfg CacheConfig) *Cache { panic("later") }

// Keys is the key set at uri; fetched at first use, concurrent misses collapse,
// an unknown kid fetches again at most once per Pause, removed keys die within
// MaxAge.
func (c *Cache) Keys(uri string) KeySet { panic("later") }
