package op_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	issuer   = "https://id.example/tenant" // never the host of the test server
	base     = "/tenant/sts/"
	callback = "https://app.example/cb"
	password = "correct horse battery"
	webKey   = "a-secret-of-web+with%signs-0123456789"
	verifier = "verifier-0123456789-0123456789-0123456789-0123456789"
)

// bench is a provider behind a TLS server, with everything around it.
type bench struct {
	t        testing.TB
	cfg      op.Config
	idTokens *jose.Ring
	store    *faultyStore
	provider *op.Provider
	server   *httptest.Server
	browser  *http.Client

	mu       sync.Mutex
	now      time.Time
	events   []event.Login
	consents []event.Consent
	byHand   []event.Administration
	ended    []event.Revocation
	compared []string // hashes
	ip       string
}

func newBench(t testing.TB, change func(*op.Config)) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Unix(1_800_000_000, 0), ip: "192.0.2.1"}
	bolt, err := store.OpenBolt(filepath.Join(t.TempDir(), "store.db"), store.BoltOptions{Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	b.store, b.idTokens = &faultyStore{Store: bolt}, b.ring("id-token")
	b.cfg = op.Config{
		Issuer: issuer,
		Users: []op.User{
			{Email: "Bob@Bob.example", PasswordHash: "hash-bob", Claims: map[string]any{"name": "Bob", "groups": []string{"staff"}}},
			{Email: "eve@bob.example", PasswordHash: "hash-eve"},
		},
		Clients: []op.Client{
			{ID: "app", Public: true, RedirectURIs: []string{callback, callback + "?x=1"}},
			{ID: "native", Public: true, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]/cb"}, FirstParty: true},
			{ID: "web", RedirectURIs: []string{callback}},
			{ID: "ours", RedirectURIs: []string{callback}, FirstParty: true},
			{ID: "webparty", FirstParty: true},
			{ID: "old", Public: true, RedirectURIs: []string{callback}, Disabled: true},
		},
		Store: b.store, IDTokens: b.idTokens, Secrets: b.ring("op"), Compare: b.compare,
		ClientIP: func(*http.Request) string { return b.source() }, Observe: b.observe, Now: b.clock,
	}
	if change != nil {
		change(&b.cfg)
	}
	if b.cfg.Authenticate == nil {
		b.cfg.Authenticate = authenticate(t, b.cfg.Clients, b.clock)
	}
	if b.provider, err = op.New(b.cfg); err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewTLSServer(b.provider)
	t.Cleanup(b.server.Close)
	b.browser = b.newBrowser()
	return b
}

func (b *bench) ring(purpose string) *jose.Ring {
	b.t.Helper()
	ring, err := jose.NewRing(jose.RingConfig{
		Storage: josetest.NewStorage(), Role: "sts", Issuer: issuer, Purpose: purpose, Retain: time.Hour, Now: b.clock,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return ring
}

// newBrowser keeps cookies and follows no redirect.
func (b *bench) newBrowser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &http.Client{
		Transport: b.server.Client().Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) source() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ip
}

func (b *bench) compare(hash, pass []byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.compared = append(b.compared, string(hash))
	return strings.HasPrefix(string(hash), "hash-") && string(pass) == password, nil
}

func (b *bench) observe(_ context.Context, e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case event.Login:
		b.events = append(b.events, e)
	case event.Consent:
		b.consents = append(b.consents, e)
	case event.Administration:
		b.byHand = append(b.byHand, e)
	case event.Revocation:
		b.ended = append(b.ended, e)
	}
}

// outcomes gives the outcomes since the last call.
func (b *bench) outcomes() []event.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []event.Outcome
	for _, e := range b.events {
		all = append(all, e.Outcome)
	}
	b.events = nil
	return all
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *bench) do(req *http.Request) answer {
	b.t.Helper()
	resp, err := b.browser.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (b *bench) request(method, path, body string) *http.Request {
	b.t.Helper()
	req, err := http.NewRequest(method, b.server.URL+base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

func (b *bench) get(path string) answer { return b.do(b.request(http.MethodGet, path, "")) }

func (b *bench) post(path string, form url.Values) answer {
	return b.do(b.request(http.MethodPost, path, form.Encode()))
}

// with is values with changes: name, value, name, value; "" removes.
func with(v url.Values, changes ...string) url.Values {
	c := url.Values{}
	for name, all := range v {
		c[name] = append([]string(nil), all...)
	}
	for i := 0; i < len(changes); i += 2 {
		if c.Del(changes[i]); changes[i+1] != "" {
			c.Set(changes[i], changes[i+1])
		}
	}
	return c
}

func codeChallenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func authorizeParams(changes ...string) url.Values {
	return with(url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "state": {"st &=?"},
		"scope": {"openid email profile"}, "nonce": {"n-1"},
		"code_challenge": {codeChallenge(verifier)}, "code_challenge_method": {"S256"},
	}, changes...)
}

func (b *bench) authorize(changes ...string) answer {
	return b.get("authorize?" + authorizeParams(changes...).Encode())
}

var hidden = regexp.MustCompile(`name="request" value="([^"]*)"`)

// login goes through page and form.
func (b *bench) login(user, pass string, changes ...string) answer {
	b.t.Helper()
	page := b.authorize(changes...)
	return b.post("login", url.Values{"request": {page.sealed(b.t)}, "username": {user}, "password": {pass}})
}

// code logs bob in and gives the code.
func (b *bench) code(changes ...string) string {
	b.t.Helper()
	code := b.login("bob@bob.example", password, changes...).params(b.t).Get("code")
	if code == "" {
		b.t.Fatal("no code")
	}
	return code
}

func tokenParams(code string, changes ...string) url.Values {
	return with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"app"}, "redirect_uri": {callback},
		"code": {code}, "code_verifier": {verifier},
	}, changes...)
}

// redeem changes a code into tokens.
func (b *bench) redeem(form url.Values) oauth.TokenResponse {
	b.t.Helper()
	a := b.post("token", form)
	var out oauth.TokenResponse
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		b.t.Fatalf("token: %d %s", a.status, a.body)
	}
	return out
}

// second makes another provider on the same store and keys.
func (b *bench) second(change func(*op.Config)) *op.Provider {
	b.t.Helper()
	cfg := b.cfg
	change(&cfg)
	p, err := op.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// authenticate makes the table of clients; webKey is the secret of all that are
// not public.
func authenticate(t testing.TB, clients []op.Client, now func() time.Time) func(*http.Request, oauth.Form) (clientauth.Client, error) {
	t.Helper()
	keys := jose.NewCache(jose.CacheConfig{
		Fetch: func(context.Context, string) ([]byte, error) { return nil, errors.New("nothing is fetched here") }, Now: now,
	})
	auth, err := clientauth.NewAuthenticator(clientauth.Config{
		Issuer: issuer, Keys: keys, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	known := clientauth.Clients{}
	for _, c := range clients {
		client := clientauth.Client{ID: c.ID, Public: c.Public, Disabled: c.Disabled}
		if !c.Public {
			client.Secrets = [][32]byte{clientauth.HashSecret(webKey)}
		}
		known[c.ID] = client
	}
	return clientauth.NewTable(known, auth).Authenticate
}
