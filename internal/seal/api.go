// Package seal makes sealed boxes: short texts that only we can make and read
// (permission tickets first of all). Frame: base64url(01 ‖ key id 4 B ‖ nonce
// 24 B ‖ XChaCha20-Poly1305 box).
package seal

import (
	"context"
	"errors"
)

// Keys finds sealing keys (structurally a jose.Ring of secrets).
type Keys interface {
	Current(ctx context.Context) (id [4]byte, key [32]byte, err error)
	Find(ctx context.Context, id [4]byte) (key [32]byte, found bool, err error)
}

// ErrOpen: not a box of ours, or another purpose. Other errors of Open mean
// that the keys could not be read.
var ErrOpen = errors.New("not a sealed box of ours")

type Box struct{}

// NewBox: the associated data are bound to every box, in this order and unambiguously.
func NewBox(keys Keys) *Box { panic("later") }

func (b *Box) Seal(ctx context.Context, plaintext []byte, ad ...string) (string, error) {
	panic("later")
}
func (b *Box) Open(ctx context.Context, text string, ad ...string) ([]byte, error) { panic("later") }
