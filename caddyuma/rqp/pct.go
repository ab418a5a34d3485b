package rqp

import (
	"context"
	"crypto/sha256"
	"net/url"
	"sync"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxPCTs is how many authorization servers are remembered for their PCTs.
const maxPCTs = 64

// pcts are the persisted claims tokens (UMA Grant §3.3.5), the newest of each
// authorization server. They are in memory only, go to nobody else (CONFORMANCE
// UG-56) and are not shown in traces, not even in part.
type pcts struct {
	mu sync.Mutex
	of map[string]pct // by issuer
}

type pct struct {
	token string
	// user is the hash of the access token that stood behind the claims.
	user [sha256.Size]byte
}

func (p *pcts) get(issuer string) (pct, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.of[issuer]
	return kept, ok
}

// put replaces the older one (UMA Grant §3.3.5).
func (p *pcts) put(issuer string, n pct) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil || len(p.of) >= maxPCTs {
		p.of = map[string]pct{}
	}
	p.of[issuer] = n
}

func (p *pcts) drop(issuer string, old pct) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[issuer] == old {
		delete(p.of, issuer)
	}
}

// proof is what stands behind a ticket: a claims token or a PCT, and whose it is.
type proof struct {
	claims, pct string
	user        [sha256.Size]byte
}

// keptPCT gives the PCT of an authorization server, if the same user is there. His
// access token says so: with another one he may be another (CONFORMANCE UG-19).
func (c *Client) keptPCT(ctx context.Context, issuer string) (pct, bool) {
	kept, ok := c.pcts.get(issuer)
	if !ok {
		return pct{}, false
	}
	token, err := c.accessToken(ctx)
	if err != nil || sha256.Sum256([]byte(token)) != kept.user {
		c.pcts.drop(issuer, kept)
		return pct{}, false
	}
	return kept, true
}

// recall presents the ticket with a kept PCT (UMA Grant §3.3.1). Without one, or if
// the server wants a claims token besides, there is a ticket to go on with.
func (c *Client) recall(ctx context.Context, called, ask *url.URL, t *target, ticket string) (got rpt, next string, err error) {
	kept, ok := c.keptPCT(ctx, t.asURI)
	if !ok {
		return rpt{}, ticket, nil
	}
	got, next, err = c.grant(ctx, ask, called, t, ticket, proof{pct: kept.token, user: kept.user})
	if err == nil {
		return got, "", nil
	}
	c.pcts.drop(t.asURI, kept) // it did not do
	c.traceRefusal(ask, err, next)
	if next != "" {
		err = nil
	}
	return rpt{}, next, err
}

// keepPCT keeps what came with an RPT.
func (c *Client) keepPCT(issuer string, answer *oauth.TokenResponse, p proof) {
	if isToken(answer.PCT) && len(answer.PCT) <= maxTicket {
		c.pcts.put(issuer, pct{answer.PCT, p.user})
	}
}
