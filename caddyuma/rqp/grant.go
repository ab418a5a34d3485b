package rqp

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const nameGrant = "asking the authorization server for an RPT"

// grant is steps 6 and 7. On need_info it gives the successor ticket with the
// error.
func (c *Client) grant(ctx context.Context, to, called *url.URL, t *target, ticket string, p proof) (rpt, string, error) {
	if p.pct != "" {
		c.trace(6, "client -> %s: ticket %s, persisted claims token", to.Host, short(ticket))
	} else {
		c.trace(6, "client -> %s: ticket %s, claims token %s", to.Host, short(ticket), short(p.claims))
	}
	key, err := c.prover(t.asURI)
	if err != nil {
		return rpt{}, "", err
	}
	a, err := c.postProven(ctx, c.net.pick(to, called), to, c.grantForm(ticket, p), c.credentialsFor(t.asURI), key)
	if err != nil {
		return rpt{}, "", err
	}
	if a.status != http.StatusOK {
		next, err := grantRefused(a, ticket)
		return rpt{}, next, c.proofRefused(err)
	}
	r, err := c.readRPT(a, t, key, p)
	if err != nil {
		return rpt{}, "", err
	}
	c.trace(7, "%s -> client: RPT %s", to.Host, short(r.token))
	return r, "", nil
}

// grantForm: UMA Grant §3.3.1 (CONFORMANCE CA-23, A1).
func (c *Client) grantForm(ticket string, p proof) url.Values {
	form := url.Values{"grant_type": {oauth.GrantUMATicket}, "ticket": {ticket}}
	switch {
	case p.pct != "": // UG-18
		form.Set("pct", p.pct)
	case c.cfg.PushedClaims:
		form.Set("pushed_claims", p.claims)
	default:
		form.Set("claim_token", p.claims)
		form.Set("claim_token_format", oauth.ClaimTokenFormatJWT)
	}
	return form
}

// credentialsFor gives the secret only to servers it is meant for.
func (c *Client) credentialsFor(issuer string) credentials {
	creds := credentials{id: c.cfg.ClientID}
	if slices.Contains(c.cfg.SecretFor, issuer) || slices.Contains(c.cfg.SecretFor, "*") {
		creds.secret = c.cfg.ClientSecret
	}
	return creds
}

// readRPT reads a success (RFC 6749 §5.1). UMA allows other token types; this
// client knows how to send Bearer and DPoP. Whoever asked for a bound token takes no
// other (RFC 9449 §5).
func (c *Client) readRPT(a *answer, t *target, key *dpop.Signer, p proof) (rpt, error) {
	var answer oauth.TokenResponse
	if err := a.decode(&answer); err != nil {
		return rpt{}, err
	}
	kind := "Bearer"
	if key != nil {
		kind = oauth.SchemeDPoP
	}
	if !strings.EqualFold(answer.TokenType, kind) || !isToken(answer.AccessToken) {
		return rpt{}, badAnswer(a.from, a.status, "no RPT of type %s in it", kind)
	}
	c.keepPCT(t.asURI, &answer, p)
	age := maxRPTAge
	if answer.ExpiresIn > 0 {
		age = time.Duration(min(answer.ExpiresIn, 24*3600))*time.Second - rptMargin
	}
	return rpt{token: answer.AccessToken, asURI: t.asURI, prefix: t.prefix, until: c.cfg.Now().Add(age), key: key}, nil
}

// grantRefused reads an error of the UMA grant (UMA Grant §3.3.6). A ticket
// comes back only if another round with it makes sense.
func grantRefused(a *answer, sent string) (next string, err error) {
	e, r := a.refused()
	e.Hint = hintOfAS(e, r)
	if e.Code != oauth.CodeNeedInfo || r.Ticket == "" {
		return "", e
	}
	if r.Ticket == sent { // UMA Grant §3.3.3 (CONFORMANCE UG-28)
		return "", badAnswer(a.from, a.status, "it returned the ticket that it was given")
	}
	if len(r.Ticket) > maxTicket || !r.wantsJWT() {
		return "", e
	}
	return r.Ticket, e
}

// wantsJWT tells whether a claims token of an STS can be what is missing.
func (r refusal) wantsJWT() bool {
	for _, claims := range r.RequiredClaims {
		if len(claims.Formats) == 0 || slices.Contains(claims.Formats, oauth.ClaimTokenFormatJWT) {
			return true
		}
	}
	return len(r.RequiredClaims) == 0 && r.RedirectUser == ""
}

func hintOfAS(e *StepError, r refusal) string {
	switch {
	case e.Code == oauth.CodeRequestDenied && e.DecisionID != "":
		return "asking the owner of the resource, who finds the reason by the decision"
	case e.Code == oauth.CodeRequestDenied:
		return "asking the owner of the resource for access"
	case e.Code == oauth.CodeNeedInfo && r.RedirectUser != "":
		return "a browser: the server wants to talk to the user, which this client does not support"
	case e.Code == oauth.CodeNeedInfo:
		return "whether your e-mail domain leads to your provider (WebFinger) from where that server is, and your address is verified there"
	case e.Code == oauth.CodeInvalidGrant:
		return "the request again: the ticket was spent, has expired or is of another server"
	case e.Code == oauth.CodeInvalidClient:
		return "--client-id and --client-secret-file of a client that is registered there"
	case e.Code == oauth.CodeSlowDown:
		return "again after a pause"
	}
	return e.Hint
}
