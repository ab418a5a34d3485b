package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// TicketChallenge is base64url(SHA-256(octets of the ticket)) without padding:
// 43 characters (CONFORMANCE A4, CA-08). The ticket is hashed as it stands; it
// is neither trimmed nor decoded.
func TicketChallenge(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ErrTicketChallenge says that a text cannot be a ticket challenge.
var ErrTicketChallenge = errors.New("ticket_challenge must be 43 base64url characters (SHA-256 of the ticket, no padding)")

// CheckTicketChallenge refuses what TicketChallenge cannot have made: another
// length or alphabet, or bits behind the 32nd byte (CONFORMANCE CA-11).
func CheckTicketChallenge(s string) error {
	sum, err := DecodeBase64(s)
	if err != nil || len(sum) != sha256.Size {
		return ErrTicketChallenge
	}
	return nil
}

// DecodeBase64 decodes base64url without padding strictly: one text, one
// spelling. Go's decoder skips CR and LF; here they are refused.
func DecodeBase64(s string) ([]byte, error) {
	return AppendBase64(nil, s)
}

// AppendBase64 is DecodeBase64 behind dst.
func AppendBase64(dst []byte, s string) ([]byte, error) {
	for _, c := range []byte{'\r', '\n'} {
		if i := strings.IndexByte(s, c); i >= 0 {
			return dst, base64.CorruptInputError(i)
		}
	}
	all, err := base64.RawURLEncoding.AppendDecode(dst, []byte(s))
	if err != nil {
		return dst, err
	}
	// What Strict does, without a copy of the encoding for each call: the bits
	// behind the last whole byte must be zero.
	if cut := len(s) / 4 * 4; cut < len(s) {
		var tail [4]byte
		spelled := base64.RawURLEncoding.AppendEncode(tail[:0], all[len(dst)+cut/4*3:])
		if string(spelled) != s[cut:] {
			return dst, base64.CorruptInputError(len(s) - 1)
		}
	}
	return all, nil
}
