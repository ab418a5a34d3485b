package op_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// serve posts a form to a provider as it is, without a browser.
func serve(p *op.Provider, path string, form url.Values) answer {
	return serveBody(p, path, form.Encode())
}

func serveBody(p *op.Provider, path, body string) answer {
	r := httptest.NewRequest(http.MethodPost, base+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func serveTokens(t testing.TB, p *op.Provider, form url.Values) oauth.TokenResponse {
	t.Helper()
	return serve(p, "token", form).tokens(t)
}
