package uma_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func TestUG_36_RefreshToken(t *testing.T) {
	t.Run("absent by default", func(t *testing.T) {
		b := newBench(t)
		if res := b.webGrant(b.fresh()); res.body["refresh_token"] != nil {
			t.Errorf("%s", res.text)
		}
		if res := b.renew("rt_" + strings.Repeat("A", 64)); res.code() != "unsupported_grant_type" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	b := newBench(t, refreshing)
	res := b.webGrant(b.fresh(), map[string]string{})
	rt := res.get("refresh_token")
	if !strings.HasPrefix(rt, "rt_") || len(rt) != 67 {
		t.Fatalf("%s", res.text)
	}
	t.Run("a new RPT of the same grant", func(t *testing.T) {
		b.pass(time.Minute)
		next := b.renew(rt)
		if next.status != 200 || next.body["scope"] != nil || next.body["upgraded"] != nil || next.body["pct"] != nil || next.get("token_type") != "Bearer" || next.body["expires_in"] != 300.0 {
			t.Fatalf("%d %s", next.status, next.text)
		}
		old, now := payload(t, res.get("access_token")), payload(t, next.get("access_token"))
		if now["iat"] == old["iat"] || now["exp"] == old["exp"] || now["jti"] == old["jti"] {
			t.Errorf("%v and %v", old, now)
		}
		for _, name := range []string{"iat", "exp", "jti", "status"} {
			delete(old, name)
			delete(now, name)
		}
		if diff := cmp.Diff(old, now); diff != "" {
			t.Errorf("-old +new:\n%s", diff)
		}
		if !b.active(next.get("access_token")) || !b.active(res.get("access_token")) {
			t.Error("inactive")
		}
		rt = next.get("refresh_token")
	})
	t.Run("released claims are there again", func(t *testing.T) {
		for name, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "opaque": opaque} {
			b := newBench(t, refreshing, edit)
			ticket := b.fresh()
			res := b.webGrant(ticket, map[string]string{"claim_token": b.sign(b.claims(ticket, map[string]any{"groups": []string{"staff"}, "name": "Bob"}))})
			got := b.introspect(b.renew(res.get("refresh_token")).get("access_token"))
			if !cmp.Equal(got.body["groups"], []any{"staff"}) || got.body["name"] != nil {
				t.Errorf("%s: %s", name, got.text)
			}
		}
	})
	t.Run("A25 public clients get none, unless bound to a key", func(t *testing.T) {
		b := newBench(t, refreshing, persisting)
		if res := b.ask(b.fresh()); res.status != 200 || res.body["refresh_token"] != nil || res.body["pct"] != nil {
			t.Errorf("%s", res.text)
		}
		if res := b.token(map[string]string{"grant_type": "refresh_token", "refresh_token": rt, "client_id": "app"}); res.code() != "unauthorized_client" {
			t.Errorf("%d %s", res.status, res.text)
		}
		res := b.boundGrant(b.fresh())
		if res.get("refresh_token") == "" || res.get("pct") == "" {
			t.Fatalf("%s", res.text)
		}
		form := map[string]string{"grant_type": "refresh_token", "refresh_token": res.get("refresh_token"), "client_id": "app"}
		if got := b.token(form); got.code() != "unauthorized_client" {
			t.Errorf("without a proof: %s", got.text)
		}
		if got := b.bound(strangersKey, form); got.code() != "invalid_grant" {
			t.Errorf("with another key: %s", got.text)
		}
		next := b.bound(proofKey, form)
		if next.get("token_type") != "DPoP" || next.get("refresh_token") == "" {
			t.Fatalf("%s", next.text)
		}
		got := b.introspect(next.get("access_token"))
		if !cmp.Equal(got.body["cnf"], any(map[string]any{"jkt": thumbprint(t, proofKey)})) {
			t.Errorf("%s", got.text)
		}
		b.pass(time.Minute)
		if got := b.bound(strangersKey, form); got.code() != "invalid_grant" || !b.active(next.get("access_token")) {
			t.Errorf("an old token with another key has an effect: %s", got.text)
		}
	})
	for _, tc := range []struct {
		name, code string
		send       func() reply
	}{
		{"a resource server", "unauthorized_client", func() reply {
			return b.token(map[string]string{"grant_type": "refresh_token", "refresh_token": rt}, basic("api", apiSecret))
		}},
		{"no refresh token", "invalid_request", func() reply { return b.renew("") }},
		{"unknown", "invalid_grant", func() reply { return b.renew("rt_" + strings.Repeat("A", 64)) }},
		{"malformed", "invalid_grant", func() reply { return b.renew(rt + "A") }},
		{"a wrong secret", "invalid_client", func() reply {
			return b.token(map[string]string{"grant_type": "refresh_token", "refresh_token": rt}, basic("web", "wrong"))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if res := tc.send(); res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	if res := b.renew(rt); res.status != 200 {
		t.Errorf("the token was lost: %s", res.text)
	}
}

// A29: the life of the family is capped from its first issue, RPTs included.
func TestUG_36_Lifetime(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.RefreshLifetime = 12 * time.Minute })
	res := b.webGrant(b.fresh())
	for range 2 {
		b.pass(5 * time.Minute)
		if res = b.renew(res.get("refresh_token")); res.status != 200 {
			t.Fatal(res.text)
		}
	}
	if res.body["expires_in"] != 120.0 {
		t.Errorf("the RPT outlives the family: %s", res.text)
	}
	b.pass(2*time.Minute - time.Second)
	if res = b.renew(res.get("refresh_token")); res.status != 200 || res.body["expires_in"] != 1.0 {
		t.Fatal(res.text)
	}
	b.pass(time.Second)
	if b.active(res.get("access_token")) {
		t.Error("an RPT lives on")
	}
	if res = b.renew(res.get("refresh_token")); res.code() != "invalid_grant" {
		t.Errorf("%s", res.text)
	}
	t.Run("a first RPT may be the longer one", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.RefreshLifetime = time.Minute })
		if res := b.webGrant(b.fresh()); res.body["expires_in"] != 300.0 {
			t.Errorf("%s", res.text)
		}
	})
}

