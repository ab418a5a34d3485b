package umaapp_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

func request(t *testing.T, vars map[string]any, proto ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://as.example/", nil)
	for _, p := range proto {
		r.Header.Add("X-Forwarded-Proto", p)
	}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
}

func TestSecure(t *testing.T) {
	trusted := map[string]any{caddyhttp.TrustedProxyVarKey: true}
	stranger := map[string]any{caddyhttp.TrustedProxyVarKey: false}
	tests := []struct {
		name  string
		vars  map[string]any
		proto []string
		want  bool
	}{
		{"trusted proxy says https", trusted, []string{"https"}, true},
		{"trusted proxy says HTTPS", trusted, []string{"HTTPS"}, true},
		{"trusted proxy says http", trusted, []string{"http"}, false},
		{"trusted proxy says nothing", trusted, nil, false},
		{"trusted proxy says both", trusted, []string{"https", "http"}, false},
		{"stranger says https", stranger, []string{"https"}, false},
		{"outside of Caddy", nil, []string{"https"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := umaapp.Secure(request(t, tt.vars, tt.proto...)); got != tt.want {
				t.Errorf("Secure = %v, want %v", got, tt.want)
			}
		})
	}
	r := request(t, stranger)
	r.TLS = new(tls.ConnectionState)
	if !umaapp.Secure(r) {
		t.Error("Secure = false over TLS")
	}
}

func TestClientIP(t *testing.T) {
	r := request(t, map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7"})
	if got := umaapp.ClientIP(r); got != "192.0.2.7" {
		t.Errorf("ClientIP = %q, want Caddy's", got)
	}
	r = request(t, nil)
	r.RemoteAddr = "[2001:db8::1]:4711"
	if got := umaapp.ClientIP(r); got != "2001:db8::1" {
		t.Errorf("ClientIP = %q, want the peer's", got)
	}
	r.RemoteAddr = "pipe"
	if got := umaapp.ClientIP(r); got != "pipe" {
		t.Errorf("ClientIP = %q, want the peer as it is", got)
	}
}
