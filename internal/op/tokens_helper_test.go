package op_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
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

// onStores runs a test on each kind of store.
func onStores(t *testing.T, test func(*testing.T, func(*op.Config))) {
	t.Helper()
	t.Run("bolt", func(t *testing.T) { test(t, func(*op.Config) {}) })
	t.Run("postgres", func(t *testing.T) {
		dsn := pgtest.DSN(t)
		test(t, func(c *op.Config) {
			s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn), Now: c.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			c.Store = s
		})
	})
}
