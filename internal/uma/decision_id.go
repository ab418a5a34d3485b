package uma

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// A decision id is 128 bits: when the request came, counted backwards, and 96 random
// bits. The document of a decision has the same bits as its id, written so that its
// order is theirs: the store lists ids in their order, and so decisions with the
// newest first, without an index.

// decisionIDBytes is how long an id is, decisionIDTime how much of it is the time.
const (
	decisionIDBytes = 16
	decisionIDTime  = 4
)

// newDecisionID does not begin with a dash, which a command line would take for a
// flag: until the year 2100 the time sees to that.
func newDecisionID(now time.Time) string {
	raw := make([]byte, decisionIDBytes)
	binary.BigEndian.PutUint32(raw, math.MaxUint32-uint32(now.Unix())) //nolint:gosec // good until 2106
	_, _ = rand.Read(raw[decisionIDTime:])                             // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// decidedKey is the id of the document of a decision; false: of no decision.
func decidedKey(decision string) (string, bool) {
	raw, err := oauth.DecodeBase64(decision)
	return hex.EncodeToString(raw), err == nil && len(raw) == decisionIDBytes
}

// decisionOf undoes decidedKey; at is the second that the id names.
func decisionOf(key string) (id string, at int64, ok bool) {
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != decisionIDBytes {
		return "", 0, false
	}
	return base64.RawURLEncoding.EncodeToString(raw), int64(math.MaxUint32 - binary.BigEndian.Uint32(raw)), true
}
