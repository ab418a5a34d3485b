package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
)

// Portable is what a store offers besides Store when its documents can move into a
// store of another kind. Nobody else may use the store meanwhile.
type Portable interface {
	Store
	// Walk gives every document of every tenant as it was at one instant, in any
	// order; those that have expired and were not swept yet are among them. An error
	// is the last that it gives.
	Walk(ctx context.Context) iter.Seq2[Doc, error]
	// Fill makes an empty store a copy of another one: it takes over the id and the
	// documents as they are, with revision, index and expiry. All or nothing: what it
	// wrote is read again and must be what it was given, else the store is as empty as
	// before. ErrNotEmpty if there are live documents.
	Fill(ctx context.Context, id string, docs iter.Seq2[Doc, error]) error
	// Renew gives the store another id: tickets that were made for it are void.
	Renew(ctx context.Context) error
}

// Why nothing is migrated, and nothing was changed.
var (
	// ErrNotEmpty: the store that should be filled holds documents.
	ErrNotEmpty = errors.New("the store that should be filled holds documents already")
	// ErrEmpty: the store that should be copied holds none.
	ErrEmpty = errors.New("the store that should be copied holds no documents")
	// ErrSame: both are the same.
	ErrSame = errors.New("both are one store")
	// ErrCopy: what was written is not what was read.
	ErrCopy = errors.New("what was written is not what was read")
	// ErrParted: one is a copy of the other, with its id, and they are not equal any more.
	ErrParted = errors.New("an earlier migration broke off at its end, so both stores have one id, and a server has used one of them since; " +
		"remove the one that is not in use (a file, or DROP SCHEMA … CASCADE): with both a ticket could be spent twice")
)

// NotRenewedError: everything was copied, but the old store kept its id. Should a
// server be started with it, too, a ticket could be spent in both.
type NotRenewedError struct{ Err error }

// Error implements error.
func (e *NotRenewedError) Error() string {
	return fmt.Sprintf("everything was copied, but the old store could not be made another one: %v", e.Err)
}

// Unwrap gives the cause.
func (e *NotRenewedError) Unwrap() error { return e.Err }

// Migrate moves a store: the new one gets the id and all documents, so that tickets,
// tokens and logins go on there; the old one keeps its documents, as a backup, and
// gets another id, so that no ticket can be spent in both (CONFORMANCE SEC-12). Until
// the new one is complete nothing of the old one is changed. Run again after it broke off
// in between, it finishes its work.
func Migrate(ctx context.Context, from, to Portable) (Tally, error) {
	id, err := from.ID(ctx)
	if err != nil {
		return Tally{}, err
	}
	other, err := to.ID(ctx)
	if err != nil {
		return Tally{}, err
	}
	var moved Tally
	switch {
	case id != other:
		err = to.Fill(ctx, id, someOf(from.Walk(ctx), &moved))
	case from == to || !isFile(from) && !isFile(to):
		return Tally{}, ErrSame
	default:
		moved, err = compared(ctx, from, to)
	}
	if err != nil {
		return Tally{}, err
	}
	if err := from.Renew(ctx); err != nil {
		return moved, &NotRenewedError{err}
	}
	return moved, nil
}

// isFile: two stores with one id are two if one is a file, which has one user at a time.
func isFile(s Portable) bool {
	_, ok := s.(*Bolt)
	return ok
}

// compared counts the documents of two stores that must be equal.
func compared(ctx context.Context, from, to Portable) (Tally, error) {
	all := make([]Tally, 2)
	for i, s := range []Portable{from, to} {
		for doc, err := range s.Walk(ctx) {
			if err != nil {
				return Tally{}, err
			}
			all[i].Add(doc)
		}
	}
	if !all[0].Equal(&all[1]) {
		return Tally{}, ErrParted
	}
	return all[0], nil
}

// someOf counts documents; none at all are an error.
func someOf(docs iter.Seq2[Doc, error], n *Tally) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		for doc, err := range docs {
			if err == nil {
				n.Add(doc)
			}
			if !yield(doc, err) || err != nil {
				return
			}
		}
		if n.Len() == 0 {
			yield(Doc{}, ErrEmpty)
		}
	}
}

// TenantKind is a tenant and a kind.
type TenantKind struct{ Tenant, Kind string }

// Tally is what a set of documents amounts to. Two sets with equal tallies are equal.
type Tally struct {
	// Kinds says how many documents there are of each tenant and kind.
	Kinds map[TenantKind]int
	// sum is the exclusive or of the hashes of all documents.
	sum [sha256.Size]byte
}

// Add counts a document.
func (t *Tally) Add(d Doc) {
	if t.Kinds == nil {
		t.Kinds = map[TenantKind]int{}
	}
	t.Kinds[TenantKind{d.Tenant, d.Kind}]++
	r := record{rev: d.Rev, expires: expiryMillis(d.Expires), index: d.Index, body: d.Body}
	hash := sha256.Sum256(append(append(docKey(d.Key), 0), r.encode()...))
	for i, b := range hash {
		t.sum[i] ^= b
	}
}

// Len is how many documents there are.
func (t *Tally) Len() int {
	n := 0
	for _, some := range t.Kinds {
		n += some
	}
	return n
}

// Equal compares number and content.
func (t *Tally) Equal(other *Tally) bool { return t.Len() == other.Len() && t.sum == other.sum }

// CheckFill checks what Fill was given before it is written.
func CheckFill(d Doc) error {
	if d.Rev < 1 {
		return errors.New("store: a document without a revision")
	}
	return Validate(Create(d))
}

// CheckID checks the id of a store.
func CheckID(id string) error {
	if len(id) != idLength {
		return errors.New("store: the id of a store has 22 characters")
	}
	return nil
}
