package store

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds that hold for every implementation.
const (
	// MaxName is the longest tenant, kind, id or index, in bytes.
	MaxName = 4096
	// MaxBody is the longest body, in bytes.
	MaxBody = 1 << 20
	// MaxOps is the longest op list of a Commit.
	MaxOps = 256
)

// Tenant makes the Tenant of a Key from a role ("as", "sts", "op") and an
// issuer. The length in front keeps every pair apart from every other
// (CONFORMANCE SEC-28).
func Tenant(role, issuer string) string {
	return strconv.Itoa(len(role)) + ":" + role + ":" + issuer
}

// SplitTenant undoes Tenant, for people: what is no tenant comes back as an issuer.
func SplitTenant(tenant string) (role, issuer string) {
	length, rest, _ := strings.Cut(tenant, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || len(rest) <= n || rest[n] != ':' {
		return "", tenant
	}
	return rest[:n], rest[n+1:]
}

// Validate checks an op list before anything is read or written: what fails
// here is a mistake of the caller and says nothing of what is stored.
// Implementations call it first. Its errors never hold an id or an index.
func Validate(ops ...Op) error {
	if len(ops) > MaxOps {
		return fmt.Errorf("store: %d ops in one commit, at most %d are allowed", len(ops), MaxOps)
	}
	seen := make(map[Key]bool, len(ops))
	for i, op := range ops {
		if err := op.validate(); err != nil {
			return fmt.Errorf("store: op %d: %w", i, err)
		}
		if seen[op.Doc.Key] {
			return fmt.Errorf("store: op %d: the same document is named twice", i)
		}
		seen[op.Doc.Key] = true
	}
	return nil
}

// validate checks one op.
func (op Op) validate() error {
	if err := op.Doc.Key.Validate(); err != nil {
		return err
	}
	switch op.Action {
	case ActionCreate:
		return op.Doc.validate()
	case ActionSwap:
		// The last revision cannot be counted up.
		if op.Doc.Rev < 1 || op.Doc.Rev == math.MaxInt64 {
			return errors.New("revision out of range")
		}
		return op.Doc.validate()
	case ActionDelete:
		if op.Doc.Rev < 1 {
			return errors.New("revision out of range")
		}
		return nil
	default:
		return errors.New("unknown action")
	}
}

// Validate checks that no part of the key is empty, too long, or could be
// read as two parts.
func (k Key) Validate() error {
	for _, part := range []struct{ name, value string }{{"tenant", k.Tenant}, {"kind", k.Kind}, {"id", k.ID}} {
		if part.value == "" {
			return errors.New(part.name + " is empty")
		}
		if err := checkName(part.name, part.value); err != nil {
			return err
		}
	}
	return nil
}

// ValidateList checks the arguments of List.
func ValidateList(tenant, kind, index, after string) error {
	if err := (Key{tenant, kind, "-"}).Validate(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := errors.Join(checkName("index", index), checkName("after", after)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// checkName refuses what would be ambiguous in a joined key.
func checkName(name, value string) error {
	if len(value) > MaxName {
		return fmt.Errorf("%s is longer than %d bytes", name, MaxName)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return errors.New(name + " holds a zero byte")
	}
	return nil
}

// validate checks the members that are written besides the key.
func (d Doc) validate() error {
	if err := checkName("index", d.Index); err != nil {
		return err
	}
	if len(d.Body) > MaxBody {
		return fmt.Errorf("body is longer than %d bytes", MaxBody)
	}
	if !d.Expires.IsZero() && (d.Expires.UnixMilli() < 1 || d.Expires.Year() > 9999) {
		return errors.New("expiry out of range")
	}
	return nil
}

// RoundExpiry gives the instant that is kept of an expiry: whole
// milliseconds, rounded up, in UTC; zero stays zero.
func RoundExpiry(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(expiryMillis(t)).UTC()
}

// expiryMillis is the expiry in milliseconds, rounded up; 0 is never.
func expiryMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}
