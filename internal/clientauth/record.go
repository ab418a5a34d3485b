package clientauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// kindAssertion are the documents that say which assertions were used.
const kindAssertion = "assertion"

// usedBody is the whole record: that it is there says everything.
const usedBody = `{"v":1}`

// storeAhead is by how much the store's clock may be ahead of ours: a node with more is
// not healthy. Leeway is between us and clients alone.
const storeAhead = 5 * time.Minute

// recordTimeout bounds one write.
const recordTimeout = 10 * time.Second

// record remembers an assertion for the other nodes and for after a restart
// (CONFORMANCE OA-18): whoever has seen one somewhere could become the client at
// the node next door. It comes behind the window, whose bounds so hold for what is
// written, too. Of many nodes that are shown one assertion exactly one hears yes.
func (a *Authenticator) record(ctx context.Context, client, jti string, until time.Time) (bool, error) {
	if a.cfg.Store == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	err := a.cfg.Store.Commit(ctx, store.Create(store.Doc{
		Key:     store.Key{Tenant: a.cfg.Tenant, Kind: kindAssertion, ID: assertionID(client, jti)},
		Expires: until.Add(storeAhead), Body: []byte(usedBody),
	}))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrExists):
		return false, nil
	default:
		return false, oauth.Unavailable(fmt.Errorf("used client assertion: %w", err))
	}
}

// assertionID keeps the ids of one client apart from those of all others.
func assertionID(client, jti string) string {
	c, j := sha256.Sum256([]byte(client)), sha256.Sum256([]byte(jti))
	sum := sha256.Sum256(append(c[:], j[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
