package uma

import (
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// keptKeySets is how many key sets at URIs are kept, of either kind of clients.
const keptKeySets = 1000

// authenticators makes what authenticates clients.
func (s *Server) authenticators() (err error) {
	if s.documents, err = newDocuments(s.cfg, s.fetchDocument); err != nil {
		return err
	}
	used := s.cfg.Assertions
	if used == nil {
		used = clientauth.NewWindow(0)
	}
	cfg := clientauth.Config{
		Issuer: s.cfg.Issuer, Leeway: s.cfg.Leeway, Used: used, Store: s.cfg.Store, Tenant: s.tenant,
		BindAll: s.demandsCertificates(), Now: s.cfg.Now,
	}
	cfg.Keys = s.keySets()
	if s.known, err = clientauth.NewAuthenticator(cfg); err != nil {
		return err
	}
	cfg.Keys, cfg.Strangers = s.keySets(), true
	s.strangers, err = clientauth.NewAuthenticator(cfg)
	return err
}

// keySets is a cache of key sets at URIs: at most one request per URI at a time
// and per minute, and less if it fails.
func (s *Server) keySets() *jose.Cache {
	return jose.NewCache(jose.CacheConfig{
		Fetch: s.fetchKeys, FailurePause: pauseAfter, Size: keptKeySets, Now: s.cfg.Now,
	})
}

// demandsCertificates: where a token must be bound to a certificate, the one that
// a client shows is taken, whoever vouches for it (RFC 8705 §4). Elsewhere a
// certificate may mean something else, such as that of a proxy in front of us.
func (s *Server) demandsCertificates() bool {
	return slices.ContainsFunc(s.cfg.ResourceServers, func(rs ResourceServer) bool { return rs.Require == BindMTLS }) ||
		slices.ContainsFunc(s.cfg.Policies, func(p Policy) bool { return p.Require == BindMTLS })
}

// describeClients writes into the metadata what clients may do, and nothing that
// none of them can (CONFORMANCE OD-13).
func (s *Server) describeClients(m *oauth.Metadata) {
	var keys, subject, selfSigned bool
	bound := s.demandsCertificates() || s.registers() || s.documents != nil
	for _, c := range s.clients {
		keys = keys || c.HasKeys()
		subject = subject || c.TLSSubject != ""
		selfSigned = selfSigned || c.TLSSelfSigned
		bound = bound || c.TLSBound || c.TLSSubject != "" || c.TLSSelfSigned
	}
	m.TLSBoundTokens = bound
	m.ClientDocuments = s.documents != nil
	if keys || s.registers() || s.documents != nil {
		m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, oauth.AuthPrivateKeyJWT)
		m.TokenEndpointAuthSigningAlgs = jose.DefaultAlgs()
	}
	if subject || s.registers() {
		m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, oauth.AuthTLS)
	}
	if selfSigned || s.registers() {
		m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, oauth.AuthSelfSignedTLS)
	}
	if s.registers() {
		m.RegistrationEndpoint = s.endpoint("register")
	}
}