// OA-08, UG-52: less than what was granted, never more, and for this RPT alone.
func TestOA_08_Scope(t *testing.T) {
	b := newBench(t, refreshing)
	pat := b.pat("api")
	one, two := b.register(pat, "one", "", "get", "post", "delete"), b.register(pat, "two", "", "get")
	bare := b.register(pat, "bare", "", []string{}...)
	ticket := b.call(pat, http.MethodPost, "permission", `[{"resource_id":"`+one+`","resource_scopes":["get","post"]},{"resource_id":"`+two+`","resource_scopes":["get"]},{"resource_id":"`+bare+`","resource_scopes":[]}]`).get("ticket")
	rt := b.webGrant(ticket).get("refresh_token")
	all := map[string][]string{one: {"get", "post"}, two: {"get"}, bare: {}}
	for _, tc := range []struct {
		scope, code string
		want        map[string][]string
	}{
		{"post", "", map[string][]string{one: {"post"}}},
		{"", "", all},
		{"get", "", map[string][]string{one: {"get"}, two: {"get"}}},
		{"get post get", "", map[string][]string{one: {"get", "post"}, two: {"get"}}},
		{"delete", "invalid_scope", nil},
		{"get delete", "invalid_scope", nil},
		{"GET", "invalid_scope", nil},
		{"nonsense", "invalid_scope", nil},
		{"", "", all},
	} {
		res := b.renew(rt, map[string]string{"scope": tc.scope})
		if res.code() != tc.code {
			t.Fatalf("%q: %d %s", tc.scope, res.status, res.text)
		}
		if tc.code != "" {
			continue // the refresh token is still good
		}
		rt = res.get("refresh_token")
		if got := b.permissions(res); !cmp.Equal(got, tc.want) {
			t.Errorf("%q: RPT %v", tc.scope, got)
		}
		if got := b.opens(res.get("access_token")); !cmp.Equal(got, tc.want) {
			t.Errorf("%q: introspection %v", tc.scope, got)
		}
	}
	t.Run("another client", func(t *testing.T) {
		b := newBench(t, refreshing, func(b *bench) {
			b.cfg.Clients = append(b.cfg.Clients, clientauth.Client{ID: "web2", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(webSecret)}}})
		})
		res := b.webGrant(b.fresh())
		form := map[string]string{"grant_type": "refresh_token", "refresh_token": res.get("refresh_token")}
		if got := b.token(form, basic("web2", webSecret)); got.code() != "invalid_grant" {
			t.Errorf("%s", got.text)
		}
		if got := b.renew(res.get("refresh_token")); got.status != 200 || !b.active(res.get("access_token")) {
			t.Errorf("the attempt had an effect: %s", got.text)
		}
	})
	t.Run("what is not registered any more", func(t *testing.T) {
		b.call(pat, http.MethodDelete, "resource/"+two, "")
		b.call(pat, http.MethodDelete, "resource/"+bare, "")
		b.call(pat, http.MethodPut, "resource/"+one, `{"resource_scopes":["post","delete"]}`)
		if res := b.renew(rt, map[string]string{"scope": "get"}); res.code() != "invalid_scope" {
			t.Errorf("%s", res.text)
		}
		res := b.renew(rt)
		if got := b.permissions(res); !cmp.Equal(got, map[string][]string{one: {"post"}}) {
			t.Errorf("%v", got)
		}
		b.call(pat, http.MethodDelete, "resource/"+one, "")
		if res := b.renew(res.get("refresh_token")); res.code() != "invalid_grant" {
			t.Errorf("%s", res.text)
		}
	})
}

