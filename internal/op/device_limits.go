package op

import (
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
)

// Limits of the device flow, in ten minutes (the life of a code): how many devices
// may wait per source and per client, and how many codes a user and a source may
// try (RFC 8628 §5.1: a stranger who types codes must not hit one).
const (
	devicesPerSource = 20
	devicesPerClient = 512
	codesPerUser     = 10
)

// How often a device may ask, and how much longer it waits after each time that
// it asked too early (RFC 8628 §3.5).
const (
	pollInterval = 5 * time.Second
	pollSlack    = time.Second // the way of the request takes its time
	maxInterval  = time.Minute
	maxPolls     = 10_000
)

// devices bounds the device flow. It is the memory of one node; what may happen
// once only is decided in the store.
type devices struct {
	sources, clients, guesses *limit.Limiter

	mu    sync.Mutex
	polls map[string]pace
}

// pace is how a device may ask.
type pace struct {
	next     time.Time
	interval time.Duration
}

func newDevices(now func() time.Time) *devices {
	return &devices{
		sources: limit.New(devicesPerSource, deviceLife, 100_000, now),
		clients: limit.New(devicesPerClient, deviceLife, 10_000, now),
		guesses: limit.New(codesPerUser, deviceLife, 100_000, now),
		polls:   make(map[string]pace),
	}
}

// tooFast tells whether a device asks too early, and makes its interval longer
// then. Only codes of ours come here; when there are very many the table starts
// anew.
func (d *devices) tooFast(code string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.polls) >= maxPolls {
		clear(d.polls)
	}
	at, known := d.polls[code]
	if !known {
		at.interval = pollInterval
	}
	early := known && now.Before(at.next)
	if early {
		at.interval = min(at.interval+pollInterval, maxInterval)
	}
	at.next = now.Add(at.interval - pollSlack)
	d.polls[code] = at
	return early
}
