package op

import (
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// provenKey is the thumbprint of the key that a token request proves to hold, ""
// if it has no proof (RFC 9449 §5). The URI is the configured one, never that of
// the request (CONFORMANCE DP-01).
func (p *Provider) provenKey(r *http.Request, client clientauth.Client) (string, error) {
	if !dpop.Present(r.Header) {
		if client.DPoPBound { // RFC 9449 §5.2
			return "", oauth.Errorf(oauth.CodeInvalidDPoPProof, "this client must send a DPoP proof")
		}
		return "", nil
	}
	proof, err := p.proofs.Verify(r.Context(), r.Header, dpop.Expect{
		Method: r.Method, URI: p.url("token"), Source: p.source(r),
	})
	if err == nil {
		return proof.JKT, nil
	}
	return "", p.proofError(err)
}

func (p *Provider) proofError(err error) *oauth.Error {
	if refused, ok := dpop.Refused(err); ok {
		return refused
	}
	return p.unavailable("memory of DPoP proofs", err)
}
