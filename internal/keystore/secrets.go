package keystore

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// Secrets are key encryption keys: the first seals, all open.
type Secrets struct {
	keys []seal.Keys
	ids  []string
	box  *seal.Box
}

// NewSecrets derives a key of each text (RFC 5869); a text must be random and
// hold as much as a key, such as 32 random bytes in base64.
func NewSecrets(texts ...string) (*Secrets, error) {
	s := new(Secrets)
	for _, text := range texts {
		keys, err := seal.FromSecret(text, "key encryption")
		if err != nil {
			return nil, err
		}
		id, _, err := keys.Current(context.Background())
		if err != nil {
			return nil, err
		}
		if s.has(hex.EncodeToString(id[:])) {
			return nil, errors.New("one key encryption key is given twice")
		}
		s.keys, s.ids = append(s.keys, keys), append(s.ids, hex.EncodeToString(id[:]))
	}
	if len(s.keys) == 0 {
		return nil, errors.New("a key encryption key is needed")
	}
	s.box = seal.NewBox(s)
	return s, nil
}

func (s *Secrets) has(id string) bool { return slices.Contains(s.ids, id) }

// Current implements seal.Keys.
func (s *Secrets) Current(ctx context.Context) (id [4]byte, key [32]byte, err error) {
	return s.keys[0].Current(ctx)
}

// Find implements seal.Keys.
func (s *Secrets) Find(ctx context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	for _, k := range s.keys {
		if key, found, err = k.Find(ctx, id); found && err == nil {
			return key, true, nil
		}
	}
	return [32]byte{}, false, err
}

var _ seal.Keys = (*Secrets)(nil)
