package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// sessions are the stored logins of this user of the machine: one file each,
// 0600, in a directory 0700. The names are hashes.
type sessions struct{ dir string }

// stored is the content of a file.
type stored struct {
	Version int    `json:"v"`
	User    string `json:"user"`
	rqp.Session
}

const (
	storedVersion = 1
	maxStored     = 256 << 10
	// early is how long before its end an access token is renewed.
	early = 30 * time.Second
)

// errNoSession: nobody logged in.
var errNoSession = errors.New("there is no stored login")

// newSessions: XDG base directories, $XDG_STATE_HOME or ~/.local/state.
func newSessions() (sessions, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) { // a relative path is invalid there
		home, err := os.UserHomeDir()
		if err != nil {
			return sessions{}, fmt.Errorf("no place for stored logins: %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return sessions{filepath.Join(base, "caddy-uma", "logins")}, nil
}

func (s sessions) path(user, issuer, client string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(user) + "\n" + issuer + "\n" + client))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+".json")
}

// read refuses what other users of the machine could have read or put there, as
// ssh does with its keys. Another command may replace the file meanwhile.
func (s sessions) read(path string) (stored, error) {
	v, err := s.readOnce(path)
	for range 100 {
		if !errors.Is(err, errExchanged) {
			break
		}
		v, err = s.readOnce(path)
	}
	return v, err
}

// errExchanged: what was opened is not what was looked at.
var errExchanged = errors.New("it was exchanged while it was read")

func (s sessions) readOnce(path string) (stored, error) {
	var v stored
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, errNoSession
	}
	if err != nil {
		return v, err
	}
	if !before.Mode().IsRegular() || before.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return v, fmt.Errorf("the stored login %s may be read by others or is no plain file. Try: removing it, and caddy uma login", path)
	}
	f, err := os.Open(path)             //nolint:gosec // the name is a hash in our directory
	if errors.Is(err, fs.ErrNotExist) { // logged out meanwhile
		return v, errNoSession
	}
	if err != nil {
		return v, err
	}
	defer func() { _ = f.Close() }()
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		return v, fmt.Errorf("the stored login %s: %w", path, errExchanged)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxStored+1))
	if err != nil || len(data) > maxStored || oauth.DecodeObject(data, &v) != nil || v.Version != storedVersion {
		return stored{}, fmt.Errorf("the stored login %s is damaged. Try: removing it, and caddy uma login", path)
	}
	return v, nil
}

// write replaces a file in one step.
func (s sessions) write(user string, session *rqp.Session) error {
	if err := s.prepare(); err != nil {
		return err
	}
	data, err := json.Marshal(stored{storedVersion, user, *session})
	if err != nil {
		return err
	}
	path := s.path(user, session.Issuer, session.ClientID)
	temp := path + "." + rand.Text()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

func (s sessions) prepare() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(s.dir)
	if err == nil && (!info.IsDir() || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/') {
		err = fmt.Errorf("others may use the directory %s. Try: chmod 700", s.dir)
	}
	return err
}

// list gives the paths of all logins.
func (s sessions) list() ([]string, error) { return filepath.Glob(filepath.Join(s.dir, "*.json")) }

// remove removes a login, and what a process that was stopped left beside it.
func (s sessions) remove(path string) error {
	left, err := filepath.Glob(path + ".*")
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, os.Remove(path))
}

// lock keeps other processes from changing logins.
func (s sessions) lock(ctx context.Context) (unlock func(), err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	unlock, err = lock(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		err = fmt.Errorf("waiting for another caddy uma, which uses the stored logins: %w", err)
	}
	return unlock, err
}

// token gives a good access token. A renewed one is saved before it is used, and
// one process at a time renews: a refresh token that is used twice ends all
// tokens of the login.
func (s sessions) token(ctx context.Context, cfg rqp.LoginConfig) (string, error) {
	path := s.path(cfg.User, cfg.Issuer, cfg.ClientID)
	if v, err := s.read(path); err != nil || time.Until(v.Expires) > early {
		return v.AccessToken, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	v, err := s.read(path) // another process may have renewed it
	if err != nil || time.Until(v.Expires) > early {
		return v.AccessToken, err
	}
	if v.RefreshToken == "" {
		return "", fmt.Errorf("the stored login has expired. Try: caddy uma login --user %s", cfg.User)
	}
	session, err := rqp.Refresh(ctx, cfg, v.Session)
	if step, ok := errors.AsType[*rqp.StepError](err); ok && step.Code == oauth.CodeInvalidGrant {
		step.Hint = "caddy uma login --user " + cfg.User
	}
	if err != nil {
		return "", err
	}
	return session.AccessToken, s.write(v.User, session)
}
