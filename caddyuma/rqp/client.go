package rqp

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Do sends a request and, if it meets a UMA challenge, does the nine steps and
// gives the answer to the second request. Redirects are not followed. Every
// answer that is no UMA challenge is given as it is. Errors are *StepError.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return nil, errors.New("rqp: the request has no URL")
	}
	if len(c.allowed) > 0 && !c.allows(req.URL) {
		return c.plain(req, c.net.near.Do)
	}
	return c.run(req, c.net.near.Do)
}

func (c *Client) allows(u *url.URL) bool {
	return slices.ContainsFunc(c.allowed, func(o *url.URL) bool { return oauth.SameOrigin(o, u) })
}

// plain sends a request for somebody who learns nothing of the user.
func (c *Client) plain(req *http.Request, send sender) (*http.Response, error) {
	resp, err := send(req)
	if err != nil {
		return nil, at(1, nameRequest, unreachable(req.URL, err))
	}
	return resp, nil
}

type sender func(*http.Request) (*http.Response, error)

const (
	nameRequest = "calling the resource"
	nameRepeat  = "calling the resource with the RPT"
)

// run does the dance around a request to an origin that may be shown who the
// user is. A request with credentials of its own is not touched; over http an
// RPT would be public.
func (c *Client) run(req *http.Request, send sender) (*http.Response, error) {
	if req.Header.Get("Authorization") != "" || req.URL.User != nil || req.URL.Scheme != "https" {
		return c.plain(req, send)
	}
	again, err := newReplay(req, c.cfg.MaxBody)
	if err != nil {
		return nil, &StepError{Step: 1, Name: nameRequest, Code: CodeUnreachable, Description: "the body of the request cannot be read", Err: err}
	}
	known := c.rpts.find(req.URL)
	c.trace(1, "client -> %s: %s %s%s", req.URL.Host, method(req), where(req.URL), withRPT(known))
	resp, err := c.attempt(again, known, send)
	if err != nil {
		return nil, at(1, nameRequest, err)
	}
	ch, asked, err := umaChallenge(resp)
	if err == nil && !asked {
		c.traceAnswer(2, known, resp)
		return resp, nil
	}
	drain(resp)
	if known.token != "" { // UMA Grant §3.3.5.1: its permissions did not do
		c.rpts.drop(known.token)
	}
	if err == nil && again.once {
		err = untrusted("GetBody on the request, or a smaller body", "the body of the request is too large to be sent a second time")
	}
	if err != nil {
		return nil, at(2, "reading the resource server's challenge", err)
	}
	c.trace(2, "%s -> client: 401, as_uri %s, ticket %s", req.URL.Host, ch.asURI, short(ch.ticket))
	return c.second(req, again, ch, send)
}

// second is steps 3 to 9.
func (c *Client) second(req *http.Request, again *replay, ch challenge, send sender) (*http.Response, error) {
	got, err := c.dance(req.Context(), req.URL, ch)
	if err != nil {
		return nil, err
	}
	c.trace(8, "client -> %s: %s %s with the RPT", req.URL.Host, method(req), where(req.URL))
	resp, err := c.attempt(again, got, send) //nolint:contextcheck // the request holds its context
	if err != nil {
		return nil, at(8, nameRepeat, err)
	}
	if _, asked, _ := umaChallenge(resp); asked {
		drain(resp)
		return nil, notOpened(req.URL, resp, got)
	}
	c.rpts.put(got)
	c.trace(9, "%s -> client: %d", req.URL.Host, resp.StatusCode)
	return resp, nil
}

// notOpened is the error for an RPT that was issued and is refused.
func notOpened(u *url.URL, resp *http.Response, r rpt) *StepError {
	e := &StepError{
		Step: 9, Name: nameRepeat, Who: u.Host, Status: resp.StatusCode, Code: oauth.CodeInsufficientScope,
		Description: "the RPT does not open this resource",
		Hint:        "asking the owner for the scope of this method",
	}
	if _, wanted := challengedDPoP(resp); wanted && r.key == nil {
		e.Code, e.Hint = oauth.CodeInvalidToken, hintDPoP
	}
	return e
}

// attempt sends the request with an RPT, or without one, and once more if the
// server wants a nonce in the proof.
func (c *Client) attempt(again *replay, r rpt, send sender) (*http.Response, error) {
	for repeated := false; ; repeated = true {
		req, err := again.next()
		if err != nil {
			return nil, &StepError{Code: CodeUnreachable, Description: "the body of the request cannot be had again", Err: err}
		}
		if err := c.authorize(req, r); err != nil {
			return nil, &StepError{Code: CodeUnreachable, Description: "no proof can be made", Err: err}
		}
		resp, err := send(req)
		if err != nil {
			return nil, unreachable(req.URL, err)
		}
		if resp.Request == nil {
			resp.Request = req
		}
		if !c.needsNonce(req, resp, r) || repeated || again.once {
			return resp, nil
		}
		drain(resp)
	}
}

func (c *Client) traceAnswer(number int, known rpt, resp *http.Response) {
	if known.token != "" {
		number = 9
	}
	c.trace(number, "%s -> client: %d", resp.Request.URL.Host, resp.StatusCode)
}

func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return plain(r.Method, 20)
}

func withRPT(known rpt) string {
	if known.token == "" {
		return ""
	}
	return " with an RPT that is still good"
}
