package sts

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// allow does what comes before every endpoint: CORS headers, the preflight and
// the check of the method. It answers itself when it returns false.
func (s *Server) allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	return allow(w, r, s.cors, methods...)
}

func allow(w http.ResponseWriter, r *http.Request, cors bool, methods ...string) bool {
	if cors {
		crossOrigin(w.Header())
	}
	if cors && r.Method == http.MethodOptions {
		preflight(w.Header(), methods)
		w.WriteHeader(http.StatusNoContent)
		return false
	}
	if !slices.Contains(methods, r.Method) {
		oauth.WriteError(w, notAllowed(methods))
		return false
	}
	return true
}

// crossOrigin lets scripts of any site read the answer. Credentials of the
// browser are never allowed: there is no Access-Control-Allow-Credentials
// (CONFORMANCE SEC-23).
func crossOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
}

func preflight(h http.Header, methods []string) {
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	h.Set("Access-Control-Max-Age", "600")
}

// notAllowed is RFC 9110 §15.5.6; RFC 6749 §3.2 wants POST at the token endpoint.
func notAllowed(methods []string) error {
	return &oauth.Error{
		Code: oauth.CodeInvalidRequest, Status: http.StatusMethodNotAllowed,
		Description: "the method is not allowed here",
		Header:      http.Header{"Allow": {strings.Join(methods, ", ")}},
	}
}
