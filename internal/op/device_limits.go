package op

import (
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
)

// Limits of the device flow, in ten minutes (the life of a code): how many devices
// may wait per source and per client, and how many codes a user and a source may
// try (RFC 8628 §5.1: a stranger who types codes must not hit one). That of a
// client leaves half of the slots to others; the id of a public one is public, so
// it must not be easy for a few strangers to use it up.
const (
	devicesPerSource = 20
	devicesPerClient = 2048
	codesPerUser     = 10
)

// How often a device may ask (RFC 8628 §3.5).
const (
	pollInterval = 5 * time.Second
	pollSlack    = time.Second // the way of the request takes its time
	maxPolls     = 10_000
)

// devices bounds the device flow. It is the memory of one node; what may happen
// once only is decided in the store.
type devices struct {
	sources, clients, guesses *limit.Limiter

	mu    sync.Mutex
	polls map[string]time.Time // when a device may ask again
}

func newDevices(now func() time.Time) *devices {
	return &devices{
		sources: limit.New(devicesPerSource, deviceLife, 100_000, now),
		clients: limit.New(devicesPerClient, deviceLife, 10_000, now),
		guesses: limit.New(codesPerUser, deviceLife, 100_000, now),
		polls:   make(map[string]time.Time),
	}
}

// tooFast tells whether a device asks too early. Asking too early changes nothing:
// whoever is a little hasty each time would never get an answer otherwise, and who
// is very hasty gets one in five seconds, too. Only codes of ours come here; when
// there are very many the table starts anew.
func (d *devices) tooFast(code string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.polls) >= maxPolls {
		clear(d.polls)
	}
	if next, known := d.polls[code]; known && now.Before(next) {
		return true
	}
	d.polls[code] = now.Add(pollInterval - pollSlack)
	return false
}
