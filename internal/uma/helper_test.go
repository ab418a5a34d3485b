package uma_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

const (
	issuer    = "https://as.alice.example"
	apiURI    = "https://api.alice.example"
	photosURI = "https://photos.alice.example"
	apiSecret = "secret-of-the-api-0123456789abcdef"
)

// bench is an authorization server with two resource servers, the provider of
// bob.example, and a clock that tests move.
type bench struct {
	t      testing.TB
	op     *fakeop.OP
	server *uma.Server
	cfg    uma.Config
	faulty *storetest.Faulty
	domain []discovery.Domain

	newPerSource int // look-ups a minute; 0 is the default

	storage *josetest.Storage
	path    string // of the store's file

	mu     sync.Mutex
	now    time.Time
	events []event.Event
}

func newBench(t testing.TB, edits ...func(*bench)) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Now().Truncate(time.Second)}
	b.op = fakeop.New(t, fakeop.Config{})
	b.path = filepath.Join(t.TempDir(), "uma.db")
	bolt, err := store.OpenBolt(b.path, store.BoltOptions{Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	b.faulty = storetest.NewFaulty(bolt)
	b.cfg = uma.Config{
		Issuer: issuer,
		ResourceServers: []uma.ResourceServer{
			{ID: "api", URI: apiURI, Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(apiSecret)}}, Release: []string{"groups"}},
			{ID: "photos", URI: photosURI, Audience: "Photos", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(apiSecret)}}},
		},
		Clients: []clientauth.Client{
			{ID: "app", Public: true},
			{ID: "other", Public: true},
			{ID: "web", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret("secret-of-the-web-app")}}},
			{ID: "gone", Public: true, Disabled: true},
		},
		Policies: []uma.Policy{{Name: "bob", From: from("bob@bob.example")}},
		Store:    b.faulty, Now: b.clock, Observe: b.observe,
		ClientIP: func(*http.Request) string { return "192.0.2.1" },
	}
	b.storage = josetest.NewStorage()
	b.rings()
	for _, edit := range edits {
		edit(b)
	}
	b.cfg.Outbound = outbound.NewStrict(outbound.Config{
		ConnectTo: b.op.ConnectTo("evil.example", "other.bob.example"), Roots: b.op.Roots,
	})
	b.cfg.Finder, err = discovery.New(discovery.Config{
		Client:  b.cfg.Outbound,
		Domains: b.domain, Now: b.clock, Observe: event.None, NewPerSource: b.newPerSource,
	})
	if err != nil {
		t.Fatal(err)
	}
	if b.server, err = uma.New(b.cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

func from(addresses ...string) uma.From {
	var f uma.From
	for _, text := range addresses {
		a, err := oauth.ParseAddress(text)
		if err != nil {
			f.Domains = append(f.Domains, text)
			continue
		}
		f.Addresses = append(f.Addresses, a)
	}
	return f
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

func (b *bench) observe(_ context.Context, e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// decisions are the decisions observed so far.
func (b *bench) decisions() []event.Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []event.Decision
	for _, e := range b.events {
		if d, ok := e.(event.Decision); ok {
			all = append(all, d)
		}
	}
	return all
}

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r reply) code() string {
	code, _ := r.body["error"].(string)
	return code
}

func (r reply) get(name string) string {
	text, _ := r.body[name].(string)
	return text
}

func (b *bench) do(h http.Handler, r *http.Request) reply {
	b.t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	out := readReply(b.t, rec)
	if out.status >= 400 && r.Method != http.MethodHead {
		b.checkError(out)
	}
	return out
}

func readReply(t testing.TB, rec *httptest.ResponseRecorder) reply {
	t.Helper()
	res := rec.Result()
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{status: res.StatusCode, header: res.Header, text: string(data)}
	_ = json.Unmarshal(data, &out.body)
	return out
}

// checkError holds what every error body must be (CONFORMANCE OA-06, UF-32):
// JSON with error, in the characters of RFC 6749 §5.2, and stored nowhere.
func (b *bench) checkError(r reply) {
	b.t.Helper()
	if r.code() == "" || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("malformed error: %d %v %s", r.status, r.header, r.text)
	}
	for _, c := range r.code() + r.get("error_description") {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			b.t.Errorf("%q in an error: %s", c, r.text)
		}
	}
}

