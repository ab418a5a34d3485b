package rs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

const (
	issuer   = "https://as.example"
	clientID = "api"
	resource = "https://api.example"
)

// fakeAS is an authorization server in memory: the protection API and keys.
type fakeAS struct {
	t testing.TB

	mu        sync.Mutex
	down      bool
	failWith  int // status of the permission endpoint
	issuer    string
	path      string // of the metadata
	uri       string // resource_uri in the PAT's answer
	audience  string
	owner     string // owner in it; with "*" resources have owners of their own
	pat       int    // the PAT that is good now
	patLife   int
	resources map[string]map[string]any
	nextID    int
	tickets   int
	keys      map[string]*ecdsa.PrivateKey
	calls     map[string]int
	basic     string
	form      string
	lastAsk   string
	status    fakeStatus

	// What the introspection endpoint has; without tokens there is none.
	tokens     map[string]map[string]any
	signs      bool
	introspect func(w http.ResponseWriter, token string) // instead
	asked      []*http.Request
	failNames  map[string]bool // resources that can be neither created nor deleted
}

func newAS(t testing.TB) *fakeAS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeAS{
		t: t, issuer: issuer, path: "/.well-known/uma2-configuration", uri: resource, pat: 1, patLife: 3600,
		resources: map[string]map[string]any{}, keys: map[string]*ecdsa.PrivateKey{"k1": key}, calls: map[string]int{},
	}
}

func (a *fakeAS) do(_ rs.Call, r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return nil, io.ErrUnexpectedEOF
	}
	name := r.Method + " " + r.URL.Path
	a.calls[name]++
	w := httptest.NewRecorder()
	switch {
	case r.URL.Path == a.path:
		a.json(w, 200, a.metadata())
	case strings.Contains(r.URL.Path, "/.well-known/"):
		w.WriteHeader(404)
	case r.URL.Path == "/jwks":
		a.serveKeys(w)
	case r.URL.Path == statusPath:
		a.serveStatus(w, r)
	case r.URL.Path == "/token":
		a.serveToken(w, r)
	case r.Header.Get("Authorization") != fmt.Sprintf("Bearer pat_%d", a.pat):
		a.json(w, 401, map[string]any{"error": "invalid_token"})
	case r.URL.Path == "/permission":
		a.servePermission(w, r)
	case r.URL.Path == "/introspect":
		a.serveIntrospect(w, r)
	case strings.HasPrefix(r.URL.Path, "/resource"):
		a.serveResource(w, r)
	default:
		w.WriteHeader(404)
	}
	return w.Result(), nil
}

func (a *fakeAS) metadata() map[string]any {
	m := map[string]any{
		"issuer": a.issuer, "token_endpoint": issuer + "/token", "permission_endpoint": issuer + "/permission",
		"resource_registration_endpoint": issuer + "/resource", "jwks_uri": issuer + "/jwks", "unknown": []any{1},
	}
	if a.tokens != nil {
		m["introspection_endpoint"] = issuer + "/introspect"
	}
	if a.signs {
		m["introspection_signing_alg_values_supported"] = []string{"ES256"}
	}
	return m
}

func (a *fakeAS) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (a *fakeAS) serveToken(w http.ResponseWriter, r *http.Request) {
	a.basic = r.Header.Get("Authorization")
	body, _ := io.ReadAll(r.Body)
	a.form = string(body)
	answer := map[string]any{
		"access_token": fmt.Sprintf("pat_%d", a.pat), "token_type": "bearer", "expires_in": a.patLife, "scope": "uma_protection",
		"extra": map[string]any{"x": 1},
	}
	if a.uri != "" {
		answer["resource_uri"] = a.uri
	}
	if a.owner != "" {
		answer["owner"] = a.owner
	}
	if a.audience != "" {
		answer["audience"] = a.audience
	}
	a.json(w, 200, answer)
}

func (a *fakeAS) servePermission(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.lastAsk = string(body)
	if a.failWith != 0 {
		a.json(w, a.failWith, map[string]any{"error": "server_error"})
		return
	}
	var asked []map[string]any
	if json.Unmarshal(body, &asked) != nil {
		var one map[string]any
		if err := json.Unmarshal(body, &one); err != nil {
			a.t.Errorf("permission request %q: %v", body, err)
		}
		asked = append(asked, one)
	}
	for _, p := range asked {
		if a.resources[p["resource_id"].(string)] == nil {
			a.json(w, 400, map[string]any{"error": "invalid_resource_id"})
			return
		}
	}
	a.tickets++
	a.json(w, 201, map[string]any{"ticket": fmt.Sprintf("ticket-%d", a.tickets)})
}

