package jose

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrNeverRotates: the key of the purpose `subject` is for ever (DESIGN §8).
var ErrNeverRotates = errors.New("the subject key is never changed: the sub of every RPT is made with it, and resource servers may keep those")

// KeyState says what a key is good for now. Secrets seal and open where signing
// keys sign and verify.
type KeyState string

// States of a key.
const (
	KeyNext      KeyState = "next"      // published, waits for its time
	KeySigning   KeyState = "signing"   // the one that is used
	KeyVerifying KeyState = "verifying" // until the last token made with it has expired
	KeyRetired   KeyState = "retired"   // good for nothing
)

// KeyInfo is what may be told of a key: nothing of the key itself.
type KeyInfo struct {
	KID, Alg           string
	Created, NotBefore time.Time
	// RetireAfter is when it ceases to verify; zero if that is not known yet.
	RetireAfter time.Time
	State       KeyState
}

// Keys lists the keys as storage has them now, newest first. It makes none.
func (r *Ring) Keys(ctx context.Context) ([]KeyInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := r.list(ctx); err != nil {
		return nil, err
	}
	now := r.life()
	infos := make([]KeyInfo, 0, len(now.keys))
	for _, k := range now.keys {
		infos = append(infos, now.info(k))
	}
	return infos, nil
}

func (l life) info(k *ringKey) KeyInfo {
	info := KeyInfo{
		KID: k.kid, Alg: k.alg, Created: k.created, NotBefore: k.notBefore, RetireAfter: l.end(k), State: KeyVerifying,
	}
	switch {
	case !l.alive(k):
		info.State = KeyRetired
	case k == l.choose():
		info.State = KeySigning
	case l.now.Before(k.notBefore):
		info.State = KeyNext
	}
	return info
}

// Rotate makes the next key now: published at once and used after the Overlap,
// as if the schedule had come to it. If a next key waits already, that is the
// answer: asking again, or at two nodes, makes no second one.
func (r *Ring) Rotate(ctx context.Context) (KeyInfo, error) {
	if r.cfg.Purpose == purposeSubject {
		return KeyInfo{}, ErrNeverRotates
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := bounded(ctx)
	defer cancel()
	var next KeyInfo
	err := r.locked(ctx, func(ctx context.Context) error {
		k := r.life().pending()
		if k == nil {
			var err error
			if k, err = r.add(ctx, r.life().choose() == nil); err != nil {
				return err
			}
		}
		next = r.life().info(k)
		return nil
	})
	return next, err
}

// Retire is for emergencies: from now on the key neither verifies nor is
// published here, and after the next look (Relist) on no other node either. All
// that was made with it is dead. If it was the one in use, the next key is used
// at once, and made if there is none. It gives what became of the key, and the
// key in use. ErrNoKey: the ring has no such key.
//
// The key file stays, with another retire_after: a node that looks finds the
// retirement, and one that does not can bring nothing back, as nodes write only
// files of keys that they just made. Killing comes first: if the new key cannot
// be made then, the next use makes it.
func (r *Ring) Retire(ctx context.Context, kid string) (retired, used KeyInfo, err error) {
	if r.cfg.Purpose == purposeSubject {
		return retired, used, ErrNeverRotates
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = r.locked(ctx, func(ctx context.Context) error {
		before := r.life().choose()
		i, err := r.kill(ctx, kid)
		if err != nil {
			return err
		}
		now := r.life()
		retired = now.info(now.keys[i])
		// An older key, of another algorithm, does not come back.
		k := now.choose()
		if k == nil || before != nil && before.kid == kid && slices.Index(now.keys, k) > i {
			if k, err = r.add(ctx, true); err != nil {
				return err
			}
		}
		used = r.life().info(k)
		return nil
	})
	return retired, used, err
}

// kill ends a key, and gives its place in the list. The time is set back by as
// much as the clocks of nodes may differ, but not before the key's start: it has
// taken over from the one before it.
func (r *Ring) kill(ctx context.Context, kid string) (int, error) {
	now := r.life()
	i := slices.IndexFunc(now.keys, func(k *ringKey) bool { return k.kid == kid })
	if i < 0 {
		return i, ErrNoKey
	}
	if !now.alive(now.keys[i]) {
		return i, nil
	}
	k := *now.keys[i]
	k.retire = now.now.UTC().Truncate(time.Second).Add(-Relist)
	if !now.now.Before(k.notBefore) && k.retire.Before(k.notBefore) {
		k.retire = k.notBefore
	}
	if err := r.write(ctx, &k); err != nil {
		return i, err
	}
	keys := slices.Clone(now.keys)
	keys[i] = &k
	r.keep(keys)
	return i, nil
}

// Import adds the keys that lie in another storage, as they are, and says how
// many were not here yet. Broken files are left out. Nodes know them after the
// next look.
func (r *Ring) Import(ctx context.Context, from Storage) (int, error) {
	cfg := r.cfg
	cfg.Storage = from
	other, err := NewRing(cfg)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := other.list(ctx); err != nil {
		return 0, err
	}
	n := 0
	err = r.locked(ctx, func(ctx context.Context) error {
		all := slices.Clone(r.state.Load().keys)
		for _, k := range other.state.Load().keys {
			if slices.ContainsFunc(all, func(have *ringKey) bool { return have.kid == k.kid }) {
				continue
			}
			if err := r.write(ctx, k); err != nil {
				return err
			}
			all, n = append(all, k), n+1
		}
		r.keep(all)
		return nil
	})
	return n, err
}
