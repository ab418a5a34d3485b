package clientauth

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Window remembers which assertions were used (CONFORMANCE OA-18), in two parts:
// what strangers use up is not taken from the clients that somebody here
// registered. Several Authenticators, also of successive configurations, may
// share one.
type Window struct{ registered, strangers *window }

// NewWindow makes a Window for size assertions of either part, 100,000 by
// default. One client may use a tenth of them.
func NewWindow(size int) *Window {
	if size <= 0 {
		size = 100_000
	}
	return &Window{registered: newWindow(size), strangers: newWindow(size)}
}

// window remembers the jti of assertions until they expire.
// It has a fixed size and forgets nothing that is still good: when it is full,
// or one client's part of it, further assertions are refused. Only assertions
// with a good signature get here.
type window struct {
	size, perClient int

	mu       sync.Mutex
	byClient map[string]map[[sha256.Size]byte]time.Time
	total    int
	swept    time.Time
	gone     time.Time // the latest end of those that were forgotten
}

// sweepEvery is how often expired ones are looked for.
const sweepEvery = time.Minute

func newWindow(size int) *window {
	return &window{size: size, perClient: max(size/10, 1), byClient: map[string]map[[sha256.Size]byte]time.Time{}}
}

var errFull = errors.New("too many client assertions are in use")

// use tells whether a jti is new, and remembers it. Of many who present one at
// once exactly one hears yes.
func (w *window) use(client, jti string, until, now time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweep(now)
	id := sha256.Sum256([]byte(jti))
	mine := w.byClient[client]
	end, known := mine[id]
	if known && now.Before(end) || !until.After(w.gone) {
		// A clock that is set back must not open what was forgotten.
		return false, nil
	}
	if known {
		w.gone = later(w.gone, end)
		mine[id] = until
		return true, nil
	}
	if w.total >= w.size || len(mine) >= w.perClient {
		return false, oauth.Unavailable(errFull)
	}
	if mine == nil {
		mine = map[[sha256.Size]byte]time.Time{}
		w.byClient[client] = mine
	}
	mine[id] = until
	w.total++
	return true, nil
}

// sweep forgets what has expired. A clock that was set back is no reason to wait
// until it has caught up.
func (w *window) sweep(now time.Time) {
	if since := now.Sub(w.swept); since >= 0 && since < sweepEvery {
		return
	}
	w.swept = now
	for client, mine := range w.byClient {
		for id, end := range mine {
			if !now.Before(end) {
				delete(mine, id)
				w.total--
				w.gone = later(w.gone, end)
			}
		}
		if len(mine) == 0 {
			delete(w.byClient, client)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
