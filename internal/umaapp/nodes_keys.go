package umaapp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

// storageFile is where the random id of Caddy's storage is. It lies beside the keys,
// so that who copies them takes it along.
const storageFile = "uma/storage.id"

// storageID is the content of that file.
type storageID struct {
	V  int    `json:"v"`
	ID string `json:"id"`
}

// fingerprints are what was found out about the keys, and when. Who wants one waits
// for who is finding it out: a lock in Caddy's storage that is taken costs a second.
type fingerprints struct {
	gate  chan struct{} // guards what follows
	at    time.Time
	place string
	keys  map[tenantName]string
}

// printTime is how long a heartbeat waits for fingerprints: a storage that hangs must not
// silence a node that has its keys in memory.
const printTime = health.MaxTime / 2

// fingerprint tells the keys that this node uses for an issuer from those of others,
// and says nothing about them. It is as old as a heartbeat at most.
func (a *App) fingerprint(ctx context.Context, name tenantName) (string, error) {
	f := &a.nodes.printed
	if err := enter(ctx, f.gate); err != nil {
		return "", err
	}
	defer exit(f.gate)
	now := a.now()
	if age := now.Sub(f.at); f.keys == nil || age < 0 || age >= beatEvery {
		place, err := a.keyPlace(ctx)
		if err != nil {
			return "", err
		}
		f.at, f.place, f.keys = now, place, map[tenantName]string{}
	}
	if known, ok := f.keys[name]; ok {
		return known, nil
	}
	text, err := a.takeFingerprint(ctx, f.place, name)
	if err == nil {
		f.keys[name] = text
	}
	return text, err
}

// takeFingerprint hashes the id of the place where keys are together with that of
// the key which never rotates, if there is one: it also shows that the keys of the
// place can be opened.
func (a *App) takeFingerprint(ctx context.Context, place string, name tenantName) (string, error) {
	subject := ""
	for _, r := range a.ringsOf(ringKey{name.role, name.issuer, "subject"}) {
		id, _, err := r.Current(ctx)
		if err != nil {
			return "", err
		}
		subject = fmt.Sprintf("%x", id)
	}
	sum := sha256.Sum256([]byte("caddy-uma keys\x00" + place + "\x00" + subject))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:22], nil
}

// keyPlace names the place where keys are: the document store, or Caddy's storage.
func (a *App) keyPlace(ctx context.Context) (string, error) {
	if a.Keys == keysStore {
		id, err := a.store.ID(ctx)
		return "store " + id, err
	}
	id, err := readStorageID(ctx, a.storage())
	return "storage " + id, err
}

// readStorageID reads the id of a storage, and makes one if there is none.
func readStorageID(ctx context.Context, s jose.Storage) (string, error) {
	id, err := loadStorageID(ctx, s)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	const lock = "uma_storage_id"
	if err := s.Lock(ctx, lock); err != nil {
		return "", err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), printTime) // also when the time for the rest is over
		defer cancel()
		_ = s.Unlock(ctx, lock)
	}()
	id, err = loadStorageID(ctx, s) // another node was faster
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	data, err := json.Marshal(storageID{V: 1, ID: rand.Text()})
	if err != nil {
		return "", err
	}
	if err := s.Store(ctx, storageFile, data); err != nil {
		return "", err
	}
	return loadStorageID(ctx, s)
}

func loadStorageID(ctx context.Context, s jose.Storage) (string, error) {
	data, err := s.Load(ctx, storageFile)
	if err != nil {
		return "", err
	}
	var f storageID
	if json.Unmarshal(data, &f) != nil || f.V != 1 || f.ID == "" {
		return "", errors.New("the file " + storageFile + " is damaged")
	}
	return f.ID, nil
}
