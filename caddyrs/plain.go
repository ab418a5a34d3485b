package caddyrs

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// refusePlain answers a request that did not come by TLS. Whoever listened has its
// RPT now, and would have the ticket of a challenge (RFC 6750 §5.3; CONFORMANCE
// SEC-24). A handler that only serves documents protects nothing and is not for it.
func (h *Handler) refusePlain(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.Metadata == metadataOnly || h.Metadata == metadataKeys {
		return next.ServeHTTP(w, r)
	}
	refusal := rs.Forbidden()
	refusal.Detail = "This resource is served over https only. A proxy in front must be trusted and say X-Forwarded-Proto: https."
	return h.refuse(w, r, refusal)
}
