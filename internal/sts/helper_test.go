package sts_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

const (
	issuer    = "https://bob.example"
	secret    = "a-secret-of-web+with%signs-0123456789"
	challenge = "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c"
	apiURI    = "https://api.corp"
	bobToken  = "at-bob"
)

// bench is a server with everything around it.
type bench struct {
	cfg    sts.Config
	ring   *jose.Ring
	users  map[string]oauth.Subject // by access token
	broken error                    // of Resolve
	jwks   map[string][]byte        // by jwks_uri
	asked  int                      // how often a subject token was looked at
	now    time.Time
	events []event.Exchange
	server *sts.Server
}

// newBench makes a server after change has had its way with the configuration.
func newBench(t *testing.T, change func(*bench)) *bench {
	t.Helper()
	b := &bench{now: time.Unix(1_800_000_000, 0), users: map[string]oauth.Subject{}}
	b.users[bobToken] = b.bob("caddy-uma")
	b.ring = newRing(t, b)
	b.cfg = sts.Config{
		Issuer: issuer, EmailDomains: []string{"bob.example", "staff.bob.example"},
		Clients: []sts.Client{
			{Client: clientauth.Client{ID: "caddy-uma", Public: true}},
			{Client: clientauth.Client{ID: "web", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(secret)}}}},
			{Client: clientauth.Client{ID: "old", Public: true, Disabled: true}},
			{Client: clientauth.Client{ID: "narrow", Public: true}, Targets: []string{"https://api.corp/photos", "Other API"}},
		},
		Targets: []sts.Target{
			{Names: []string{apiURI, "RS API", "Other API"}, Release: []string{"name", "groups"}},
			{Names: []string{"https://paths.corp/a"}},
		},
		DenyTargets: []string{"https://api.corp/secret", "Denied API"},
		Resolve:     b.resolve, Claims: b.ring,
		Now: func() time.Time { return b.now },
		Observe: func(_ context.Context, e event.Event) {
			b.events = append(b.events, e.(event.Exchange))
		},
	}
	if change != nil {
		change(b)
	}
	if b.cfg.Authenticate == nil {
		b.cfg.Authenticate = b.authenticate(t)
	}
	server, err := sts.New(b.cfg)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	b.server = server
	return b
}

// authenticate makes the table of clients.
func (b *bench) authenticate(t *testing.T) func(*http.Request, oauth.Form) (clientauth.Client, error) {
	t.Helper()
	now := func() time.Time { return b.now }
	keys := jose.NewCache(jose.CacheConfig{
		Fetch: func(_ context.Context, uri string) ([]byte, error) {
			if set, ok := b.jwks[uri]; ok {
				return set, nil
			}
			return nil, errors.New("nothing is there")
		}, Now: now,
	})
	auth, err := clientauth.NewAuthenticator(clientauth.Config{Issuer: issuer, Keys: keys, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	known := clientauth.Clients{}
	for _, c := range b.cfg.Clients {
		known[c.ID] = c.Client
	}
	return clientauth.NewTable(known, auth).Authenticate
}

func newRing(t *testing.T, b *bench) *jose.Ring {
	t.Helper()
	ring, err := jose.NewRing(jose.RingConfig{
		Storage: josetest.NewStorage(), Role: "sts", Issuer: issuer, Purpose: "claims",
		Retain: 10 * time.Minute, Now: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func (b *bench) bob(client string) oauth.Subject {
	return oauth.Subject{
		Issuer: issuer, ID: "bob-id", ClientID: client, Email: "bob@bob.example", EmailVerified: true,
		Claims:   map[string]any{"name": "Bob", "groups": []string{"staff"}, "salary": 12},
		Audience: []string{issuer}, Self: issuer, Expires: b.now.Add(10 * time.Minute),
	}
}

func (b *bench) resolve(ctx context.Context, token string) (oauth.Subject, error) {
	b.asked++
	return b.lookup(ctx, token)
}

func (b *bench) lookup(_ context.Context, token string) (oauth.Subject, error) {
	if b.broken != nil {
		return oauth.Subject{}, b.broken
	}
	subject, ok := b.users[token]
	if !ok {
		return oauth.Subject{}, fmt.Errorf("no such row: %w", oauth.ErrSubjectToken)
	}
	return subject, nil
}

// good is a correct exchange by the public client. Pairs change it: a name and
// a value; "-" leaves the parameter out.
func good(pairs ...string) url.Values {
	form := url.Values{
		"grant_type":           {oauth.GrantTokenExchange},
		"client_id":            {"caddy-uma"},
		"resource":             {apiURI},
		"ticket_challenge":     {challenge},
		"subject_token":        {bobToken},
		"subject_token_type":   {oauth.TokenTypeAccessToken},
		"requested_token_type": {oauth.TokenTypeJWT},
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			form.Del(pairs[i])
			continue
		}
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func (b *bench) post(form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, issuer+"/sts/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.serve(r)
}

func (b *bench) get(target string) *httptest.ResponseRecorder {
	return b.serve(httptest.NewRequest(http.MethodGet, target, nil))
}

func (b *bench) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	return w
}

// webForm is a correct exchange by the confidential client.
func webForm(pairs ...string) url.Values {
	return good(append([]string{"client_id", "web", "client_secret", secret}, pairs...)...)
}

// answer is the body of a token response or an error.
type answer struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
	oauth.TokenResponse
}

func decode(t *testing.T, w *httptest.ResponseRecorder) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return a
}

// mustIssue does an exchange that succeeds and gives the verified claims.
func (b *bench) mustIssue(t *testing.T, form url.Values, header ...string) map[string]any {
	t.Helper()
	w := b.post(form, header...)
	if w.Code != http.StatusOK {
		t.Fatalf("status = %d, %s", w.Code, w.Body)
	}
	return b.verify(t, decode(t, w).AccessToken)
}

func (b *bench) verify(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jose.Parse(token, oauth.MaxForm)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Verify(t.Context(), b.ring, jose.DefaultAlgs(), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// wantError checks an error answer and the one event of it.
func (b *bench) wantError(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if got := decode(t, w); w.Code != status || got.Error != code {
		t.Errorf("answer = %d %q (%s), want %d %q", w.Code, got.Error, got.ErrorDescription, status, code)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// nobody is a table without clients.
func nobody(*http.Request, oauth.Form) (clientauth.Client, error) {
	return clientauth.Client{}, clientauth.Invalid(oauth.AuthNone)
}

// noKeys never signs.
type noKeys struct{}

func (noKeys) Sign(context.Context, string, any) (string, error) { return "", jose.ErrKeySource }
func (noKeys) Public(context.Context) ([]jose.PublicKey, error)  { return nil, jose.ErrKeySource }

func clock() time.Time { return time.Unix(1_800_000_000, 0) }

func newClients() []sts.Client {
	return []sts.Client{{Client: clientauth.Client{ID: "caddy-uma", Public: true}}}
}
