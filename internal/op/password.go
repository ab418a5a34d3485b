package op

import (
	"context"
	"hash/maphash"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	// maxPassword keeps long texts from the hash.
	maxPassword = 1024
	// compareWait is how long a login waits for its turn.
	compareWait = 10 * time.Second
)

// authenticate compares name and password. Errors are *oauth.Error: 403 wrong
// (with the user, if there is one, for the log), 429 too many, 503 no place.
func (p *Provider) authenticate(r *http.Request, name, password string) (*user, error) {
	name = strings.ToLower(name)
	if wait, ok := p.mayTry(r, name); !ok {
		return nil, oauth.TooMany(wait)
	}
	u := p.user(name)
	ok, err := p.compare(r.Context(), p.hashFor(u, name), password)
	if err != nil {
		return u, err
	}
	if u == nil || !ok {
		return u, wrongPassword()
	}
	p.places.add(p.source(r), name)
	return u, nil
}

func wrongPassword() *oauth.Error {
	return &oauth.Error{
		Code: codeAccessDenied, Status: http.StatusForbidden,
		Description: "the user name or the password is wrong",
	}
}

// mayTry counts the attempt for the source and, unless the user has logged in
// from there or in this browser before, for the name, be it a user or not
// (CONFORMANCE SEC-18). The name is hashed because it may be long.
func (p *Provider) mayTry(r *http.Request, name string) (time.Duration, bool) {
	source := p.source(r)
	if ok, wait := p.cfg.Logins.Allow("ip " + source); !ok {
		return wait, false
	}
	if p.cfg.Logins == nil || p.places.has(source, name) || p.knows(r, name) {
		return 0, true
	}
	if ok, wait := p.cfg.Logins.Allow("user " + hashID(name)); !ok {
		return wait, false
	}
	ok, wait := p.strangers.Allow(hashID(name))
	return wait, ok
}

func (p *Provider) source(r *http.Request) string { return limit.Source(p.cfg.ClientIP(r)) }

// hashFor gives the hash to compare with. For somebody unknown it is that of one
// of the users, always the same one for the same name, so that the comparison
// takes as long as for a user.
func (p *Provider) hashFor(u *user, name string) string {
	everyone := p.people.Load().everyone
	switch {
	case u != nil:
		return u.PasswordHash
	case len(everyone) == 0:
		return ""
	}
	return everyone[maphash.String(p.seed, name)%uint64(len(everyone))].PasswordHash
}

// compare takes its turn: hashes cost much memory and time by design. A broken
// hash is a wrong password to the outside.
func (p *Provider) compare(ctx context.Context, hash, password string) (bool, error) {
	if hash == "" || password == "" || len(password) > maxPassword {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, compareWait)
	defer cancel()
	select {
	case p.comparing <- struct{}{}:
		defer func() { <-p.comparing }()
	case <-ctx.Done():
		return false, oauth.Unavailable(ctx.Err())
	}
	ok, err := p.cfg.Compare([]byte(hash), []byte(password))
	if err != nil {
		p.cfg.Log.Error("a password hash of the configuration cannot be used", zap.String("iss", p.cfg.Issuer))
		return false, nil
	}
	return ok, nil
}
