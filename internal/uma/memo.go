package uma

import (
	"bytes"
	"context"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Bounds of a memo.
const (
	memoSize = 512
	memoBody = 4 << 10
)

// memo remembers what documents of one kind decode to that are read with each
// ticket. The store is asked each time, and what was remembered counts only for the
// very same bytes: nothing lives longer by it. Whoever gets a record must not change
// its lists and maps.
type memo[T record] struct {
	kind  string
	known *lru.Cache[string, remembered[T]]
}

type remembered[T record] struct {
	body []byte
	rec  T
}

func newMemo[T record](kind string) (memo[T], error) {
	known, err := lru.New[string, remembered[T]](memoSize)
	return memo[T]{kind, known}, err
}

// load is load for documents of this kind.
func (m memo[T]) load(ctx context.Context, s *Server, id string) (T, store.Doc, error) {
	doc, err := s.cfg.Store.Get(ctx, s.key(m.kind, id))
	if err != nil {
		var none T
		return none, doc, err
	}
	if have, ok := m.known.Get(id); ok && bytes.Equal(have.body, doc.Body) {
		return have.rec, doc, nil
	}
	rec, err := decodeRecord[T](doc)
	if err == nil && len(doc.Body) <= memoBody {
		m.known.Add(id, remembered[T]{bytes.Clone(doc.Body), rec})
	}
	return rec, doc, err
}
