package caddysts

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/op"
)

const (
	// lookPause is the least time between two looks at a users file, and so the
	// longest that somebody stays who is no longer there.
	lookPause = time.Second
	// settled is how old a file must be to count as known: clocks of file systems
	// are coarse, and a second change may bear the time of the first.
	settled = 2 * time.Second
)

// usersFile is the file of `users`. It is looked at when the service is used, at
// most once a second, so there is nothing that runs and must be stopped. It is
// looked up by name each time: it may be replaced by rename, or be a link that is
// turned to another file, as Kubernetes does.
type usersFile struct {
	path    string // "" = there is none
	domains []string
	own     []op.User // of the configuration
	all     []op.User // at load
	set     func([]op.User) error
	now     func() time.Time
	log     *zap.Logger

	next atomic.Int64 // when to look again, Unix nanoseconds
	mu   sync.Mutex
	info fs.FileInfo // of what was read; nil = read it anyway
	seen string      // what was read: its hash, or the error
}

// usersFile reads the file at load; every mistake is an error.
func (h *Handler) usersFile(own []op.User) (*usersFile, error) {
	f := &usersFile{path: h.Provider.UsersFile, own: own, all: own, now: time.Now, log: h.log}
	if f.path == "" {
		return f, nil
	}
	var err error
	if f.domains, err = h.emailDomains(); err != nil {
		return nil, err
	}
	users, _, err := f.read()
	if err != nil {
		return nil, f.named(err)
	}
	f.all = users
	f.next.Store(f.now().Add(lookPause).UnixNano())
	return f, nil
}

func (f *usersFile) named(err error) error { return fmt.Errorf("users file %s: %w", f.path, err) }

// refresh takes over the users of a file that has changed. A broken one changes
// nothing: half a file must not put everybody out.
func (f *usersFile) refresh() {
	now := f.now()
	if f.path == "" || now.UnixNano() < f.next.Load() || !f.mu.TryLock() {
		return // one request looks; the others go on with what is known
	}
	defer f.mu.Unlock()
	f.next.Store(now.Add(lookPause).UnixNano())
	if f.isKnown() {
		return
	}
	users, changed, err := f.read()
	if !changed {
		return // the same again, be it good or bad
	}
	if err == nil {
		err = f.set(users)
	}
	if err != nil {
		f.log.Error("the users file cannot be used; the users stay as they were", zap.String("file", f.path), zap.Error(err))
		return
	}
	f.log.Info("the users file was read again", zap.String("file", f.path), zap.Int("users", len(users)))
}

// isKnown tells whether the file is the one that was read.
func (f *usersFile) isKnown() bool {
	info, err := os.Stat(f.path)
	return err == nil && f.info != nil && os.SameFile(info, f.info) &&
		info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime())
}

// read gives all users, those of the configuration first, unless the text, or the
// reason why there is none, is what it was.
func (f *usersFile) read() (users []op.User, changed bool, err error) {
	data, info, err := readUsers(f.path)
	seen := fmt.Sprint(err)
	if err == nil {
		sum := sha256.Sum256(data)
		seen = string(sum[:])
	}
	changed = seen != f.seen
	f.info, f.seen = info, seen
	if info != nil && f.now().Sub(info.ModTime()) < settled {
		f.info = nil
	}
	if err != nil || !changed {
		return nil, changed, err
	}
	if users, err = parseUsers(data, f.domains, f.own); err != nil {
		return nil, true, err
	}
	return append(slices.Clone(f.own), users...), true, nil
}

// readUsers reads a regular file; opening a pipe would wait for its writer.
func readUsers(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a file")
	}
	if err != nil {
		return nil, nil, unreadableUsers(err)
	}
	file, err := os.Open(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, nil, unreadableUsers(err)
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err != nil { // it may be another one by now
		return nil, nil, unreadableUsers(err)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxUsers+1))
	switch {
	case err != nil:
		return nil, nil, unreadableUsers(err)
	case len(data) > maxUsers:
		return nil, nil, errors.New("it is larger than 4 MiB; for so many people use an OpenID provider of its own")
	}
	return data, info, nil
}

// unreadableUsers says what to do about it.
func unreadableUsers(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New(`it does not exist; correct the path, or write {"users": []} into it`)
	case errors.Is(err, fs.ErrPermission):
		return errors.New("it may not be read; give the account that Caddy runs as permission to read it and its folder")
	}
	return fmt.Errorf("it cannot be read: %w", err)
}
