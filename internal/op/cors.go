package op

import (
	"net/http"
	"strings"
)

// allowAll is allow for an endpoint that scripts of any site may call, as they may
// the token endpoint of the STS. Credentials of the browser are never allowed:
// there is no Access-Control-Allow-Credentials (CONFORMANCE SEC-23).
func (p *Provider) allowAll(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if p.cfg.NoCORS {
		return allow(w, r, methods...)
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
	if r.Method != http.MethodOptions {
		return allow(w, r, methods...)
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return false
}