// SEC-15: every refresh token is good once, and the use of an old one ends all.
func TestSEC_15_Reuse(t *testing.T) {
	b := newBench(t, refreshing, persisting)
	first := b.webGrant(b.fresh())
	second := b.renew(first.get("refresh_token"))
	third := b.renew(second.get("refresh_token"))
	t.Run("the one before, within the grace, is a race", func(t *testing.T) {
		b.pass(10*time.Second - time.Second)
		if res := b.renew(second.get("refresh_token")); res.code() != "invalid_grant" || !b.active(third.get("access_token")) {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("another client's attempt has no effect", func(t *testing.T) {
		b.pass(time.Minute)
		b.token(map[string]string{"grant_type": "refresh_token", "refresh_token": second.get("refresh_token"), "client_id": "app"})
		if !b.active(third.get("access_token")) {
			t.Error("revoked")
		}
	})
	pct := map[string]string{"ticket": b.fresh(), "pct": first.get("pct")}
	if res := b.renew(second.get("refresh_token")); res.code() != "invalid_grant" {
		t.Fatalf("%s", res.text)
	}
	for i, res := range []reply{first, second, third} {
		if b.active(res.get("access_token")) {
			t.Errorf("RPT %d is active", i)
		}
	}
	if res := b.renew(third.get("refresh_token")); res.code() != "invalid_grant" {
		t.Errorf("the newest refresh token: %s", res.text)
	}
	if diff := cmp.Diff([]string{"a refresh token was used again"}, b.revocations()); diff != "" {
		t.Error(diff)
	}
	t.Run("UG-57 the claims behind a suspect PCT are not used", func(t *testing.T) {
		if res := b.asWeb(pct); res.code() != "need_info" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("an older one has no grace", func(t *testing.T) {
		b := newBench(t, refreshing)
		first := b.webGrant(b.fresh())
		second := b.renew(first.get("refresh_token"))
		third := b.renew(second.get("refresh_token"))
		if b.renew(first.get("refresh_token")); b.active(third.get("access_token")) {
			t.Error("still active")
		}
	})
	t.Run("one second after the grace", func(t *testing.T) {
		b := newBench(t, refreshing)
		first := b.webGrant(b.fresh())
		second := b.renew(first.get("refresh_token"))
		b.pass(10 * time.Second)
		if b.renew(first.get("refresh_token")); b.active(second.get("access_token")) {
			t.Error("still active")
		}
	})
}

// SEC-12: of many who use one refresh token at once exactly one wins, and an honest
// race ends nothing.
func TestSEC_12_ParallelRefresh(t *testing.T) {
	b := newBench(t, refreshing)
	rt := b.webGrant(b.fresh()).get("refresh_token")
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	count := map[string]int{}
	var winner reply
	for range 30 {
		wg.Go(func() {
			<-start
			res := b.renew(rt)
			mu.Lock()
			defer mu.Unlock()
			if count[res.code()]++; res.code() == "" {
				winner = res
			}
		})
	}
	close(start)
	wg.Wait()
	if count[""] != 1 || count["invalid_grant"] != 29 || len(b.revocations()) != 0 {
		t.Fatalf("%v %v", count, b.revocations())
	}
	if res := b.renew(winner.get("refresh_token")); !b.active(winner.get("access_token")) || res.status != 200 {
		t.Errorf("the winner has nothing: %s", res.text)
	}
}

func TestSEC_13_RefreshFailsClosed(t *testing.T) {
	for name, match := range map[string]func(storetest.Call) bool{
		"grant cannot be read":      func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "grant" },
		"resource cannot be read":   func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "resource" },
		"decision cannot be read":   func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "decided" },
		"rotation is not recorded":  func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") },
		"reference is not recorded": func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "reference") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, refreshing, opaque, func(b *bench) { b.cfg.ReplayGrace = time.Second })
			res := b.webGrant(b.fresh())
			b.pass(2 * time.Second)
			edit := func(*uma.Config) {}
			if strings.HasPrefix(name, "decision") {
				edit = func(c *uma.Config) { c.PolicyRevision = "2" }
			}
			next := b.reload(edit)
			b.faulty.FailBefore(match)
			if got := next.renew(res.get("refresh_token")); got.status != 503 || got.body["access_token"] != nil || got.body["refresh_token"] != nil {
				t.Fatalf("%d %s", got.status, got.text)
			}
			b.faulty.Repair()
			if got := next.renew(res.get("refresh_token")); got.status != 200 {
				t.Errorf("the token was lost: %s", got.text)
			}
		})
	}
	t.Run("written but the answer lost", func(t *testing.T) {
		b := newBench(t, refreshing)
		res := b.webGrant(b.fresh())
		b.faulty.LoseAnswer(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") })
		if got := b.renew(res.get("refresh_token")); got.status != 503 {
			t.Fatalf("%d %s", got.status, got.text)
		}
		b.faulty.Repair()
		if got := b.renew(res.get("refresh_token")); got.code() != "invalid_grant" || !b.active(res.get("access_token")) {
			t.Errorf("an honest retry ended the grant: %s", got.text)
		}
		t.Run("its client can still end the grant", func(t *testing.T) {
			if b.revoke(res.get("refresh_token")); b.active(res.get("access_token")) {
				t.Error("still active")
			}
		})
	})
}

