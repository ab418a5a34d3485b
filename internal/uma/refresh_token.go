package uma

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// A refresh token is rt_ and base64url(id of the grant ‖ 256 random bits). The
// grant remembers the hash of the one that is good; whatever else names the grant
// is an old one. So nothing is stored for each token that was ever used, and its
// reuse is seen all the same (CONFORMANCE SEC-15).
const (
	prefixRefresh      = "rt_"
	refreshSecretBytes = 32
)

// newRefreshToken makes a refresh token of a grant.
func newRefreshToken(grant string) string {
	raw, _ := oauth.DecodeBase64(grant) // our own text
	secret := make([]byte, refreshSecretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return prefixRefresh + base64.RawURLEncoding.EncodeToString(append(raw, secret...))
}

// grantOfRefresh tells which grant a refresh token names. It proves nothing.
func grantOfRefresh(token string) (id string, ok bool) {
	text, ok := strings.CutPrefix(token, prefixRefresh)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(idBytes+refreshSecretBytes) {
		return "", false
	}
	raw, err := oauth.DecodeBase64(text)
	if err != nil {
		return "", false
	}
	return base64.RawURLEncoding.EncodeToString(raw[:idBytes]), true
}

// startRefresh gives a new grant its refresh token, and the end of the family.
func (s *Server) startRefresh(g *grant) string {
	token := newRefreshToken(g.id)
	g.rec.Refresh = refreshState{Current: hashID(token), Ends: s.cfg.Now().Add(s.cfg.RefreshLifetime).Unix()}
	g.rec.Expires = max(g.rec.Expires, g.rec.Refresh.Ends)
	return token
}

// rotate replaces the refresh token of a grant.
func (s *Server) rotate(g *grant) string {
	token := newRefreshToken(g.id)
	r := &g.rec.Refresh
	r.Before, r.Current, r.Rotated = r.Current, hashID(token), s.cfg.Now().Unix()
	return token
}

func (r refreshState) isCurrent(token string) bool { return isHash(r.Current, token) }

func (r refreshState) isBefore(token string) bool { return isHash(r.Before, token) }

// isHash compares in constant time (CONFORMANCE SEC-25).
func isHash(hash, token string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(hashID(token))) == 1
}

// inGrace tells whether a token is the one before, shortly after it was replaced: a
// race or a retry, and no sign of a thief (CONFORMANCE A40 for tickets).
func (r refreshState) inGrace(token string, now time.Time, grace time.Duration) bool {
	return r.isBefore(token) && now.Before(time.Unix(r.Rotated, 0).Add(grace))
}
