package rs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// metadataAge is how long metadata of the authorization server counts as fresh.
const metadataAge = 15 * time.Minute

// endpoints is what we need of the authorization server's metadata.
type endpoints struct {
	token, registration, permission, keys string
	secretPost                            bool
	introspection                         string // "" = there is none
	signs                                 bool   // introspection answers
}

func (s *Server) currentEndpoints(ctx context.Context) (endpoints, error) {
	if e, ok := s.endpoints.known(s.cfg.Now); ok {
		return e, nil
	}
	return s.endpoints.get(ctx, s.cfg.Now, s.loadEndpoints)
}

// loadEndpoints reads {issuer}/.well-known/uma2-configuration (UMA Grant §2);
// for an issuer with a path RFC 8414's place is tried next (CONFORMANCE A21).
func (s *Server) loadEndpoints(ctx context.Context) (endpoints, time.Time, error) {
	e, _, err := s.fetchEndpoints(ctx)
	return e, s.cfg.Now().Add(metadataAge), err
}

// fetchEndpoints gives the answer, too, if there is one.
func (s *Server) fetchEndpoints(ctx context.Context) (endpoints, *answer, error) {
	issuer, err := oauth.ParseIssuer(s.cfg.Issuer)
	if err != nil {
		return endpoints{}, nil, err
	}
	appended, inserted := oauth.WellKnownPaths(issuer, oauth.WellKnownUMA2)
	a, err := s.document(ctx, issuer, appended)
	if err == nil && a.status == http.StatusNotFound && inserted != appended {
		a, err = s.document(ctx, issuer, inserted)
	}
	if err != nil {
		return endpoints{}, nil, err
	}
	if a.status != http.StatusOK {
		return endpoints{}, a, a.failure("reading metadata")
	}
	e, err := s.readMetadata(a.body)
	return e, a, err
}

func (s *Server) document(ctx context.Context, issuer *url.URL, path string) (*answer, error) {
	u := url.URL{Scheme: issuer.Scheme, Host: issuer.Host, Path: path}
	return s.send(ctx, request{call: CallMetadata, method: http.MethodGet, url: u.String()})
}

func (s *Server) readMetadata(body []byte) (endpoints, error) {
	var m oauth.Metadata
	if err := oauth.DecodeObject(body, &m); err != nil {
		return endpoints{}, fmt.Errorf("reading metadata: %w", err)
	}
	// RFC 8414 §3.3 (CONFORMANCE OD-14): the document must speak for the
	// issuer we asked for, or another server could hand us its endpoints.
	if m.Issuer != s.cfg.Issuer {
		return endpoints{}, fmt.Errorf("%w: %w", errFinal, &mismatchError{
			fmt.Sprintf("the metadata of %s says that the issuer is %q", s.cfg.Issuer, m.Issuer), s.cfg.Issuer, m.Issuer,
		})
	}
	if m.TokenEndpoint == "" || m.PermissionEndpoint == "" || m.ResourceRegistrationEndpoint == "" || m.JWKSURI == "" {
		return endpoints{}, errors.New("the authorization server's metadata lacks an endpoint that a resource server needs")
	}
	methods := m.TokenEndpointAuthMethodsSupported
	return endpoints{
		token: s.tokenEndpoint(&m), registration: m.ResourceRegistrationEndpoint,
		permission: m.PermissionEndpoint, keys: m.JWKSURI, introspection: m.IntrospectionEndpoint,
		signs: len(m.IntrospectionSigningAlgValuesSupported) > 0,
		// RFC 8414 §2: an omitted list means client_secret_basic.
		secretPost: slices.Contains(methods, oauth.AuthSecretPost) && !slices.Contains(methods, oauth.AuthSecretBasic),
	}, nil
}

// tokenEndpoint is where we authenticate: RFC 8705 §5 has another place for clients
// with certificates, where asking everybody for one would be in the way.
func (s *Server) tokenEndpoint(m *oauth.Metadata) string {
	if s.cfg.Certificate && m.MTLSAliases != nil && m.MTLSAliases.TokenEndpoint != "" {
		return m.MTLSAliases.TokenEndpoint
	}
	return m.TokenEndpoint
}

// fetchKeys reads the key set of the authorization server for jose.Cache.
func (s *Server) fetchKeys(ctx context.Context, uri string) ([]byte, error) {
	a, err := s.send(ctx, request{call: CallKeys, method: http.MethodGet, url: uri})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, a.failure("reading keys")
	}
	return a.body, nil
}
