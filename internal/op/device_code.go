package op

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// deviceLife is how long a device waits, and its code may be typed.
const deviceLife = 10 * time.Minute

// A user code has eight letters out of twenty, which spell no words
// (RFC 8628 §6.1): 2.56e10 codes.
const (
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength  = 8
)

// newUserCode makes a user code without its hyphen.
func newUserCode() string {
	code := make([]byte, 0, codeLength)
	for b := [1]byte{}; len(code) < codeLength; {
		_, _ = rand.Read(b[:])                                    // never fails: crypto/rand
		if fair := 256 - 256%len(codeLetters); int(b[0]) < fair { // every letter is as likely
			code = append(code, codeLetters[int(b[0])%len(codeLetters)])
		}
	}
	return string(code)
}

// showCode is the code as people read it.
func showCode(code string) string { return code[:codeLength/2] + "-" + code[codeLength/2:] }

// parseUserCode reads what somebody typed: in any case, with or without hyphens
// and spaces.
func parseUserCode(s string) (string, bool) {
	if len(s) > 4*codeLength {
		return "", false
	}
	code := strings.NewReplacer("-", "", " ", "").Replace(strings.ToUpper(s))
	if len(code) != codeLength {
		return "", false
	}
	for i := range len(code) {
		if strings.IndexByte(codeLetters, code[i]) < 0 {
			return "", false
		}
	}
	return code, true
}

// slot is the id of the record of a code: three digits of its hash. There are no
// more slots, so no flood of anonymous requests makes more than 4096 records.
func slot(code string) string {
	h := sha256.Sum256([]byte("slot\x00" + code))
	return "slot-" + hex.EncodeToString(h[:2])[:3]
}

// What the user decided.
const (
	devicePending  = ""
	deviceApproved = "approved"
	deviceDenied   = "denied"
)

// deviceRecord is a device that waits for its user.
type deviceRecord struct {
	version
	Code   string `json:"code"`   // the hash of the user code
	Device string `json:"device"` // the hash of the secret in the device code
	State  string `json:"state,omitempty"`
	grant
}

// deviceCode is what the device has, in a sealed box: whoever makes codes up
// costs us nothing. The record alone decides.
type deviceCode struct {
	ID      string `json:"id"`
	Slot    string `json:"slot"`
	Client  string `json:"client"`
	Expires int64  `json:"exp"`
}

func (p *Provider) deviceData() []string { return []string{"op device code", p.cfg.Issuer} }

// deviceKey is where the record of a slot stands.
func (p *Provider) deviceKey(slot string) store.Key {
	return store.Key{Tenant: p.tenant, Kind: kindDevice, ID: slot}
}

// findDevice reads the record of a slot if its holder is the one that same asks
// for; store.ErrNotFound if not.
func (p *Provider) findDevice(ctx context.Context, slot string, same func(*deviceRecord) bool) (*deviceRecord, store.Doc, error) {
	record := new(deviceRecord)
	doc, err := p.read(ctx, p.deviceKey(slot), record)
	if err == nil && !same(record) {
		err = store.ErrNotFound
	}
	return record, doc, err
}

// equalHash compares two hashes in constant time.
func equalHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// errFull: every slot that was tried is taken.
var errFull = errors.New("op: too many devices are waiting")
