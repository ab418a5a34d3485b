// Package store is the contract of the document store and its embedded
// implementation on bbolt. Records of the authorization server and of the
// embedded OpenID provider live here; permission tickets do not (they are
// sealed, internal/seal). internal/store/storetest holds the suite that every
// implementation must pass.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Key names a document. Tenant is the role and issuer that owns it (CONFORMANCE
// SEC-28): no look-up crosses tenants. None of the three may be empty or hold a
// zero byte.
type Key struct{ Tenant, Kind, ID string }

// Doc is a versioned document.
type Doc struct {
	Key
	// Index is the one value that List finds documents by, within tenant and
	// kind. It may change from revision to revision and must not hold a zero
	// byte.
	Index string
	// Rev is the revision: 1 when created, one more with each Swap. The store
	// sets it; Swap takes it as what the caller believes to be there.
	Rev int64
	// Expires is when the document ceases to exist; zero is never. A document
	// is absent from its Expires on, swept or not. Kept to the millisecond,
	// rounded up.
	Expires time.Time
	// Body is the record, JSON with a version member.
	Body []byte
}

// Store keeps documents. All methods may be called concurrently. Whatever
// cannot be read or written is an error other than those below; callers then
// issue nothing (CONFORMANCE SEC-13).
type Store interface {
	// ID is the random id made together with the store (22 characters). A new
	// or emptied store has another one.
	ID(ctx context.Context) (string, error)
	// Get gives a document, or ErrNotFound.
	Get(ctx context.Context, key Key) (Doc, error)
	// List gives up to n documents of tenant and kind with this index, in the
	// order of their ids, beginning behind the id after ("" = from the start).
	// Index "" lists the documents of every index.
	List(ctx context.Context, tenant, kind, index, after string, n int) ([]Doc, error)
	// Commit does all ops or none, durably. The error is an *OpError when an op
	// failed on what is stored. An op list names each key at most once.
	Commit(ctx context.Context, ops ...Op) error
	// Sweep removes up to n expired documents and says how many it removed.
	Sweep(ctx context.Context, n int) (int, error)
	// Close releases the store.
	Close() error
}

// What Get and Commit say about what is stored.
var (
	// ErrNotFound: no such document, or it has expired.
	ErrNotFound = errors.New("document not found")
	// ErrExists: Create found a live document.
	ErrExists = errors.New("document exists already")
	// ErrConflict: Swap or Delete found another revision, or none.
	ErrConflict = errors.New("document was changed by somebody else")
)

// OpError tells which op of a Commit failed.
type OpError struct {
	Op  int // position in the list
	Key Key
	Err error // ErrExists or ErrConflict
}

// Error names kind and position, never the id (it may be derived from a
// credential).
func (e *OpError) Error() string { return fmt.Sprintf("op %d on %s: %v", e.Op, e.Key.Kind, e.Err) }

// Unwrap gives ErrExists or ErrConflict.
func (e *OpError) Unwrap() error { return e.Err }

// Op is one change of a Commit; made by Create, Swap or Delete.
type Op struct {
	// Action says what to do; Doc carries key, index, expiry, body and, for
	// Swap and Delete, the expected revision.
	Action Action
	Doc    Doc
}

// Action of an Op.
type Action int

// Actions.
const (
	ActionCreate Action = iota + 1
	ActionSwap
	ActionDelete
)

// Create adds a document; it fails with ErrExists if a live one is there.
func Create(d Doc) Op { return Op{ActionCreate, d} }

// Swap replaces the document whose revision is d.Rev; it fails with
// ErrConflict if the revision moved or the document is gone.
func Swap(d Doc) Op { return Op{ActionSwap, d} }

// Delete removes the document if its revision is rev, else ErrConflict.
func Delete(key Key, rev int64) Op { return Op{ActionDelete, Doc{Key: key, Rev: rev}} }
