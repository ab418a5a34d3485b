package caddyrs

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

type site struct {
	app *umaapp.App
	t   *testing.T
	as  *fakeAS
	url string
	// storage is Caddy's.
	storage string

	mu   sync.Mutex
	hits []*http.Request // at the backend
	body []string
	// answer, if set, is what the backend does.
	answer http.HandlerFunc
}

func newSite(t *testing.T, body string) *site {
	t.Helper()
	s := &site{t: t, as: newAS(t), storage: t.TempDir()}
	backend := httptest.NewServer(http.HandlerFunc(s.backend))
	t.Cleanup(backend.Close)
	text := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tstorage file_system " + s.storage + "\n\tservers {\n\t\ttrusted_proxies static 192.0.2.0/24\n\t}\n}\nhttp:// {\n" +
		strings.ReplaceAll(body, "BACKEND", strings.TrimPrefix(backend.URL, "http://")) + "\n}\n"
	ctx, server := provision(t, text)
	app, err := umaapp.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.RegisterAS(issuer, []byte("1"), s.as); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(behindTLS(server))
	t.Cleanup(front.Close)
	s.url, s.app = front.URL, app
	return s
}

// plainRequest is a header field of the tests: the request did not come by TLS.
const plainRequest = "X-Test-Plain"

// behindTLS makes requests look as if our own connection were one of TLS.
func behindTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(plainRequest) == "" {
			r.TLS = new(tls.ConnectionState)
		}
		next.ServeHTTP(w, r)
	})
}

func provision(t *testing.T, text string) (caddy.Context, http.Handler) {
	t.Helper()
	ctx, err := tryProvision(t, text)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	return ctx, app.(*caddyhttp.App).Servers["srv0"]
}

func tryProvision(t *testing.T, text string) (caddy.Context, error) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(adapted, cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.ProvisionContext(cfg)
}

func (s *site) backend(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.hits = append(s.hits, r)
	s.body = append(s.body, string(body))
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("X-Backend", "yes")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "from the backend")
}

func (s *site) hitCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hits)
}

func (s *site) lastHit() (*http.Request, string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hits) == 0 {
		s.t.Fatal("the backend was not reached")
	}
	return s.hits[len(s.hits)-1], s.body[len(s.body)-1]
}

func (s *site) do(method, target, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(text)
}

func (s *site) raw(lines ...string) int {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\nConnection: close\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%q: %v", lines, err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func protect(lines string) string {
	if !strings.Contains(lines, "rate_limit") {
		lines += "\n\t\trate_limit off"
	}
	return fmt.Sprintf("\tuma_protect %s {\n\t\tclient_id api\n%s\n\t}\n", issuer, lines)
}
