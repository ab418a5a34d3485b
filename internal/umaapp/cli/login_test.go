package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// keep stores a login of bob as caddy uma login does.
func (w *world) keep(t *testing.T, refresh string, life time.Duration) (store sessions, path string) {
	t.Helper()
	store, err := newSessions()
	if err != nil {
		t.Fatal(err)
	}
	s := &rqp.Session{Issuer: w.url("bob"), ClientID: "caddy-uma", AccessToken: "at-of-bob", RefreshToken: refresh, Expires: time.Now().Add(life)}
	if err := store.write("bob@bob.localhost", s); err != nil {
		t.Fatal(err)
	}
	return store, store.path("BOB@bob.localhost", s.Issuer, s.ClientID)
}

func TestStoredLogin(t *testing.T) {
	w := newWorld(t)
	get := func() (int, string, string) {
		return caddyUMA(t, "", "no", "get", "--address", w.admin, "--user", "bob@bob.localhost", w.url("api")+"/")
	}
	store, path := w.keep(t, "rt-1", time.Hour)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if info, err := os.Stat(store.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v %v", info, err)
	}
	if code, _, stderr := get(); code != exitDone || w.hits["bob/challenge"] != 0 {
		t.Fatalf("fresh: %d %s", code, stderr)
	}
	w.keep(t, "rt-1", 0)
	for range 2 { // the second uses what the first saved
		if code, _, stderr := get(); code != exitDone {
			t.Fatalf("renewed: %d %s", code, stderr)
		}
	}
	if v, err := store.read(path); err != nil || v.RefreshToken != "rt-2" {
		t.Fatalf("%v %v", v.RefreshToken, err)
	}
	w.keep(t, "rt-2", 0)
	if code, _, stderr := get(); code != exitRefused || !strings.Contains(stderr, "caddy uma login --user") {
		t.Fatalf("used up: %d %s", code, stderr)
	}
	if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // that is the point
		t.Fatal(err)
	}
	if code, _, stderr := get(); code != exitRefused || !strings.Contains(stderr, "read by others") {
		t.Fatalf("readable: %d %s", code, stderr)
	}
	if err := os.Rename(path, path+".x"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".x", path); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := get(); code != exitRefused || !strings.Contains(stderr, "no plain file") {
		t.Fatalf("link: %d %s", code, stderr)
	}
}

func TestLogout(t *testing.T) {
	w := newWorld(t)
	_, path := w.keep(t, "rt-1", time.Hour)
	if code, _, _ := caddyUMA(t, "", "", "logout"); code != exitUsage {
		t.Errorf("without a user: %d", code)
	}
	if code, _, _ := caddyUMA(t, "", "", "logout", "--user", "eve@bob.localhost"); code != exitRefused {
		t.Errorf("somebody else: %d", code)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	// What a process that was stopped left is no less a token.
	if err := os.WriteFile(path+".LEFT", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := caddyUMA(t, "", "", "logout", "--user", "bob@bob.localhost", "--address", "127.0.0.1:1")
	if _, err := os.Stat(path); code != exitDone || !os.IsNotExist(err) || !strings.Contains(stderr, "warning") {
		t.Errorf("offline: %d %s %s", code, out, stderr)
	}
	if left, err := filepath.Glob(filepath.Dir(path) + "/*.json*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStoredLogin_Race: of those who renew at once one asks the provider; a refresh
// token that is used twice would end the login.
func TestStoredLogin_Race(t *testing.T) {
	w := newWorld(t)
	store, path := w.keep(t, "rt-1", 0)
	unlock, err := store.lock(t.Context()) // so that all of them wait
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			if code, _, stderr := caddyUMA(t, "", "no", "get", "--address", w.admin, "--user", "bob@bob.localhost", w.url("api")+"/"); code != exitDone {
				t.Errorf("%d %s", code, stderr)
			}
		})
	}
	unlock()
	done.Wait()
	if v, err := store.read(path); err != nil || v.RefreshToken != "rt-2" {
		t.Errorf("%q, %v", v.RefreshToken, err)
	}
}

func TestHasDisplay(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "")
	t.Setenv("DISPLAY", ":0")
	if !hasDisplay() {
		t.Error("no display with one")
	}
	t.Setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
	if hasDisplay() {
		t.Error("a browser would open on the other machine")
	}
}

// A login that another command renews is read, the old or the new one.
func TestStoredLogin_ReadWhileWritten(t *testing.T) {
	w := newWorld(t)
	store, path := w.keep(t, "rt-1", time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for ctx.Err() == nil {
				w.keep(t, "rt-2", time.Hour)
			}
		})
	}
	for range 2000 {
		if v, err := store.read(path); err != nil || v.AccessToken != "at-of-bob" {
			t.Errorf("%+v, %v", v, err)
			break
		}
	}
	stop()
	writers.Wait()
}
