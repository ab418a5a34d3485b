package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
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
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' {
			return nil, base64.CorruptInputError(i)
		}
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