func (a *fakeAS) serveResource(w http.ResponseWriter, r *http.Request) {
	id := strings.Trim(strings.TrimPrefix(r.URL.Path, "/resource"), "/")
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case r.Method == "GET" && id == "":
		a.json(w, 200, slices.Sorted(maps.Keys(a.resources)))
	case r.Method == "POST" && id == "":
		a.nextID++
		id = fmt.Sprintf("id-%d", a.nextID)
		if a.failNames[fmt.Sprint(body["name"])] {
			a.json(w, 400, map[string]any{"error": "invalid_request"})
			return
		}
		if a.owner == "*" && body["owner"] == nil {
			body["owner"] = clientID
		}
		a.resources[id] = body
		w.Header().Set("Location", issuer+"/resource/"+id)
		a.json(w, 201, map[string]any{"_id": id})
	case a.resources[id] == nil:
		w.WriteHeader(404)
	case r.Method == "GET":
		body = maps.Clone(a.resources[id])
		body["_id"] = id
		a.json(w, 200, body)
	case r.Method == "PUT":
		a.resources[id] = body
		a.json(w, 200, map[string]any{"_id": id})
	case r.Method == "DELETE" && a.failNames[fmt.Sprint(a.resources[id]["name"])]:
		a.json(w, 503, map[string]any{"error": "temporarily_unavailable"})
	case r.Method == "DELETE":
		delete(a.resources, id)
		w.WriteHeader(204)
	default:
		a.t.Errorf("unexpected %s %s", r.Method, r.URL.Path)
	}
}

func (a *fakeAS) serveKeys(w http.ResponseWriter) {
	set := []map[string]any{}
	for kid, k := range a.keys {
		set = append(set, map[string]any{
			"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig",
			"x": b64(k.X.FillBytes(make([]byte, 32))), "y": b64(k.Y.FillBytes(make([]byte, 32))),
		})
	}
	a.json(w, 200, map[string]any{"keys": set})
}

// set changes the server under its lock.
func (a *fakeAS) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *fakeAS) count(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[name]
}

func (a *fakeAS) sortedNames() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, r := range a.resources {
		names = append(names, fmt.Sprint(r["name"], r["resource_scopes"]))
	}
	slices.Sort(names)
	return names
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func sign(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	h, err1 := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	input := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(input))
	r, s, err3 := ecdsa.Sign(rand.Reader, key, sum[:])
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + b64(sig)
}

var _ crypto.Signer = (*ecdsa.PrivateKey)(nil)

// start is when a test begins.
var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is a resource server with its authorization server and clock.
type world struct {
	t      *testing.T
	as     *fakeAS
	rs     *rs.Server
	cfg    rs.Config
	now    time.Time
	events []event.RPTCheck
}

func newWorld(t *testing.T, change ...func(*rs.Config)) *world {
	t.Helper()
	w := &world{t: t, as: newAS(t), now: start}
	w.as.status.now = func() time.Time { return w.now }
	w.cfg = rs.Config{
		Issuer: issuer, ClientID: clientID, ClientSecret: "s3cret/+", Now: func() time.Time { return w.now },
		AS: w.as.do, Log: zap.NewNop(),
		Observe: func(_ context.Context, e event.Event) { w.events = append(w.events, e.(event.RPTCheck)) },
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.restart()
	return w
}

// restart makes a new engine with the same settings.
func (w *world) restart() {
	w.t.Helper()
	s, err := rs.New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.rs = s
}

func (w *world) request(method, token string) *http.Request { return request(w.t, method, token) }

func request(t testing.TB, method, token string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, resource+"/x", nil).WithContext(t.Context())
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func (w *world) check(method, token string) (*rs.Grant, *rs.Refusal) {
	w.t.Helper()
	g, f := w.rs.Check(w.request(method, token), rs.Target{Index: 0, Source: "192.0.2.1"})
	if (g == nil) == (f == nil) {
		w.t.Fatalf("Check = %v, %v, want exactly one", g, f)
	}
	return g, f
}

// status gives 200 for a request that passes.
func (w *world) status(method, token string) int {
	w.t.Helper()
	g, f := w.check(method, token)
	if g != nil {
		return 200
	}
	return f.Status
}

// claims are those of a good RPT for the first resource.
func (w *world) claims(change ...func(map[string]any)) map[string]any {
	c := map[string]any{
		"iss": issuer, "sub": "u-1", "aud": resource, "client_id": "caddy-uma", "jti": "j",
		"iat": w.now.Unix(), "exp": w.now.Add(5 * time.Minute).Unix(), "decision_id": "d-1",
		"permissions": []any{map[string]any{"resource_id": "id-1", "resource_scopes": []any{"get"}}},
		"status":      map[string]any{"status_list": map[string]any{"idx": 7, "uri": issuer + statusPath}},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func (w *world) rpt(change ...func(map[string]any)) string {
	w.t.Helper()
	return w.sign(w.t, change...)
}

func (w *world) sign(t testing.TB, change ...func(map[string]any)) string {
	t.Helper()
	return sign(t, w.as.keys["k1"], map[string]any{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, w.claims(change...))
}

// challenge reads the UMA challenge of a refusal.
func challengeOf(t *testing.T, f *rs.Refusal) oauth.Challenge {
	t.Helper()
	if f == nil || f.Status != 401 {
		t.Fatalf("refusal = %+v, want 401", f)
	}
	all, err := oauth.ParseChallenges(f.Header.Values("WWW-Authenticate"))
	if err != nil || len(all) == 0 || all[0].Scheme != "UMA" {
		t.Fatalf("challenges = %v, %v, want UMA first", all, err)
	}
	return all[0]
}
