package rs_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// newAssertions is a world whose backend is told who is asking.
func newAssertions(t *testing.T, change ...func(*rs.Config)) (*world, *josetest.Storage) {
	t.Helper()
	storage := josetest.NewStorage()
	return newWorld(t, append([]func(*rs.Config){func(c *rs.Config) {
		ring, err := jose.NewRing(jose.RingConfig{
			Storage: storage, Role: "rs", Issuer: issuer + "#" + clientID, Purpose: "assertion",
			Retain: 2 * rs.AssertionLife, Now: c.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Assertion = &rs.Assertion{Audience: "backend", Keys: ring}
	}}, change...)...), storage
}

// keys fetches the key set as the backend does.
func (w *world) keys() jose.Set {
	w.t.Helper()
	rec := httptest.NewRecorder()
	if !w.rs.ServeKeys(rec, httptest.NewRequest("GET", "/.well-known/uma-protect-jwks", nil)) || rec.Code != 200 {
		w.t.Fatalf("keys = %d %s", rec.Code, rec.Body)
	}
	set, err := jose.ParseJWKS(rec.Body.Bytes())
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

func (w *world) assertion(change ...func(map[string]any)) map[string]any {
	w.t.Helper()
	g, _ := w.check("GET", w.rpt(change...))
	if g == nil {
		w.t.Fatal("the RPT is refused")
	}
	return w.asserted(g)
}

// asserted is what the backend reads.
func (w *world) asserted(g *rs.Grant) map[string]any {
	w.t.Helper()
	compact, f := w.rs.Assert(w.t.Context(), g)
	if f != nil {
		w.t.Fatalf("refusal = %+v", f)
	}
	token, err := jose.Parse(compact, 8<<10)
	if err != nil || token.Header.Typ != "rs-assertion+jwt" || token.Header.Alg != "ES256" {
		w.t.Fatalf("token = %+v, %v", token, err)
	}
	var claims map[string]any
	if err := token.Verify(w.t.Context(), w.keys(), []string{"ES256"}, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims
}

func TestAssertion_SaysWhatTheRPTSays(t *testing.T) {
	w, _ := newAssertions(t)
	w.status("GET", "")
	got := w.assertion(func(c map[string]any) { c["email"], c["evil"] = "bob@bob.example", "{env.PATH}" })
	if id, _ := got["jti"].(string); len(id) != 22 {
		t.Errorf("jti = %q", id)
	}
	delete(got, "jti")
	want := map[string]any{
		"iss": resource, "aud": "backend", "sub": "u-1", "client_id": "caddy-uma", "resource": resource,
		"scopes": []any{"get"}, "email": "bob@bob.example", "decision_id": "d-1",
		"iat": float64(w.now.Unix()), "exp": float64(w.now.Add(time.Minute).Unix()),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if first, second := w.assertion()["jti"], w.assertion()["jti"]; first == second {
		t.Errorf("jti = %v twice", first)
	}
}

// TestAssertion_NamesTheInstance: an assertion for one photo, taken out of its request,
// must not show the backend that another one may be seen.
func TestAssertion_NamesTheInstance(t *testing.T) {
	w, _ := newAssertions(t, photos)
	w.visit(photo("alice", "7"), "")
	id := oauth.InstanceID("id-1", "alice", captures("alice", "7"))
	plain := rs.Target{Index: 3, Source: "192.0.2.1"}
	for name, tc := range map[string]struct {
		to         rs.Target
		id         string
		of, owner  any
		isResource string
	}{
		"an instance": {photo("alice", "7"), id, map[string]any{"user": "alice", "id": "7"}, "alice", "photo"},
		"no pattern":  {plain, "id-4", nil, nil, "plain"},
	} {
		t.Run(name, func(t *testing.T) {
			token := w.rpt(set("permissions", []any{permission(tc.id, "get")}), set("owner", "mallory"), set("captures", "x"))
			g, f := w.visit(tc.to, token)
			if g == nil {
				t.Fatalf("%+v", f)
			}
			got := w.asserted(g)
			if diff := cmp.Diff([]any{tc.of, tc.owner, tc.isResource}, []any{got["captures"], got["owner"], got["resource"]}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAssertion_EndsWithTheRPT(t *testing.T) {
	w, _ := newAssertions(t)
	w.status("GET", "")
	for _, left := range []time.Duration{59 * time.Second, 60 * time.Second, 61 * time.Second} {
		got := w.assertion(func(c map[string]any) { c["exp"] = w.now.Add(left).Unix() })
		if want := w.now.Add(min(left, time.Minute)).Unix(); got["exp"] != float64(want) {
			t.Errorf("with %s left: exp = %v, want %d", left, got["exp"], want)
		}
	}
}

// TestAssertion_NamesOfOursCannotBeReleased: a claim of the RPT must not become
// the audience or anything else that we say.
func TestAssertion_NamesOfOursCannotBeReleased(t *testing.T) {
	w, _ := newAssertions(t)
	w.status("GET", "")
	got := w.assertion(func(c map[string]any) { c["scopes"], c["resource"], c["azp"] = "admin", "other", "x" })
	if diff := cmp.Diff([]any{"get"}, got["scopes"]); diff != "" || got["resource"] != resource || got["azp"] != nil {
		t.Errorf("claims = %v", got)
	}
}

func TestAssertion_FailsClosed(t *testing.T) {
	w, storage := newAssertions(t)
	w.status("GET", "")
	t.Run("unsafe sub", func(t *testing.T) {
		g, _ := w.check("GET", w.rpt(func(c map[string]any) { c["sub"] = "{env.PATH}" }))
		if token, f := w.rs.Assert(t.Context(), g); token != "" || f == nil || f.Status != 503 {
			t.Errorf("Assert = %q, %+v, want 503", token, f)
		}
	})
	if n := len(storage.Names()); n != 0 {
		t.Fatalf("%d files before the first use", n)
	}
	storage.Break(errors.New("disk"))
	g, _ := w.check("GET", w.rpt())
	token, f := w.rs.Assert(t.Context(), g)
	if token != "" || f == nil || f.Status != 503 || f.Header.Get("Retry-After") == "" || f.DecisionID != "d-1" {
		t.Errorf("Assert = %q, %+v, want 503", token, f)
	}
	rec := httptest.NewRecorder()
	w.rs.ServeKeys(rec, httptest.NewRequest("GET", "/.well-known/uma-protect-jwks", nil))
	if rec.Code != 503 {
		t.Errorf("keys = %d, want 503", rec.Code)
	}
}

func TestAssertion_KeysArePublic(t *testing.T) {
	w, _ := newAssertions(t)
	w.as.uri = "https://api.example/base"
	for path, own := range map[string]bool{
		"/.well-known/uma-protect-jwks/base": true, "/.well-known/uma-protect-jwks": false,
		"/.well-known/uma-protect-jwks/base/x": false, "/.well-known/uma-protect-jwksX": false,
	} {
		rec := httptest.NewRecorder()
		if got := w.rs.ServeKeys(rec, httptest.NewRequest("GET", path, nil)); got != own {
			t.Errorf("%s: own = %t, want %t", path, got, own)
		}
		if own && rec.Header().Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("header = %v", rec.Header())
		}
	}
	rec := httptest.NewRecorder()
	w.rs.ServeMetadata(rec, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource/base", nil))
	var document map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if want := "https://api.example/.well-known/uma-protect-jwks/base"; document["jwks_uri"] != want {
		t.Errorf("jwks_uri = %v, want %s", document["jwks_uri"], want)
	}
	w.cfg.Assertion = nil
	w.restart()
	if w.rs.ServeKeys(rec, httptest.NewRequest("GET", "/.well-known/uma-protect-jwks/base", nil)) {
		t.Error("keys without assertions")
	}
	w.cfg.Assertion = &rs.Assertion{Keys: nil, Audience: "x"}
	if _, err := rs.New(w.cfg); err == nil {
		t.Error("assertions without keys are accepted")
	}
}
