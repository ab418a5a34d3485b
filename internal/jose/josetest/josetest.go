// Package josetest is test support: a storage for key files in memory, and a
// forge that makes tokens which nobody should accept.
package josetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"strings"
	"sync"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// Storage keeps key files in memory. Fail, if set, is the error of every call.
type Storage struct {
	mu    sync.Mutex
	files map[string][]byte
	locks map[string]chan struct{}
	Fail  error
}

// NewStorage makes an empty storage.
func NewStorage() *Storage {
	return &Storage{files: map[string][]byte{}, locks: map[string]chan struct{}{}}
}

// Lock implements jose.Storage.
func (s *Storage) Lock(ctx context.Context, name string) error {
	s.mu.Lock()
	lock, ok := s.locks[name]
	if !ok {
		lock = make(chan struct{}, 1)
		s.locks[name] = lock
	}
	s.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock implements jose.Storage.
func (s *Storage) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.locks[name]
	return nil
}

// Store implements jose.Storage.
func (s *Storage) Store(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		return s.Fail
	}
	s.files[key] = append([]byte(nil), value...)
	return nil
}

// Load implements jose.Storage.
func (s *Storage) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		return nil, s.Fail
	}
	value, ok := s.files[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value, nil
}

// List implements jose.Storage.
func (s *Storage) List(_ context.Context, path string, _ bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// Keypair is an ES256 key with a kid.
type Keypair struct {
	KID     string
	Private *ecdsa.PrivateKey
}

// NewKeypair makes a key.
func NewKeypair(kid string) Keypair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return Keypair{kid, key}
}

// Public is the key as a verifier knows it.
func (k Keypair) Public() jose.PublicKey {
	return jose.PublicKey{KID: k.KID, Alg: "ES256", Key: &k.Private.PublicKey}
}

// Key makes a Keypair a jose.KeySet of one key.
func (k Keypair) Key(_ context.Context, kid, alg string) (jose.PublicKey, error) {
	if kid != k.KID || alg != "ES256" {
		return jose.PublicKey{}, jose.ErrNoKey
	}
	return k.Public(), nil
}

// Sign makes a good ES256 token; header members are added to alg and kid or
// replace them (nil removes one).
func (k Keypair) Sign(header, payload map[string]any) string {
	input := Segments(k.header(header), payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.Private, sum[:])
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// HMAC makes an HS256 token whose secret is the public key: algorithm
// confusion.
func (k Keypair) HMAC(header, payload map[string]any) string {
	secret, err := x509.MarshalPKIXPublicKey(crypto.PublicKey(&k.Private.PublicKey))
	if err != nil {
		panic(err)
	}
	header = k.header(header)
	header["alg"] = "HS256"
	input := Segments(header, payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// None makes a token with alg none and an empty or any signature.
func (k Keypair) None(header, payload map[string]any, signature string) string {
	header = k.header(header)
	header["alg"] = "none"
	return Segments(header, payload) + "." + signature
}

func (k Keypair) header(more map[string]any) map[string]any {
	header := map[string]any{"alg": "ES256", "kid": k.KID}
	for name, value := range more {
		header[name] = value
		if value == nil {
			delete(header, name)
		}
	}
	return header
}

// Segments gives the first two segments of a token.
func Segments(header, payload map[string]any) string {
	return segment(header) + "." + segment(payload)
}

func segment(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}
