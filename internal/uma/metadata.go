package uma

import (
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// documentAge is how long metadata and keys may be cached, in seconds.
const documentAge = 300

func (s *Server) endpoint(name string) string {
	u := *s.issuer
	u.Path = s.base + name
	return u.String()
}

// metadata is the document of UMA Grant §2 and UMA Fed §2, which is also that
// of RFC 8414. Only what is there appears (CONFORMANCE OD-13).
func (s *Server) metadata() oauth.Metadata {
	m := oauth.Metadata{
		Issuer:                            s.cfg.Issuer,
		TokenEndpoint:                     s.endpoint("token"),
		JWKSURI:                           s.endpoint("jwks"),
		PermissionEndpoint:                s.endpoint("permission"),
		ResourceRegistrationEndpoint:      s.endpoint("resource"),
		UMAProfilesSupported:              []string{oauth.ProfileURI},
		GrantTypesSupported:               []string{oauth.GrantUMATicket, oauth.GrantClientCredentials},
		ResponseTypesSupported:            []string{},
		ScopesSupported:                   []string{oauth.ScopeUMAProtection},
		TokenEndpointAuthMethodsSupported: []string{oauth.AuthNone, oauth.AuthSecretBasic, oauth.AuthSecretPost},
		IntrospectionEndpoint:             s.endpoint("introspect"),
		RevocationEndpoint:                s.endpoint("revoke"),
		DPoPSigningAlgValuesSupported:     dpop.Algs(),
		OPTermsOfService:                  s.cfg.Terms,
	}
	s.describeClients(&m)
	// RFC 8414 §2: types of access tokens may stand here, too; it is the PAT.
	m.IntrospectionEndpointAuthMethodsSupported = []string{"Bearer"}
	m.IntrospectionSigningAlgValuesSupported = []string{s.cfg.IntrospectionKeys.Alg()}
	m.RevocationEndpointAuthMethodsSupported = m.TokenEndpointAuthMethodsSupported
	// RFC 8414 §2: it MUST be there if private_key_jwt is among them.
	m.RevocationEndpointAuthSigningAlgs = m.TokenEndpointAuthSigningAlgs
	if s.cfg.RefreshLifetime > 0 {
		m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantRefreshToken)
	}
	return m
}

func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request, _ caller) {
	oauth.WriteDocument(w, documentAge, s.metadata())
}

func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request, _ caller) {
	var keys []jose.PublicKey
	for _, ring := range []*jose.Ring{s.cfg.RPTKeys, s.cfg.IntrospectionKeys, s.cfg.StatusKeys} {
		more, err := ring.Public(r.Context())
		if err != nil {
			s.fail(w, s.unavailable("signing keys", err))
			return
		}
		keys = append(keys, more...)
	}
	set, err := jose.MarshalJWKS(keys...)
	if err != nil {
		s.fail(w, err)
		return
	}
	oauth.WriteDocument(w, documentAge, set)
}
