package umaapp

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Nodes that look at the same time find one id; a file that is damaged is not replaced,
// because it may be the one that the others know.
func TestSEC_11_StorageID(t *testing.T) {
	dir := t.TempDir()
	ctx := contextWithStorage(t, dir)
	ids := make([]string, 4)
	var users sync.WaitGroup
	for i := range ids {
		users.Go(func() {
			id, err := readStorageID(t.Context(), ctx.Storage())
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	users.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Errorf("ids %q", ids)
		}
	}
	if other, err := readStorageID(t.Context(), contextWithStorage(t, t.TempDir()).Storage()); err != nil || other == ids[0] {
		t.Errorf("another storage has the id %q, %v", other, err)
	}
	file := filepath.Join(dir, filepath.FromSlash(storageFile))
	for _, text := range []string{"", "{", `{"v":1}`, `{"v":2,"id":"x"}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := readStorageID(t.Context(), ctx.Storage()); err == nil {
			t.Errorf("%q: id %q", text, id)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != text { //nolint:gosec // a file of the test
			t.Errorf("%q was replaced by %q, %v", text, now, err)
		}
	}
}

// What cannot be told is a warning: the keys themselves have a check of their own.
func TestSEC_11_FingerprintUnknown(t *testing.T) {
	dir := t.TempDir()
	c := newCluster(t, dir, dir)
	if err := os.MkdirAll(filepath.Join(dir, "uma"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(storageFile)), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, a := range c.apps {
		status, checks := c.health(t, i)
		if status != http.StatusOK || checks["nodes"] != "warn it cannot be told whether the nodes share keys" || checks["keys"] != "pass" || checks["store"] != "pass" {
			t.Errorf("%d %v", status, checks)
		}
		if rows, err := a.nodeRows(t.Context()); err != nil || rows[0].Keys != "unknown" {
			t.Errorf("%+v, %v", rows, err)
		}
	}
}

// Heartbeats of a later version, and damaged ones, are left out.
func TestForeignHeartbeats(t *testing.T) {
	c := newCluster(t, t.TempDir())
	a := c.apps[0]
	for id, body := range map[string]string{"later": `{"v":2,"issuers":[{"role":"as","issuer":"` + alice + `","keys":"x"}]}`, "damaged": `{`, "good": `{"v":1,"issuers":[]}`} {
		if err := a.store.Commit(t.Context(), store.Create(store.Doc{Key: nodeKey(id), Body: []byte(body), Expires: c.now.Add(time.Hour)})); err != nil {
			t.Fatal(err)
		}
	}
	if n := nodesIn(t, a); n != 1 {
		t.Errorf("%d nodes, want the good one", n)
	}
	if status, checks := c.health(t, 0); status != http.StatusOK || checks["nodes"] != "pass" {
		t.Errorf("%d %v", status, checks)
	}
}

// keys store: the store is the place, and the secret must open what is there.
func TestSEC_11_FingerprintOfKeysInTheStore(t *testing.T) {
	c := newCluster(t, t.TempDir(), t.TempDir())
	for _, a := range c.apps {
		a.Keys = keysStore // each has a storage of its own, which does not matter then
	}
	one, err := c.apps[0].keyPlace(t.Context())
	two, other := c.apps[1].keyPlace(t.Context())
	if err != nil || other != nil || one != two {
		t.Errorf("%q %v, %q %v, want the same place", one, err, two, other)
	}
	c.apps[1].Keys = keysStorage
	if two, err = c.apps[1].keyPlace(t.Context()); err != nil || one == two {
		t.Errorf("%q, %v: the storage is the store", two, err)
	}
}
