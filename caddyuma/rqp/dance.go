package rqp

import (
	"context"
	"errors"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// dance is steps 3 to 7. Everything that can stop it is asked before the user's
// identity is touched.
func (c *Client) dance(ctx context.Context, called *url.URL, ch challenge) (rpt, error) {
	t, err := c.target(ctx, called, ch.asURI)
	if err != nil {
		return rpt{}, at(2, "checking the resource server's challenge", err)
	}
	doc, err := c.metadata(ctx, ch.asURI, oauth.WellKnownUMA2, called)
	if err != nil {
		return rpt{}, at(2, "checking the authorization server", err)
	}
	ask, err := endpoint(doc, "token_endpoint", doc.TokenEndpoint)
	if err != nil {
		return rpt{}, at(2, "checking the authorization server", err)
	}
	sts, err := c.stsEndpoint(ctx)
	if err != nil {
		return rpt{}, at(4, "asking the provider for its metadata", err)
	}
	if sts.String() == ask.String() { // the ticket would reach the STS (CONFORMANCE CA-09)
		return rpt{}, at(2, "checking the authorization server", untrusted("", "its token endpoint is that of the user's STS"))
	}
	return c.rounds(ctx, called, sts, ask, t, ch.ticket)
}

func (c *Client) stsEndpoint(ctx context.Context) (*url.URL, error) {
	if c.cfg.STS == "" || c.cfg.AccessToken == nil {
		return nil, noIdentity()
	}
	doc, err := c.metadata(ctx, c.cfg.STS, oauth.WellKnownOpenID, nil)
	if err != nil {
		return nil, err
	}
	return endpoint(doc, "token_endpoint", doc.TokenEndpoint)
}

// rounds presents the ticket, and its successors while the server says that a
// claims token is missing: it may not have reached the user's provider.
func (c *Client) rounds(ctx context.Context, called, sts, ask *url.URL, t *target, ticket string) (rpt, error) {
	got, ticket, err := c.recall(ctx, called, ask, t, ticket)
	if err != nil {
		return rpt{}, at(6, nameGrant, err)
	}
	if got.token != "" {
		return got, nil
	}
	for round := 1; ; round++ {
		p, err := c.exchange(ctx, sts, t, ticket)
		if err != nil {
			return rpt{}, at(4, nameExchange, err)
		}
		got, next, err := c.grant(ctx, ask, called, t, ticket, p)
		if err == nil {
			return got, nil
		}
		c.traceRefusal(ask, err, next)
		if next == "" || round >= c.cfg.MaxRounds {
			return rpt{}, at(6, nameGrant, err)
		}
		ticket = next
	}
}

// traceRefusal is step 7 where the authorization server says no.
func (c *Client) traceRefusal(ask *url.URL, err error, next string) {
	e, ok := errors.AsType[*StepError](err)
	switch {
	case !ok || e.Status == 0 || e.Code == CodeBadAnswer:
	case next != "":
		c.trace(7, "%s -> client: %s, new ticket %s", ask.Host, e.Code, short(next))
	default:
		c.trace(7, "%s -> client: %s", ask.Host, e.Code)
	}
}
