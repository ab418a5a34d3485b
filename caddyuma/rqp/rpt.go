package rqp

import (
	"net/url"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	maxRPTs = 256
	// maxRPTAge is how long an RPT without expires_in is kept.
	maxRPTAge = 5 * time.Minute
	// rptMargin: an RPT that is about to expire is not sent.
	rptMargin = 5 * time.Second
)

// rpt is a token for one prefix and of one authorization server.
type rpt struct {
	token  string
	asURI  string
	prefix *url.URL
	until  time.Time
	key    *dpop.Signer // what it is bound to; nil = a bearer token
}

// rptCache keeps the newest RPT per (origin, prefix, authorization server). An
// RPT is given out only for URLs that its prefix covers (CONFORMANCE CA-46).
type rptCache struct {
	now  func() time.Time
	mu   sync.Mutex
	list []rpt
}

// find gives the live RPT with the longest prefix that covers u.
func (c *rptCache) find(u *url.URL) rpt {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best rpt
	for _, r := range c.list {
		if oauth.Covers(r.prefix, u) && c.now().Before(r.until) &&
			(best.prefix == nil || len(r.prefix.Path) > len(best.prefix.Path)) {
			best = r
		}
	}
	return best
}

// put replaces the older RPT of the same place (UMA Grant §3.3.5.1: the client
// drops it; CONFORMANCE UG-40).
func (c *rptCache) put(n rpt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.list[:0]
	for _, r := range c.list {
		if c.now().Before(r.until) && (r.asURI != n.asURI || r.prefix.String() != n.prefix.String()) {
			kept = append(kept, r)
		}
	}
	if len(kept) >= maxRPTs {
		kept = kept[1:]
	}
	c.list = append(kept, n)
}

// drop forgets an RPT that was refused.
func (c *rptCache) drop(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.list[:0]
	for _, r := range c.list {
		if r.token != token {
			kept = append(kept, r)
		}
	}
	c.list = kept
}
