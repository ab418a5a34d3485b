package umaapp_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// SEC-24: each reason is logged once, and nothing of what a stranger sent.
func TestSEC_24_WhyRefused(t *testing.T) {
	trusted := map[string]any{caddyhttp.TrustedProxyVarKey: true}
	core, logs := observer.New(zapcore.DebugLevel)
	p := umaapp.NewPlain(zap.New(core), zap.String("iss", "https://as.example"))
	for _, tt := range []struct {
		vars  map[string]any
		proto []string
		want  string // "" = not refused
	}{
		{nil, []string{"https"}, "not among trusted_proxies"},
		{trusted, nil, "says nothing about TLS"},
		{trusted, []string{"https", "https"}, "sent X-Forwarded-Proto twice"},
		{trusted, []string{"https, http"}, "sent X-Forwarded-Proto twice"},
		{trusted, []string{"https"}, ""},
	} {
		refused := p.Refuses(request(t, tt.vars, tt.proto...))
		if refused != (tt.want != "") {
			t.Errorf("%v %q: refused %v", tt.vars, tt.proto, refused)
		}
		if tt.want != "" && logs.FilterMessageSnippet(tt.want).Len() != 1 {
			t.Errorf("%v %q: %d lines", tt.vars, tt.proto, logs.FilterMessageSnippet(tt.want).Len())
		}
	}
	for _, line := range logs.All() {
		if strings.Contains(line.Message, "https, http") || line.ContextMap()["iss"] != "https://as.example" {
			t.Errorf("%s %v", line.Message, line.ContextMap())
		}
	}
	forwarded := request(t, trusted)
	forwarded.Header.Set("Forwarded", "proto=https")
	if !p.Refuses(forwarded) {
		t.Error("the Forwarded field counts")
	}
}
