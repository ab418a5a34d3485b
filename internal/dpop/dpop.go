// Package dpop makes and checks DPoP proofs (RFC 9449): a client shows with each
// request that it holds the key that its token is bound to. The authorization
// server and the resource server verify, the client of a requesting party
// proves. Nothing here knows what a proof is good for.
package dpop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// What can be wrong with a proof; causes are wrapped. Any other error of Verify
// means that it could not be found out (503).
var (
	// ErrProof: it is missing or not acceptable (invalid_dpop_proof).
	ErrProof = errors.New("not an acceptable DPoP proof")
	// ErrKey is an ErrProof: a good proof of another key than the expected one.
	ErrKey = fmt.Errorf("%w: of another key", ErrProof)
	// ErrReplay is an ErrProof: it was used before.
	ErrReplay = fmt.Errorf("%w: used before", ErrProof)
	// ErrNonce: the nonce is missing, too old or not one of ours (use_dpop_nonce).
	ErrNonce = errors.New("a nonce of this server is required")
	// ErrSource: this source used up its part of the memory (429).
	ErrSource = errors.New("too many DPoP proofs of one source")
	// ErrFull: no room to remember the proof, so it is not accepted (503).
	ErrFull = errors.New("too many DPoP proofs at the moment")
)

const (
	// MaxProof is the limit of a proof in bytes.
	MaxProof = 8 << 10
	// Window is how far iat may be off, both ways (CONFORMANCE §1).
	Window = time.Minute
	maxJTI = 256
)

// Nonces makes and checks the nonces of a server (RFC 9449 §8). Implementations
// may be called concurrently.
type Nonces interface {
	// New makes a nonce.
	New(ctx context.Context) (string, error)
	// Check wraps ErrNonce if the nonce is not one of ours or too old; any other
	// error means that this could not be found out.
	Check(ctx context.Context, nonce string) error
}

// Config describes a Verifier.
type Config struct {
	// Window is how far iat may be off, both ways; default Window.
	Window time.Duration
	// Algs are the accepted algorithms; default Algs.
	Algs []string
	// Nonces demands a nonce in each proof; nil = none needed.
	Nonces Nonces
	// Replays remembers proofs; it may be shared and outlive the Verifier.
	Replays *Replays
	Now     func() time.Time
}

// Algs are the algorithms that are accepted in proofs, all asymmetric (RFC 9449
// §4.3).
func Algs() []string { return jose.DefaultAlgs() }

// Verifier checks proofs. It may be used concurrently.
type Verifier struct{ cfg Config }

// New makes a Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.Now == nil || cfg.Replays == nil {
		return nil, errors.New("clock and memory of proofs are required")
	}
	if cfg.Window <= 0 {
		cfg.Window = Window
	}
	if len(cfg.Algs) == 0 {
		cfg.Algs = Algs()
	}
	return &Verifier{cfg}, nil
}
