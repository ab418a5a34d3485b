package upstream

import (
	"sync"
	"time"
)

// outage remembers, for failurePause, the host that could not be reached or did
// not answer in time. Bad answers are not remembered: a token that makes a
// provider stumble must not lock out the tokens of others.
type outage struct {
	mu    sync.Mutex
	host  string
	since time.Time
}

func (o *outage) begin(host string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.host, o.since = host, now
}

func (o *outage) lasts(host string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.host == host && now.Sub(o.since) < failurePause
}