// What the configuration demands now counts for old refresh tokens, too.
func TestOA_08_ChangedConfiguration(t *testing.T) {
	b := newBench(t, refreshing)
	res := b.webGrant(b.fresh())
	for name, tc := range map[string]struct {
		edit func(*uma.Config)
		code string
	}{
		"refresh tokens are off": {func(c *uma.Config) { c.RefreshLifetime = 0 }, "unsupported_grant_type"},
		"the resource server is gone": {func(c *uma.Config) {
			c.ResourceServers = c.ResourceServers[1:]
		}, "invalid_grant"},
		"it demands bound tokens": {func(c *uma.Config) { c.ResourceServers[0].Require = uma.BindDPoP }, "invalid_grant"},
		"the client became public": {func(c *uma.Config) {
			c.Clients = []clientauth.Client{{ID: "web", Public: true}}
		}, "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			form := map[string]string{"grant_type": "refresh_token", "refresh_token": res.get("refresh_token")}
			next := b.reload(tc.edit)
			edit := basic("web", webSecret)
			if name == "the client became public" {
				form["client_id"], edit = "web", func(*http.Request) {}
			}
			if got := next.token(form, edit); got.code() != tc.code {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	if got := b.renew(res.get("refresh_token")); got.status != 200 {
		t.Errorf("%s", got.text)
	}
}