// permissions are those of the RPT in an answer: scopes by resource_id.
func (b *bench) permissions(res reply) map[string][]string {
	b.t.Helper()
	if res.status != http.StatusOK {
		b.t.Fatalf("no RPT: %d %s", res.status, res.text)
	}
	return scopesIn(payload(b.t, res.get("access_token"))["permissions"])
}

// ask presents a ticket together with a good claims token of bob.
func (b *bench) ask(ticket string, edits ...map[string]any) reply {
	b.t.Helper()
	all := map[string]any{}
	for _, e := range edits {
		maps.Copy(all, e)
	}
	return b.present(ticket, b.sign(b.claims(ticket, all)))
}

// token posts a form to the token endpoint.
func (b *bench) token(form map[string]string, edits ...func(*http.Request)) reply {
	b.t.Helper()
	values := url.Values{}
	for name, value := range form {
		values.Set(name, value)
	}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+"/uma/token", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, edit := range edits {
		edit(r)
	}
	return b.do(b.server, r)
}

// pat gets a PAT for a resource server.
func (b *bench) pat(rs string) string {
	b.t.Helper()
	res := b.token(map[string]string{"grant_type": "client_credentials", "scope": "uma_protection"}, basic(rs, apiSecret))
	if res.status != http.StatusOK {
		b.t.Fatalf("PAT of %s: %d %s", rs, res.status, res.text)
	}
	return res.get("access_token")
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(id, secret) }
}

// call is a protection API call.
func (b *bench) call(pat, method, path, body string) reply {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, issuer+"/uma/"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if pat != "" {
		r.Header.Set("Authorization", "Bearer "+pat)
	}
	return b.do(b.server, r)
}

// register makes a resource.
func (b *bench) register(pat, name, kind string, scopes ...string) string {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "type": kind, "resource_scopes": scopes})
	if err != nil {
		b.t.Fatal(err)
	}
	res := b.call(pat, http.MethodPost, "resource", string(body))
	if res.status != http.StatusCreated {
		b.t.Fatalf("register: %d %s", res.status, res.text)
	}
	return res.get("_id")
}

// ticket asks for a ticket for one resource.
func (b *bench) ticket(pat, id string, scopes ...string) string {
	b.t.Helper()
	if scopes == nil {
		scopes = []string{}
	}
	body, err := json.Marshal(map[string]any{"resource_id": id, "resource_scopes": scopes})
	if err != nil {
		b.t.Fatal(err)
	}
	res := b.call(pat, http.MethodPost, "permission", string(body))
	if res.status != http.StatusCreated {
		b.t.Fatalf("ticket: %d %s", res.status, res.text)
	}
	return res.get("ticket")
}

// claims are those of a good claims token of bob for a ticket at the api; edits
// replace members, nil removes one.
func (b *bench) claims(ticket string, edits map[string]any) map[string]any {
	now := b.clock().Unix()
	all := map[string]any{
		"sub": "bob-1", "aud": []string{apiURI}, "iat": now, "exp": now + 120, "jti": "x",
		"email": "bob@bob.example", "email_verified": true, "ticket_challenge": oauth.TicketChallenge(ticket),
	}
	maps.Copy(all, edits)
	for name, value := range edits {
		if value == nil && name != "iss" {
			delete(all, name)
		}
	}
	return all
}

// present sends ticket and claims token with the UMA grant as the public client.
func (b *bench) present(ticket, claimToken string, more ...map[string]string) reply {
	b.t.Helper()
	form := map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket,
		"claim_token": claimToken, "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
	for _, m := range more {
		maps.Copy(form, m)
	}
	return b.token(form)
}

// fresh gives a ticket for the scope get of a resource "RS API" of the api.
func (b *bench) fresh() string {
	b.t.Helper()
	pat := b.pat("api")
	return b.ticket(pat, b.register(pat, "RS API", "", "get", "post"), "get")
}

func (b *bench) sign(claims map[string]any) string { return b.op.Sign(claims, oauth.TypClaimsToken) }

// payload decodes a token without verifying it.
func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	parsed, err := jose.Parse(token, oauth.MaxForm)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := parsed.Unverified(&all); err != nil {
		t.Fatal(err)
	}
	return all
}
