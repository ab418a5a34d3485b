package wrap

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestIsToken(t *testing.T) {
	for _, tt := range []struct {
		endpoint, path string
		want           bool
	}{
		{"/dex/token", "/dex/token", true},
		{"/dex/token", "/dex/token.json", true},
		{"/dex/token", "/dex/token.", true},
		{"/dex/token", "/dex/tokens", false},
		{"/dex/token", "/dex/token/introspect", false},
		{"/dex/token", "/dex/x.token", false},
		{"/dex/token", "/dex.json/token", false},
		{"/oidc/token.php", "/oidc/token.php", true},
		{"/oidc/token.php", "/oidc/token", true},
		{"/oidc/token.php", "/oidc/token.php/path/info", true},
		{"/oidc/token.php", "/oidc/Token.php%2finfo", true},
		{"/oidc/token.php", "/oidc/token.phpx/info", false},
		{"/oidc/token.php", "/oidc/authorize.php/token", false},
		{"/", "/", true},
		{"/", "/x", false},
		{"/", "/.well-known/x", false},
		{"/.token", "/.keys", false},
	} {
		p := &provider{token: tt.endpoint, sloppyToken: sloppy(tt.endpoint)}
		r := httptest.NewRequest(http.MethodPost, tt.path, nil)
		if got := p.isToken(r); got != tt.want {
			t.Errorf("endpoint %s: isToken(%s) = %t", tt.endpoint, tt.path, got)
		}
	}
}
