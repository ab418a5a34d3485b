package caddysts

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Shapes of hashes of `caddy hash-password`. A zero among the parameters of
// argon2id would make the comparison panic.
var (
	bcryptShape = regexp.MustCompile(`^\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)
	argonShape  = regexp.MustCompile(`^\$argon2id\$v=19\$m=[1-9][0-9]{0,8},t=[1-9][0-9]{0,3},p=[1-9][0-9]{0,2}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}$`)
)

var errHash = errors.New("not a hash of caddy hash-password")

// compare compares a password with its hash by Caddy's own types.
func compare(hash, password []byte) (bool, error) {
	switch {
	case bytes.HasPrefix(hash, []byte("$argon2id$")):
		return caddyauth.Argon2idHash{}.Compare(hash, password)
	case bytes.HasPrefix(hash, []byte("$2")):
		return caddyauth.BcryptHash{}.Compare(hash, password)
	default:
		return false, errHash
	}
}

// checkHash never shows the text: it may be a password in clear.
func checkHash(email, hash string) error {
	if bcryptShape.MatchString(hash) {
		return nil
	}
	if argonShape.MatchString(hash) {
		if _, _, err := caddyauth.DecodeHash([]byte(hash)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("user '%s': the second word must be a password hash; make one with: caddy hash-password", email)
}

// passwordHash gives the hash of a user with its placeholder expanded.
func (u *User) passwordHash() (string, error) {
	if !isPlaceholder(u.PasswordHash) {
		return u.PasswordHash, nil
	}
	hash, err := syntax.Expand(directive, "password hash of "+u.Email, u.PasswordHash)
	if err != nil {
		return "", err
	}
	hash = strings.TrimSpace(hash)
	return hash, checkHash(u.Email, hash)
}

func isPlaceholder(s string) bool { return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") }
