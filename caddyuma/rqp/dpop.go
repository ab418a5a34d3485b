package rqp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	maxKeys   = 64
	maxNonces = 256
	maxNonce  = 1 << 10
)

// hintDPoP is the cure where a server wants proofs and gets none.
const hintDPoP = "--dpop (Config.DPoP): only tokens that are bound to a key are taken there"

// provers are the keys of a Client, one for each authorization server and what
// its RPTs open: servers that have nothing to do with each other cannot recognize
// the user by his key. They are in memory only.
type provers struct {
	mu      sync.Mutex
	signers map[string]*dpop.Signer
}

// prover gives the key for an authorization server; nil without DPoP.
func (c *Client) prover(issuer string) (*dpop.Signer, error) {
	if !c.cfg.DPoP {
		return nil, nil
	}
	p := &c.provers
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.signers[issuer]; s != nil {
		return s, nil
	}
	key, err := dpop.NewKey()
	if err != nil {
		return nil, err
	}
	signer, err := dpop.NewSigner(key, c.cfg.Now)
	if err != nil {
		return nil, err
	}
	if p.signers == nil || len(p.signers) >= maxKeys { // RPTs have their own
		p.signers = map[string]*dpop.Signer{}
	}
	p.signers[issuer] = signer
	return signer, nil
}

// nonces are the newest of each server (RFC 9449 §8, §9), by the URL of a token
// endpoint or the origin of resources.
type nonces struct {
	mu     sync.Mutex
	newest map[string]string
}

func (n *nonces) get(server string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newest[server]
}

// learn keeps the nonce of an answer, and tells whether there is a new one.
func (n *nonces) learn(server string, h http.Header) bool {
	values := h.Values(oauth.HeaderDPoPNonce)
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxNonce {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.newest[server] == values[0]
	if n.newest == nil || len(n.newest) >= maxNonces {
		n.newest = map[string]string{}
	}
	n.newest[server] = values[0]
	return !known
}

// postProven is post with a proof of the key. A server that wants a nonce is asked
// once more: that error comes before it looks at anything (CONFORMANCE A2, DP-05).
func (c *Client) postProven(ctx context.Context, client *http.Client, u *url.URL, form url.Values, creds credentials, key *dpop.Signer) (*answer, error) {
	if key == nil {
		return post(ctx, client, u, form, creds)
	}
	for again := false; ; again = true {
		req, err := newPost(ctx, u, form, creds)
		if err != nil {
			return nil, err
		}
		proof, err := key.Prove(req.Method, u.String(), "", c.nonces.get(u.String()))
		if err != nil {
			return nil, err
		}
		req.Header.Set(oauth.HeaderDPoP, proof)
		a, err := read(client, req)
		if err != nil {
			return nil, err
		}
		if fresh := c.nonces.learn(u.String(), a.header); again || !fresh || !a.wantsNonce() {
			return a, nil
		}
	}
}

// wantsNonce: RFC 9449 §8.
func (a *answer) wantsNonce() bool {
	var r refusal
	return a.status == http.StatusBadRequest && a.isJSON() && oauth.DecodeObject(a.body, &r) == nil &&
		r.Code == oauth.CodeUseDPoPNonce
}

// proofRefused names the cure for a server that wants a proof, or another one.
func (c *Client) proofRefused(err error) error {
	if e, ok := errors.AsType[*StepError](err); ok && e.Code == oauth.CodeInvalidDPoPProof {
		e.Hint = hintDPoP
		if c.cfg.DPoP {
			e.Hint = "whether the clock of this machine is right"
		}
	}
	return err
}

// authorize puts an RPT into a request: with a proof for this request if it is
// bound to a key (RFC 9449 §7.1), else as a bearer token.
func (c *Client) authorize(req *http.Request, r rpt) error {
	switch {
	case r.token == "":
		return nil
	case r.key == nil:
		req.Header.Set("Authorization", "Bearer "+r.token)
		return nil
	}
	proof, err := r.key.Prove(method(req), req.URL.String(), r.token, c.nonces.get(originOf(req.URL)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", oauth.SchemeDPoP+" "+r.token)
	req.Header.Set(oauth.HeaderDPoP, proof)
	return nil
}

// challengedDPoP finds a DPoP challenge in a 401.
func challengedDPoP(resp *http.Response) (ch oauth.Challenge, ok bool) {
	if resp.StatusCode != http.StatusUnauthorized {
		return oauth.Challenge{}, false
	}
	for _, line := range resp.Header.Values("WWW-Authenticate") {
		list, err := oauth.ParseChallenges([]string{line})
		if err != nil {
			continue
		}
		for _, one := range list {
			if strings.EqualFold(one.Scheme, oauth.SchemeDPoP) {
				return one, true
			}
		}
	}
	return oauth.Challenge{}, false
}

// needsNonce tells whether the same request with a nonce that came with the answer
// may do (RFC 9449 §9).
func (c *Client) needsNonce(req *http.Request, resp *http.Response, r rpt) bool {
	if r.key == nil {
		return false
	}
	fresh := c.nonces.learn(originOf(req.URL), resp.Header)
	ch, ok := challengedDPoP(resp)
	return ok && fresh && ch.Get("error") == oauth.CodeUseDPoPNonce
}
