package rqp

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const nameExchange = "exchanging the access token for a claims token"

// exchange is steps 3 to 5: a claims token for this ticket and resource. The
// ticket itself stays here (CONFORMANCE CA-09).
func (c *Client) exchange(ctx context.Context, to *url.URL, t *target, ticket string) (proof, error) {
	hash := oauth.TicketChallenge(ticket)
	c.trace(3, "client: ticket_challenge %s of ticket %s", hash, short(ticket))
	token, err := c.accessToken(ctx)
	if err != nil {
		return proof{}, err
	}
	c.trace(4, "client -> %s: token exchange for resource %q, as_uri %s, subject_token %s", to.Host, plain(t.audience, 200), t.asURI, short(token))
	form := url.Values{ // CONFORMANCE CA-10, CA-47
		"grant_type":           {oauth.GrantTokenExchange},
		"resource":             {t.audience},
		"ticket_challenge":     {hash},
		"as_uri":               {t.asURI},
		"subject_token":        {token},
		"subject_token_type":   {oauth.TokenTypeAccessToken},
		"requested_token_type": {oauth.TokenTypeJWT},
	}
	key, err := c.prover(t.asURI) // the AS will want a proof of the same one (CONFORMANCE DP-07)
	if err != nil {
		return proof{}, err
	}
	a, err := c.postProven(ctx, c.net.pick(to, nil), to, form, credentials{c.cfg.STSClientID, c.cfg.STSClientSecret}, key)
	if err != nil {
		return proof{}, err
	}
	claims, err := claimsToken(a)
	if err != nil {
		return proof{}, c.proofRefused(err)
	}
	c.trace(5, "%s -> client: claims token %s", to.Host, short(claims))
	return proof{claims: claims, user: sha256.Sum256([]byte(token))}, nil
}

func (c *Client) accessToken(ctx context.Context) (string, error) {
	if c.cfg.AccessToken == nil {
		return "", noIdentity()
	}
	token, err := c.cfg.AccessToken(ctx)
	var known *StepError
	if err != nil && !errors.As(err, &known) {
		return "", &StepError{Code: CodeNoIdentity, Err: err}
	}
	if err != nil {
		return "", err
	}
	if !isToken(token) {
		return "", &StepError{Code: CodeNoIdentity, Description: "the access token is empty or has characters that no token has"}
	}
	return token, nil
}

func noIdentity() *StepError {
	return &StepError{
		Code: CodeNoIdentity, Description: "the resource is protected, and there is nothing to identify a user with",
		Hint: "--user EMAIL, or --access-token @file with --sts ISSUER",
	}
}

// claimsToken reads the answer of the STS (RFC 8693 §2.2.1).
func claimsToken(a *answer) (string, error) {
	if a.status != http.StatusOK {
		e, r := a.refused()
		e.ConsentURI = consentURI(a, e, r)
		e.Hint = hintOfSTS(e)
		return "", e
	}
	var t oauth.TokenResponse
	if err := a.decode(&t); err != nil {
		return "", err
	}
	if t.IssuedTokenType != oauth.TokenTypeJWT || !isToken(t.AccessToken) {
		return "", badAnswer(a.from, a.status, "no claims token in it")
	}
	return t.AccessToken, nil
}

// consentURI is where the user can agree. The provider speaks for its own origin
// only: elsewhere the page could be anybody's.
func consentURI(a *answer, e *StepError, r refusal) string {
	u, err := url.Parse(r.ConsentURI)
	if e.Code != oauth.CodeConsentRequired || err != nil || u.Scheme != "https" || u.User != nil ||
		!oauth.SameOrigin(u, a.from) || len(r.ConsentURI) > maxTicket || plain(r.ConsentURI, maxTicket) != r.ConsentURI {
		return ""
	}
	return r.ConsentURI
}

func hintOfSTS(e *StepError) string {
	switch e.Code {
	case oauth.CodeConsentRequired:
		if e.ConsentURI != "" {
			return "opening " + e.ConsentURI + " to agree, then the request again"
		}
		return "agreeing at your provider, then the request again"
	case oauth.CodeInvalidTarget:
		return "asking the provider to list this resource among its targets"
	case oauth.CodeInvalidClient, oauth.CodeUnauthorizedClient:
		return "another client id, or registering this one at the provider"
	case oauth.CodeInvalidRequest, oauth.CodeInvalidGrant:
		return "logging in again: the access token may have expired or be of another client"
	}
	return e.Hint
}

// isToken: RFC 6750 §2.1, b64token. Anything else could end a header field.
func isToken(s string) bool {
	if s == "" || len(s) > maxAnswer {
		return false
	}
	rest := strings.TrimRight(s, "=")
	return rest != "" && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/", r)
	})
}
