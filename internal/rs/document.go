package rs

import (
	"context"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const wellKnown = "/.well-known/" + oauth.WellKnownResource

// documentAge is how many seconds the document may be cached.
const documentAge = 300

// documentPath inserts the well-known part between host and path (RFC 9728 §3.1).
func documentPath(path string) string { return wellKnown + strings.TrimSuffix(path, "/") }

// metadataURL is empty if there is no document. It stems from the resource URI
// and never from a request.
func (s *Server) metadataURL() string {
	l := s.learned.Load()
	if s.cfg.NoMetadata || l == nil {
		return ""
	}
	return l.uri.Scheme + "://" + l.uri.Host + documentPath(l.uri.Path)
}

// IsDocumentPath tells paths at which a document could stand.
func IsDocumentPath(path string) bool {
	return path == wellKnown || strings.HasPrefix(path, wellKnown+"/")
}

// ServeMetadata serves the document of RFC 9728 if the path is its place, and
// says whether it was (CONFORMANCE OA-25). The document is public: it is neither
// protected nor proxied.
func (s *Server) ServeMetadata(w http.ResponseWriter, r *http.Request) bool {
	if s.cfg.NoMetadata || !IsDocumentPath(r.URL.Path) {
		return false
	}
	return s.servePublic(w, r, documentPath, func(_ context.Context, resource string) (any, error) {
		return s.document9728(resource), nil
	})
}

// servePublic serves a document if the path is its place. place gives that for
// the path of the resource URI.
func (s *Server) servePublic(w http.ResponseWriter, r *http.Request, place func(path string) string, read func(ctx context.Context, resource string) (any, error)) bool {
	resource, err := s.ResourceURI(r.Context())
	if err != nil {
		s.cfg.Log.Error("the resource URI cannot be learned", zap.String("client_id", s.cfg.ClientID),
			zap.String("iss", s.cfg.Issuer), zap.Error(err))
		oauth.WriteError(w, oauth.Unavailable(err))
		return true
	}
	uri, err := oauth.ParseResource(resource)
	if err != nil || r.URL.Path != place(uri.Path) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", "*") // CONFORMANCE SEC-23: public, no credentials
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		document, err := read(r.Context(), resource)
		if err != nil {
			s.cfg.Log.Error("a document cannot be made", zap.String("client_id", s.cfg.ClientID), zap.Error(err))
			oauth.WriteError(w, oauth.Unavailable(err))
			return true
		}
		oauth.WriteDocument(w, documentAge, document)
	case http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
	return true
}

// ResourceURI is what was configured, else what the authorization server says.
func (s *Server) ResourceURI(ctx context.Context) (string, error) {
	if s.cfg.ResourceURI != "" {
		return s.cfg.ResourceURI, nil
	}
	l, err := s.currentLearned(ctx)
	if err != nil {
		return "", err
	}
	return l.resource, nil
}

func (s *Server) document9728(resource string) oauth.ResourceMetadata {
	return oauth.ResourceMetadata{
		Resource: resource, AuthorizationServers: []string{s.cfg.Issuer},
		ScopesSupported: s.allScopes(), BearerMethodsSupported: []string{"header"}, JWKSURI: s.keysURL(resource),
		DPoPSigningAlgs: dpop.Algs(), DPoPRequired: s.allRequire(BindDPoP),
		// Whether clients are asked for certificates is the affair of the site; whoever
		// demands bound tokens says that they are.
		TLSBound: s.someRequire(BindMTLS),
	}
}
