// Package seal makes sealed boxes: short texts that only we can make and read,
// permission tickets first of all. The frame is
//
//	base64url(01 ‖ key id 4 B ‖ nonce 24 B ‖ XChaCha20-Poly1305 box)
//
// and its first five bytes, together with the associated data of the caller
// (purpose, issuer, …), are authenticated with the box: a box for one purpose
// opens for no other.
package seal

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Keys finds sealing keys; a jose.Ring of secrets is one.
type Keys interface {
	// Current gives the key to seal with.
	Current(ctx context.Context) (id [4]byte, key [32]byte, err error)
	// Find gives the key with an id; absence is no error.
	Find(ctx context.Context, id [4]byte) (key [32]byte, found bool, err error)
}

// ErrOpen says that a text is no box of ours, or one for another purpose. Other
// errors of Open mean that the keys could not be read.
var ErrOpen = errors.New("not a sealed box of ours")

var errTooLong = errors.New("too long to be sealed")

const (
	version1   = 1
	headerSize = 1 + 4
	minFrame   = headerSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
	// maxText bounds what is decoded at all.
	maxText = 64 << 10
)

// Fits tells whether a plaintext of n bytes can be sealed.
func Fits(n int) bool { return base64.RawURLEncoding.EncodedLen(minFrame+n) <= maxText }

// Box seals and opens with the keys of one ring.
type Box struct{ keys Keys }

// NewBox makes a Box.
func NewBox(keys Keys) *Box { return &Box{keys} }

// Seal makes a box of plaintext, bound to the associated data in this order.
func (b *Box) Seal(ctx context.Context, plaintext []byte, data ...string) (string, error) {
	if !Fits(len(plaintext)) {
		return "", errTooLong // Open would refuse it
	}
	id, key, err := b.keys.Current(ctx)
	if err != nil {
		return "", err
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return "", err
	}
	frame := make([]byte, headerSize+chacha20poly1305.NonceSizeX, minFrame+len(plaintext))
	frame[0] = version1
	copy(frame[1:], id[:])
	if _, err := rand.Read(frame[headerSize:]); err != nil {
		return "", err
	}
	frame = aead.Seal(frame, frame[headerSize:], plaintext, associated(frame[:headerSize], data))
	return base64.RawURLEncoding.EncodeToString(frame), nil
}

// Open gives the plaintext of a box that Seal made with the same associated
// data. One box has one spelling.
func (b *Box) Open(ctx context.Context, text string, data ...string) ([]byte, error) {
	frame, err := decode(text)
	if err != nil {
		return nil, err
	}
	key, found, err := b.keys.Find(ctx, [4]byte(frame[1:headerSize]))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrOpen
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, err
	}
	body := frame[headerSize:]
	plain, err := aead.Open(nil, body[:aead.NonceSize()], body[aead.NonceSize():], associated(frame[:headerSize], data))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// decode is strict: Go's decoder would skip line breaks.
func decode(text string) ([]byte, error) {
	if len(text) > maxText || strings.ContainsAny(text, "\r\n") {
		return nil, ErrOpen
	}
	frame, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(frame) < minFrame || frame[0] != version1 {
		return nil, ErrOpen
	}
	return frame, nil
}

// associated joins header and data so that no two lists give the same bytes:
// each entry stands behind its length.
func associated(header []byte, data []string) []byte {
	out := append([]byte(nil), header...)
	for _, s := range data {
		out = binary.BigEndian.AppendUint32(out, uint32(len(s))) //nolint:gosec // texts of our own, far below 4 GiB
		out = append(out, s...)
	}
	return out
}
