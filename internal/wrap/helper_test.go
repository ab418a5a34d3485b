package wrap

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	theirIssuer = "https://sso.bob.example/dex"
	theirToken  = "/dex/token"
	theirKeys   = "/dex/keys"
	exchanged   = "answered by us"
	formType    = "application/x-www-form-urlencoded"
	goodForm    = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=x"
)

// next is a Next.
type next func(w http.ResponseWriter, r *http.Request) error

func (n next) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return n(w, r) }

// fakeOP is a provider behind ours. It remembers what reached it besides requests
// for metadata.
type fakeOP struct {
	mu       sync.Mutex
	metadata string // "" = 503
	keys     string
	header   http.Header // of documents, besides Content-Type
	packed   bool        // the key set says that it is compressed
	asked    int         // requests for metadata
	seen     []*http.Request
	bodies   []string
	serve    http.HandlerFunc // what else it answers; nil = 200
}

func newOP() *fakeOP {
	return &fakeOP{
		metadata: `{"issuer":"` + theirIssuer + `","token_endpoint":"` + theirIssuer + `/token","jwks_uri":"` + theirIssuer +
			`/keys","id_token_signing_alg_values_supported":["RS256"],"grant_types_supported":["authorization_code"],"big":123456789012345678901234567890,"x":"<&>"}`,
		keys:   `{"keys":[{"kty":"RSA","kid":"theirs","n":"AQ","e":"AQAB","x5t#S256":"<x>"}],"more":1.50}`,
		header: http.Header{},
	}
}

func (o *fakeOP) set(change func(*fakeOP)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o)
}

// requests are those that reached it, with their bodies.
func (o *fakeOP) requests() ([]*http.Request, []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen, o.bodies
}

func (o *fakeOP) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	o.mu.Lock()
	metadata, keys, packed, serve := o.metadata, o.keys, o.packed, o.serve
	maps.Copy(w.Header(), o.header)
	o.mu.Unlock()
	switch r.URL.Path {
	case "/dex/.well-known/openid-configuration":
		o.set(func(o *fakeOP) { o.asked++ })
		document(w, metadata)
		return nil
	case "/.well-known/oauth-authorization-server/dex":
		http.NotFound(w, r)
		return nil
	case theirKeys:
		if packed {
			w.Header().Set("Content-Encoding", "gzip")
		}
		document(w, keys)
		return nil
	}
	if serve != nil {
		serve(w, r)
		return nil
	}
	body, _ := io.ReadAll(r.Body)
	o.set(func(o *fakeOP) { o.seen, o.bodies = append(o.seen, r), append(o.bodies, string(body)) })
	return nil
}

func document(w http.ResponseWriter, text string) {
	if text == "" {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
}

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

// exchange answers as our token endpoint would, and checks what it gets.
func exchange(t testing.TB) func(string) http.Handler {
	t.Helper()
	return func(endpoint string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			form, err := oauth.ParseForm(r, oauth.MaxForm)
			if err != nil || form.Get("grant_type") != oauth.GrantTokenExchange || r.URL.RawQuery != "" || !strings.HasPrefix(endpoint, theirIssuer+"/token") {
				t.Errorf("the engine at %s got %s, %v, %v", endpoint, r.URL, form, err)
			}
			_, _ = io.WriteString(w, exchanged)
		})
	}
}

func newFront(t testing.TB, change func(*Config)) *Front {
	t.Helper()
	cfg := Config{Provider: theirIssuer, Exchange: exchange(t), Now: newClock().now}
	if change != nil {
		change(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// know lets the front learn of the provider first.
func know(t testing.TB, f *Front, op Next) {
	t.Helper()
	if _, err := f.learn.wait(httptest.NewRequest(http.MethodGet, "/", nil), op); err != nil {
		t.Fatal(err)
	}
}

func serve(t testing.TB, f *Front, r *http.Request, op Next) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := f.ServeHTTP(w, r, op); err != nil {
		t.Fatal(err)
	}
	return w
}

func post(path, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://sso.bob.example"+path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// merging is the configuration of one issuer with a key of this algorithm.
func merging(alg string) func(*Config) {
	key := josetest.NewKey(alg, "ours").Private.Public()
	return func(c *Config) {
		c.Merge = &Merge{
			Algorithm: alg,
			Keys: func(context.Context) ([]jose.PublicKey, error) {
				return []jose.PublicKey{{KID: "ours", Alg: alg, Key: key}}, nil
			},
			Metadata: []byte(`{"issuer":"x","jwks_uri":"y","grant_types_supported":["` + oauth.GrantTokenExchange +
				`"],"token_endpoint_auth_methods_supported":["none","client_secret_basic"],"dpop_signing_alg_values_supported":["ES256"]}`),
		}
	}
}
