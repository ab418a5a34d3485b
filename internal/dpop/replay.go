package dpop

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// defaultSize needs 20 MiB when it is full, each proof from a source of its own.
const defaultSize = 1 << 17

// share: a source may hold a share-th of what is free.
const share = 8

// Replays remembers the proofs that were used until they are too old to be
// accepted anyway (RFC 9449 §11.1). Its memory is bounded: a proof that finds no
// room is refused, and none is forgotten for it, or a flood would make room for
// a replay. Other nodes know nothing of it: a proof is good once at each. Nonces do
// not change that, as nodes with the same keys take those of each other.
//
// Keys cost nothing, so a flood is held by where it comes from: the fuller the
// table, the less may one source hold of it. The room that many busy sources
// leave free is for those who hold little, and a source without a proof in the
// table finds room until the last place is taken.
type Replays struct {
	size int
	now  func() time.Time

	mu      sync.Mutex
	used    map[id]struct{}
	slots   map[int64][]entry // by the second in which their last proof expires
	sources map[string]*source
	swept   int64 // the second in which slots were looked through
	gone    int64 // the last slot of those that were forgotten
}

// id of a proof: a hash, cut to what nobody finds a second one for.
type id [16]byte

type entry struct {
	id   id
	from *source
}

type source struct {
	name string
	n    int
}

// NewReplays makes room for so many proofs; 0 = 131072. A proof stays for a
// window after its iat, for two at most.
func NewReplays(size int, now func() time.Time) *Replays {
	if size <= 0 {
		size = defaultSize
	}
	return &Replays{
		size: size, now: now,
		used: map[id]struct{}{}, slots: map[int64][]entry{}, sources: map[string]*source{},
	}
}

// identity of a proof: jti in the context of the URI (RFC 9449 §11.1) and of the
// key, so that nobody can use up the jti of another client.
func identity(uri, jti, jkt string) id {
	var all []byte
	for _, s := range []string{uri, jti, jkt} {
		all = append(binary.BigEndian.AppendUint32(all, uint32(len(s))), s...)
	}
	sum := sha256.Sum256(all)
	return id(sum[:])
}

// use remembers a proof, or says why it must not be accepted. Of many who bring
// one proof at once exactly one gets nil.
func (r *Replays) use(proof id, from string, until time.Time) error {
	slot := until.Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(r.now().Unix())
	if _, seen := r.used[proof]; seen || slot <= r.gone {
		// A clock that is set back must not open what was forgotten.
		return ErrReplay
	}
	free := r.size - len(r.used)
	s := r.sources[from]
	switch {
	case free <= 0:
		return ErrFull
	case s == nil:
		s = &source{name: from}
		r.sources[from] = s
	case s.n >= free/share:
		return ErrSource
	}
	s.n++
	r.used[proof] = struct{}{}
	r.slots[slot] = append(r.slots[slot], entry{proof, s})
	return nil
}

// sweep forgets what has expired, once in a second: a proof is accepted until its
// last moment, so its slot goes when the second after it has begun.
func (r *Replays) sweep(now int64) {
	if now == r.swept {
		return
	}
	r.swept = now
	for slot, entries := range r.slots {
		if slot >= now {
			continue
		}
		for _, e := range entries {
			r.forget(e)
		}
		delete(r.slots, slot)
		r.gone = max(r.gone, slot)
	}
}

func (r *Replays) forget(e entry) {
	delete(r.used, e.id)
	if e.from.n--; e.from.n == 0 {
		delete(r.sources, e.from.name)
	}
}
