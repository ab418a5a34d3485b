package dpop

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// NonceLifetime is how long a nonce is taken.
const NonceLifetime = 5 * time.Minute

// noncePurpose keeps boxes for something else from being nonces.
const noncePurpose = "nonce"

// SealedNonces are the nonces of one server (RFC 9449 §8). A nonce is a sealed box
// around the time it was made, so every node with the keys takes it and nothing is
// stored. It may be used again while it lives: the memory of proofs is what refuses
// a proof that comes twice.
type SealedNonces struct {
	box    *seal.Box
	server string
	now    func() time.Time
	leeway time.Duration
}

// NewSealedNonces makes the nonces of a server, which no other server takes.
func NewSealedNonces(keys seal.Keys, server string, now func() time.Time, leeway time.Duration) *SealedNonces {
	return &SealedNonces{seal.NewBox(keys), server, now, leeway}
}

// New implements Nonces.
func (n *SealedNonces) New(ctx context.Context) (string, error) {
	made := binary.BigEndian.AppendUint64(nil, uint64(n.now().Unix()))
	return n.box.Seal(ctx, made, noncePurpose, n.server)
}

// Check implements Nonces. The clock of another node may be ahead.
func (n *SealedNonces) Check(ctx context.Context, nonce string) error {
	plain, err := n.box.Open(ctx, nonce, noncePurpose, n.server)
	if errors.Is(err, seal.ErrOpen) || err == nil && len(plain) != 8 {
		return ErrNonce
	}
	if err != nil {
		return err
	}
	age := n.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(plain)), 0))
	if age < -n.leeway || age >= NonceLifetime {
		return ErrNonce
	}
	return nil
}

var _ Nonces = (*SealedNonces)(nil)
