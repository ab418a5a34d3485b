package caddyrs

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

const (
	issuer   = "https://as.example"
	resource = "https://api.example"
)

// fakeAS is an authorization server in this process.
type fakeAS struct {
	t   *testing.T
	key josetest.Keypair

	mu      sync.Mutex
	down    bool
	names   []string // of the resources; the id is "id-" and the index
	tickets int
	// permission is the body of the last permission request.
	permission string
	asked      []string // client ids given to Local
	context    []any    // what came with the requests' contexts

	opaque       map[string]map[string]any // descriptions of opaque RPTs
	introspected int
	pats         int
}

func newAS(t *testing.T) *fakeAS {
	t.Helper()
	return &fakeAS{t: t, key: josetest.NewKeypair("k1")}
}

// Local implements umaapp.LocalAS.
func (a *fakeAS) Local(clientID string) http.Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, clientID)
	return http.HandlerFunc(a.serve)
}

// Admin implements umaapp.LocalAS.
func (*fakeAS) Admin() http.Handler { return http.NotFoundHandler() }

func (a *fakeAS) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.context = append(a.context, r.Context().Value(http.ServerContextKey))
	id := strings.TrimPrefix(r.URL.Path, "/uma/resource/")
	index := slices.IndexFunc(a.names, func(string) bool { return true })
	if n := 0; id != r.URL.Path {
		_, _ = fmt.Sscanf(id, "id-%d", &n)
		index = n
	}
	switch route := r.Method + " " + r.URL.Path; {
	case a.down:
		w.WriteHeader(500)
	case route == "GET /.well-known/uma2-configuration":
		a.json(w, 200, map[string]any{
			"issuer": issuer, "token_endpoint": issuer + "/uma/token", "permission_endpoint": issuer + "/uma/permission",
			"resource_registration_endpoint": issuer + "/uma/resource", "jwks_uri": issuer + "/uma/jwks",
			"introspection_endpoint": issuer + "/uma/introspect",
		})
	case route == "GET /uma/jwks":
		set, err := jose.MarshalJWKS(a.key.Public())
		if err != nil {
			a.t.Error(err)
		}
		a.json(w, 200, set)
	case route == "GET /uma/status/1":
		a.serveStatus(w)
	case route == "POST /uma/token":
		a.pats++
		a.json(w, 200, map[string]any{"access_token": "pat_1", "token_type": "Bearer", "expires_in": 3600, "resource_uri": resource})
	case r.Header.Get("Authorization") != "Bearer pat_1":
		w.WriteHeader(401)
	case route == "POST /uma/introspect":
		a.introspected++
		a.json(w, 200, a.describe(r.PostFormValue("token")))
	case route == "GET /uma/resource":
		ids := []string{}
		for i, name := range a.names {
			if name == "" { // deleted
				continue
			}
			ids = append(ids, fmt.Sprintf("id-%d", i))
		}
		a.json(w, 200, ids)
	case route == "POST /uma/resource":
		var d struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
			a.t.Error(err)
		}
		a.names = append(a.names, d.Name)
		a.json(w, 201, map[string]any{"_id": fmt.Sprintf("id-%d", len(a.names)-1)})
	case route == "POST /uma/permission":
		a.tickets++
		body, _ := io.ReadAll(r.Body)
		a.permission = string(body)
		a.json(w, 201, map[string]any{"ticket": fmt.Sprintf("ticket-%d", a.tickets)})
	case index >= 0 && index < len(a.names) && r.Method == http.MethodDelete:
		a.names[index] = ""
		w.WriteHeader(204)
	case index >= 0 && index < len(a.names):
		a.json(w, 200, map[string]any{"_id": id, "name": a.names[index], "resource_scopes": []string{"get"}})
	default:
		w.WriteHeader(404)
	}
}

func (a *fakeAS) describe(token string) map[string]any {
	if d, ok := a.opaque[token]; ok {
		return d
	}
	return map[string]any{"active": false}
}

// serveStatus serves a status list with nothing on it.
func (a *fakeAS) serveStatus(w http.ResponseWriter) {
	list, err := statuslist.New(8)
	if err != nil {
		a.t.Error(err)
	}
	encoded, err := list.Encode()
	if err != nil {
		a.t.Error(err)
	}
	_, _ = io.WriteString(w, a.key.Sign(map[string]any{"typ": statuslist.Type}, map[string]any{
		"iss": issuer, "sub": issuer + "/uma/status/1", "iat": time.Now().Unix(), "seq": 0,
		"status_list": map[string]any{"bits": encoded.Bits, "lst": encoded.List},
	}))
}

func (a *fakeAS) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.t.Error(err)
	}
}

func (a *fakeAS) minted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tickets
}

// idOf gives the id of a registered resource.
func (a *fakeAS) idOf(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("id-%d", slices.Index(a.names, name))
}

// rpt grants scopes at a resource.
func (a *fakeAS) rpt(name string, scopes []string, more map[string]any) string {
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "sub": "u-1", "aud": resource, "client_id": "caddy-uma", "jti": "j",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "decision_id": "d-1",
		"permissions": []any{map[string]any{"resource_id": a.idOf(name), "resource_scopes": scopes}},
		"status":      map[string]any{"status_list": map[string]any{"idx": 0, "uri": issuer + "/uma/status/1"}},
	}
	maps.Copy(claims, more)
	return a.key.Sign(map[string]any{"typ": "at+jwt"}, claims)
}
