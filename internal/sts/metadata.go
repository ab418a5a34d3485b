package sts

import (
	"encoding/json"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// How long public documents may be cached, in seconds. New keys are published
// long before they sign (internal/jose).
const (
	metadataMaxAge = 3600
	jwksMaxAge     = 300
	fingerMaxAge   = 3600
)

// describe writes the metadata document once: all spellings of its URL get the
// same bytes (CONFORMANCE A21, OD-12), and only what is on appears (OD-13). Beside or
// in front of a provider there is no authorization_endpoint (OD-10): RFC 8414 §2
// wants none where no grant uses it, and that of the provider answers in the name of
// another issuer, which is the mix-up that RFC 9207 is about.
func (s *Server) describe(extend func(*oauth.Metadata)) (err error) {
	m := oauth.Metadata{
		Issuer:                        s.issuer,
		TokenEndpoint:                 s.endpoint,
		JWKSURI:                       s.url("jwks"),
		GrantTypesSupported:           []string{oauth.GrantTokenExchange},
		ResponseTypesSupported:        []string{}, // CONFORMANCE A22: present even when empty
		DPoPSigningAlgValuesSupported: dpop.Algs(),
	}
	s.describeClients(&m)
	if extend != nil {
		extend(&m)
	}
	s.document, err = json.Marshal(m)
	return err
}

// metadata answers RFC 8414 §3 and OpenID Connect Discovery §4.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	if s.allow(w, r, http.MethodGet, http.MethodHead) {
		oauth.WriteDocument(w, metadataMaxAge, s.document)
	}
}
