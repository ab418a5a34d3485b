package caddyrs

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/suggest"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// proofsKept is how many DPoP proofs are remembered at once. They come with every
// request and stay for a minute: enough for thousands in a second, 80 MiB if it is
// ever full. Only holders of good RPTs get to it.
const proofsKept = 1 << 19

// nonceKeyAge is how long a key of nonces is kept after its last use: their life,
// and what clocks of nodes may be off.
const nonceKeyAge = 2 * dpop.NonceLifetime

// fillBinding gives the engine what RPTs that are bound to a key need.
func (h *Handler) fillBinding(app *umaapp.App, cfg *rs.Config) (err error) {
	cfg.Written = written
	cfg.Proofs, err = umaapp.Keep(app, fmt.Sprintf("rs %q %q proofs", h.Issuer, h.ClientID), func() *dpop.Replays {
		return dpop.NewReplays(proofsKept, time.Now)
	})
	if err != nil || !h.DPoPNonces {
		return err
	}
	ring, err := app.Ring("rs", h.Issuer+"#"+h.ClientID, "nonce", nonceKeyAge)
	cfg.NonceKeys = ring
	return err
}

// written gives the request line as the client wrote it: handle_path, rewrite and
// method leave Caddy's own copy alone.
func written(r *http.Request) (method string, u *url.URL) {
	if first, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return first.Method, first.URL
	}
	return r.Method, r.URL
}

// warnCertificates: a handler cannot see whether its site asks for certificates.
func (h *Handler) warnCertificates() {
	demanded := h.Require == string(rs.BindMTLS)
	for _, r := range h.Resources {
		demanded = demanded || r.Require == string(rs.BindMTLS)
	}
	if demanded {
		h.log.Warn("RPTs must be bound to a certificate, and clients show one only if this site asks for it: client_auth in its tls block, with mode request",
			zap.String("client_id", h.ClientID))
	}
}

// binding reads `require`.
func (p *parser) binding(to *string) error {
	if err := p.scalar(to); err != nil {
		return err
	}
	known := []string{string(rs.BindDPoP), string(rs.BindMTLS)}
	if *to == known[0] || *to == known[1] {
		return nil
	}
	hint := ""
	if near := suggest.Nearest(*to, known); near != "" {
		hint = fmt.Sprintf(", did you mean '%s'?", near)
	}
	return p.Errf("uma_protect: require '%s' is unknown; write dpop or mtls%s", *to, hint)
}
