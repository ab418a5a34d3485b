package umaapp

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// why a request counts as one that did not come by TLS.
type why int

const (
	byTLS why = iota
	byStranger
	withoutHeader
	withOddHeader
	whys
)

// plainTexts say what to do about it. A stranger's header is not looked at, so
// nothing of it stands in the log.
var plainTexts = [whys]string{ //nolint:gochecknoglobals // a table of constants
	byStranger: "it came over plain HTTP from an address that is not among trusted_proxies (global option servers)",
	withoutHeader: "the trusted proxy in front says nothing about TLS; let it set X-Forwarded-Proto: https on requests that it got by TLS " +
		"(the Forwarded field is not read)",
	withOddHeader: "the trusted proxy in front sent X-Forwarded-Proto twice, as a list, or other than https; let it replace what clients send",
}

// transport finds out whether a request came by TLS: to us, or to a trusted proxy
// that says so. Caddy's placeholder {http.request.scheme} looks at our own
// connection only, and a header that is read without asking who sent it would
// let anybody claim TLS.
func transport(r *http.Request) why {
	if r.TLS != nil {
		return byTLS
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return byStranger
	}
	proto := r.Header.Values("X-Forwarded-Proto")
	switch {
	case len(proto) == 0:
		return withoutHeader
	case len(proto) > 1 || !strings.EqualFold(proto[0], "https"):
		return withOddHeader
	}
	return byTLS
}

// Secure tells whether the request came by TLS.
func Secure(r *http.Request) bool { return transport(r) == byTLS }

// Plain refuses requests that did not come by TLS, and logs each reason once: the
// cause is the configuration.
type Plain struct {
	log    *zap.Logger
	fields []zap.Field
	said   [whys]atomic.Bool
}

// NewPlain makes a Plain. The fields say who refuses.
func NewPlain(log *zap.Logger, fields ...zap.Field) *Plain { return &Plain{log: log, fields: fields} }

// Refuses tells whether the request must be refused.
func (p *Plain) Refuses(r *http.Request) bool {
	reason := transport(r)
	if reason == byTLS {
		return false
	}
	if !p.said[reason].Swap(true) {
		p.log.Error("refused a request that did not come by TLS: "+plainTexts[reason], p.fields...)
	}
	return true
}
