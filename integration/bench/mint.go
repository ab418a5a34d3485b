package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// mint makes tokens with the server's own key: thousands that differ, faster than
// by protocol runs. It clones a real one, so that every check finds what it looks
// for.
type mint struct {
	header string
	claims map[string]any
	key    *ecdsa.PrivateKey
}

// newMint reads the key of a token of this role, issuer and purpose from the
// storage of the server (DESIGN §8: one JSON file for each key).
func newMint(v *server, role, issuer, purpose, token string) (*mint, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token to clone is no JWT")
	}
	m := &mint{header: parts[0]}
	var header struct {
		KID string `json:"kid"`
	}
	if err := errors.Join(decodePart(parts[0], &header), decodePart(parts[1], &m.claims)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(issuer))
	folder := base32.StdEncoding.EncodeToString(sum[:])[:16]
	text, err := os.ReadFile(filepath.Join(v.settings.Storage, "uma", role, folder, purpose, header.KID+".json"))
	if err != nil {
		return nil, err
	}
	m.key, err = parseKey(text)
	return m, err
}

func decodePart(part string, to any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// parseKey reads the private key of a key file, a JWK with the curve P-256.
func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	var file struct {
		JWK struct{ D string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	secret, err := base64.RawURLEncoding.DecodeString(file.JWK.D)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
}

// token makes one, with an id of its own, issued now, and further claims.
func (m *mint) token(lifetime time.Duration, more map[string]any) (string, error) {
	claims := maps.Clone(m.claims)
	now := time.Now()
	claims["jti"], claims["iat"], claims["exp"] = randomChallenge(), now.Unix(), now.Add(lifetime).Unix()
	maps.Copy(claims, more)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := m.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	hash := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, m.key, hash[:])
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(fixed(r, s)), nil
}

// fixed is the form of signatures in RFC 7518 §3.4.
func fixed(r, s *big.Int) []byte {
	var b [64]byte
	r.FillBytes(b[:32])
	s.FillBytes(b[32:])
	return b[:]
}

// tokens makes many at once.
func (m *mint) tokens(n int, lifetime time.Duration) ([]string, error) {
	all, errs := make([]string, n), make([]error, clients)
	var work sync.WaitGroup
	for i := range clients {
		work.Go(func() {
			for k := i; k < n; k += clients {
				if all[k], errs[i] = m.token(lifetime, nil); errs[i] != nil {
					return
				}
			}
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("making tokens: %w", err)
	}
	return all, nil
}
