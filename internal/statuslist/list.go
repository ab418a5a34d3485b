package statuslist

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// MaxSize is how many tokens a list may speak of: 64 million in 8 MiB, unpacked.
const MaxSize = 64 << 20

// List says of each token by its index whether it is revoked: one bit, because
// nothing else can happen to a token here (§4.1; 1 = INVALID, §7.1).
type List struct{ bits []byte }

// New makes a list for at least size tokens, none of them revoked.
func New(size int64) (*List, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("a status list of %d tokens is too large", size)
	}
	return &List{make([]byte, (size+7)/8)}, nil
}

// Revoke marks a token. An index outside the list is an error.
func (l *List) Revoke(index int64) error {
	if index < 0 || index >= l.Size() {
		return fmt.Errorf("index %d is not on the status list", index)
	}
	l.bits[index/8] |= 1 << (index % 8) // §4.1: the least significant bit comes first
	return nil
}

// Revoked tells whether a token is; known is false if the list does not speak of it.
func (l *List) Revoked(index int64) (revoked, known bool) {
	if index < 0 || index >= l.Size() {
		return false, false
	}
	return l.bits[index/8]&(1<<(index%8)) != 0, true
}

// join revokes what another list has revoked. Nodes that read a list while it grows
// may each miss something else.
func (l *List) join(other *List) {
	for i := range min(len(l.bits), len(other.bits)) {
		l.bits[i] |= other.bits[i]
	}
}

// Size is how many tokens the list speaks of.
func (l *List) Size() int64 { return int64(len(l.bits)) * 8 }

// footprint is how much memory it takes.
func (l *List) footprint() int { return cap(l.bits) }

// Encoded is the member status_list of a status list token (§4.2).
type Encoded struct {
	Bits int    `json:"bits"`
	List string `json:"lst"`
}

// Encode packs a list (§4.1: DEFLATE in the ZLIB format, base64url).
func (l *List) Encode() (Encoded, error) {
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		return Encoded{}, err
	}
	if _, err := w.Write(l.bits); err != nil {
		return Encoded{}, err
	}
	if err := w.Close(); err != nil {
		return Encoded{}, err
	}
	return Encoded{Bits: 1, List: base64.RawURLEncoding.EncodeToString(packed.Bytes())}, nil
}

// Decode unpacks a list of one bit a token. What unpacks to more than MaxSize is
// refused while it is being unpacked.
func (e Encoded) Decode() (*List, error) {
	if e.Bits != 1 {
		return nil, fmt.Errorf("a status list with %d bits for a token is not supported", e.Bits)
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(e.List)
	if err != nil {
		return nil, errors.New("the status list is not base64url")
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking the status list: %w", err)
	}
	bits, err := io.ReadAll(io.LimitReader(r, MaxSize/8+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the status list: %w", err)
	}
	if len(bits) > MaxSize/8 {
		return nil, errors.New("the status list is too large")
	}
	return &List{bits}, nil
}
