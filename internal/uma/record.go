package uma

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Kinds of documents. Each record has a member v; a newer one is refused.
const (
	kindPAT       = "pat"
	kindAccess    = "access"
	kindResource  = "resource"
	kindSpent     = "spent"
	kindGrant     = "grant"
	kindReference = "reference"
	kindPCT       = "pct"
	kindDecided   = "decided"
	kindDecision  = "decision" // decisions of before their ids told the time
	kindProcess   = "process"
	kindClient    = "client"
	kindInstance  = "instance"
	kindSlot      = "slot"
	kindPlaces    = "places"
	kindRevoked   = "revoked"

	currentVersion = 1
)

// version is embedded in every record.
type version struct {
	V int `json:"v"`
}

func (v version) recordVersion() int { return v.V }

type record interface{ recordVersion() int }

func (s *Server) key(kind, id string) store.Key {
	return store.Key{Tenant: s.tenant, Kind: kind, ID: id}
}

// load reads a record. store.ErrNotFound stands for an absent one.
func load[T record](ctx context.Context, s *Server, kind, id string) (T, store.Doc, error) {
	var rec T
	doc, err := s.cfg.Store.Get(ctx, s.key(kind, id))
	if err != nil {
		return rec, doc, err
	}
	rec, err = decodeRecord[T](doc)
	return rec, doc, err
}

func decodeRecord[T record](doc store.Doc) (T, error) {
	var rec T
	if err := json.Unmarshal(doc.Body, &rec); err != nil {
		return rec, fmt.Errorf("%s record: %w", doc.Kind, err)
	}
	if rec.recordVersion() != currentVersion {
		return rec, fmt.Errorf("%s record has version %d, this program knows %d: it was written by a newer caddy-uma", doc.Kind, rec.recordVersion(), currentVersion)
	}
	return rec, nil
}

func (s *Server) doc(kind, id, index string, expires time.Time, rec record) (store.Doc, error) {
	body, err := json.Marshal(rec)
	return store.Doc{Key: s.key(kind, id), Index: index, Expires: expires, Body: body}, err
}

// over gives the op that writes a document in the place of the revision that was
// read; 0 = there was none.
func over(rev int64, doc store.Doc) store.Op {
	if rev == 0 {
		return store.Create(doc)
	}
	doc.Rev = rev
	return store.Swap(doc)
}

// commit writes durably even if the client has gone: a ticket that was spent
// must get its outcome.
func (s *Server) commit(ctx context.Context, ops ...store.Op) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.cfg.Store.Commit(ctx, ops...)
}

// absent tells a missing document from a store that cannot be read.
func absent(err error) bool { return errors.Is(err, store.ErrNotFound) }

// unavailable is the answer to a storage or key failure, which is also logged.
func (s *Server) unavailable(what string, err error) *oauth.Error {
	return oauth.Unavailable(fmt.Errorf("%s: %w", what, err))
}

// randomText gives n random bytes as base64url.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// newID makes an id that people type, 128 random bits. It does not begin with a dash,
// which a command line would take for a flag.
func newID() string {
	id := randomText(idBytes)
	for id[0] == '-' {
		id = randomText(idBytes)
	}
	return id
}

// hashID is how credentials are kept: SHA-256, base64url (CONFORMANCE SEC-24).
func hashID(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
