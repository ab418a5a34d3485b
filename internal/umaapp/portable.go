package umaapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// LiteralSecret is implemented by backends whose configuration may hold a secret as
// it is: such a one must not stand on a command line, which other users can read.
type LiteralSecret interface {
	HoldsLiteralSecret() bool
}

// DefaultStore is the store of a configuration that names none.
const DefaultStore = `{"module":"bolt"}`

// storeConfig is a store as it stands in a configuration.
type storeConfig struct {
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=uma.stores inline_key=module"`
}

// StoreOfConfig finds the store in a whole configuration in JSON.
func StoreOfConfig(config []byte) (json.RawMessage, error) {
	var c struct {
		Apps struct {
			UMA storeConfig `json:"uma"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	if c.Apps.UMA.StoreRaw == nil {
		return json.RawMessage(DefaultStore), nil
	}
	return c.Apps.UMA.StoreRaw, nil
}

// StoreBackend gives the module of a store, for commands that work beside no running
// server. It opens nothing.
func StoreBackend(raw json.RawMessage) (Backend, error) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	module, err := ctx.LoadModule(&storeConfig{raw}, "StoreRaw")
	if err != nil {
		return nil, err
	}
	backend, ok := module.(Backend)
	if !ok {
		return nil, fmt.Errorf("%T is no store", module)
	}
	return backend, nil
}

// InUse names the processes that use a store and gave a sign of life in the last half
// minute, at most ten. Where no two can have it open at once there are none.
func InUse(ctx context.Context, s store.Store) ([]string, error) {
	if _, locked := s.(*store.Bolt); locked {
		return nil, nil
	}
	docs, err := s.List(ctx, nodeTenant, kindNode, "", "", 10)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(docs))
	for _, doc := range docs {
		var r nodeRecord
		_ = json.Unmarshal(doc.Body, &r) // one of a newer program has an id all the same
		names = append(names, strings.TrimSpace(cut(doc.ID)+" "+cut(r.Host)))
	}
	return names, nil
}

// ErrNoStore: there is nothing where a store should be.
var ErrNoStore = errors.New("there is no such file")

// OpenPortable opens a store whose documents can move. One that must exist is not
// made: a wrong name would look like an empty store.
func OpenPortable(b Backend, mustExist bool) (store.Portable, error) {
	if file, ok := b.(*Bolt); ok && mustExist {
		if _, err := os.Stat(file.Path); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", file.Path, ErrNoStore)
		}
	}
	s, err := b.Open()
	if err != nil {
		return nil, err
	}
	p, ok := s.(store.Portable)
	if !ok {
		return nil, errors.Join(fmt.Errorf("documents of a %T cannot move", s), s.Close())
	}
	return p, nil
}
