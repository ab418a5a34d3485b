package uma

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// nonces are the DPoP nonces of this server (RFC 9449 §8). A nonce is a sealed
// box around the time it was made, so every node with the keys takes it and
// nothing is stored. It may be used again while it lives: the memory of proofs is
// what refuses a proof that comes twice.
type nonces struct {
	box    *seal.Box
	issuer string
	now    func() time.Time
	leeway time.Duration
}

// noncePurpose keeps boxes for something else from being nonces.
const noncePurpose = "nonce"

// New implements dpop.Nonces.
func (n nonces) New(ctx context.Context) (string, error) {
	made := binary.BigEndian.AppendUint64(nil, uint64(n.now().Unix()))
	return n.box.Seal(ctx, made, noncePurpose, n.issuer)
}

// Check implements dpop.Nonces. The clock of another node may be ahead.
func (n nonces) Check(ctx context.Context, nonce string) error {
	plain, err := n.box.Open(ctx, nonce, noncePurpose, n.issuer)
	if errors.Is(err, seal.ErrOpen) || err == nil && len(plain) != 8 {
		return dpop.ErrNonce
	}
	if err != nil {
		return err
	}
	age := n.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(plain)), 0))
	if age < -n.leeway || age >= NonceLifetime {
		return dpop.ErrNonce
	}
	return nil
}

var _ dpop.Nonces = nonces{}
