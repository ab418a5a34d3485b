package jose

import "time"

// life decides what the keys of a ring are good for at one point in time. A key
//
//	pending   is published and does not sign yet (not_before)
//	signs     until a newer one does, or so long before retire_after that the
//	          last token made with it expires in time
//	verifies  until retire_after, or until the last token made before its
//	          successor took over has expired, if that is earlier
type life struct {
	cfg  *RingConfig
	keys []*ringKey // newest first
	now  time.Time
}

// choose gives the key to use: the newest of the wanted algorithm whose time has
// come; after a change of algorithm the newest of another, until the new one's
// time has come. A pending key is better than none: the clock of the node that
// made it may be ahead of ours.
func (l life) choose() *ringKey {
	wanted := func(k *ringKey) bool { return k.alg == l.cfg.Alg }
	started := func(k *ringKey) bool { return !l.now.Before(k.notBefore) }
	for _, ok := range []func(*ringKey) bool{
		func(k *ringKey) bool { return wanted(k) && started(k) },
		started,
		wanted,
	} {
		if k := l.first(func(k *ringKey) bool { return ok(k) && l.lasts(k) }); k != nil {
			return k
		}
	}
	return nil
}

// first is the newest key that fits. For the purpose subject it is the oldest: a
// key that another node added must not change the sub of anybody.
func (l life) first(fits func(*ringKey) bool) *ringKey {
	for i := range l.keys {
		k := l.keys[i]
		if l.cfg.Purpose == purposeSubject {
			k = l.keys[len(l.keys)-1-i]
		}
		if fits(k) {
			return k
		}
	}
	return nil
}

// match finds a key that still verifies.
func (l life) match(match func(*ringKey) bool) *ringKey {
	return l.first(func(k *ringKey) bool { return match(k) && l.alive(k) })
}

// due tells whether a new key must be made: the wanted algorithm has none that
// may sign now or soon, or its newest is too old.
func (l life) due() bool {
	newest := l.first(func(k *ringKey) bool { return k.alg == l.cfg.Alg && l.lasts(k) })
	return newest == nil || l.cfg.Rotation > 0 && l.now.Sub(newest.since()) >= l.cfg.Rotation
}

// since is when a key was made: created is later than that where a clock that was
// ahead had made the one before it.
func (k *ringKey) since() time.Time {
	if k.notBefore.Before(k.created) {
		return k.notBefore
	}
	return k.created
}

// lasts: what is made with the key now expires before the key does, and no newer
// one has taken over.
func (l life) lasts(k *ringKey) bool {
	if !k.retire.IsZero() && !l.now.Before(k.retire.Add(-l.cfg.Retain)) {
		return false
	}
	next := l.successor(k)
	return next == nil || l.now.Before(next.notBefore)
}

// alive: a key verifies until the last token made with it has expired.
func (l life) alive(k *ringKey) bool {
	end := l.end(k)
	return end.IsZero() || l.now.Before(end)
}

// end is when a key ceases to verify; zero as long as that is not known. Another
// node may learn of the successor late.
func (l life) end(k *ringKey) time.Time {
	next := l.successor(k)
	if next == nil {
		return k.retire
	}
	end := next.notBefore.Add(l.cfg.Retain + Overlap)
	if !k.retire.IsZero() && k.retire.Before(end) {
		return k.retire
	}
	return end
}

// successor is the next newer key that takes over from this one. A key that was
// retired before its time never did. While two nodes are set to different
// algorithms each signs with its own, so only a key without an end of its own
// gives way to another algorithm; subject keys give way to none.
func (l life) successor(k *ringKey) *ringKey {
	if l.cfg.Purpose == purposeSubject {
		return nil
	}
	var next *ringKey
	for _, other := range l.keys {
		if other == k {
			break
		}
		if !other.neverStarted() && (k.retire.IsZero() || other.alg == k.alg) {
			next = other
		}
	}
	return next
}

func (k *ringKey) neverStarted() bool { return !k.retire.IsZero() && k.retire.Before(k.notBefore) }

// pending is the key of the wanted algorithm that waits for its time.
func (l life) pending() *ringKey {
	return l.first(func(k *ringKey) bool {
		return k.alg == l.cfg.Alg && l.now.Before(k.notBefore) && l.lasts(k)
	})
}

// retirement is when a key that starts now-or-later may go at last: it signs for
// Rotation, its successor is published for the overlap, and may be made that much
// late if nobody asked for a key in time. Without rotation it is not known.
func retirement(cfg *RingConfig, notBefore time.Time) time.Time {
	if cfg.Rotation <= 0 {
		return time.Time{}
	}
	return notBefore.Add(cfg.Rotation + 2*Overlap + cfg.Retain)
}
