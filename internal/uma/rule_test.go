package uma_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func (b *bench) lastDecision() event.Decision {
	b.t.Helper()
	all := b.decisions()
	if len(all) == 0 {
		b.t.Fatal("no decision was observed")
	}
	return all[len(all)-1]
}

func TestSEC_26_Shadow(t *testing.T) {
	for _, tc := range []struct {
		name     string
		policies []uma.Policy
		code     string
		shadow   string
	}{
		{"would let in", []uma.Policy{{Name: "new", From: from("bob.example"), Shadow: true}}, "request_denied", "new would allow 'get'"},
		{"would keep out", []uma.Policy{{Name: "bob", From: from("bob.example")}, {Name: "new", From: from("bob@bob.example"), Deny: true, Shadow: true}}, "", "new would deny 'get'"},
		{"changes nothing", []uma.Policy{{Name: "bob", From: from("bob.example")}, {Name: "new", From: from("bob.example"), Shadow: true}}, "", ""},
		{"does not speak of him", []uma.Policy{{Name: "bob", From: from("bob.example")}, {Name: "new", From: from("carol@bob.example"), Deny: true, Shadow: true}}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.Policies = tc.policies })
			res := b.ask(b.fresh())
			if res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
			if got := strings.Join(b.lastDecision().Shadow, ";"); got != tc.shadow {
				t.Errorf("shadow = %q, want %q", got, tc.shadow)
			}
		})
	}
	t.Run("a shadow policy asks for no claims", func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.cfg.Policies = []uma.Policy{{Name: "new", From: from("bob.example"), RequiredClaims: []string{"groups"}, Shadow: true}}
		})
		if res := b.ask(b.fresh()); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestSEC_14_Require(t *testing.T) {
	t.Run("by the resource server: before the ticket counts", func(t *testing.T) {
		for want, code := range map[uma.Binding]string{uma.BindDPoP: "invalid_dpop_proof", uma.BindMTLS: "invalid_request"} {
			b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].Require = want })
			ticket := b.fresh()
			if res := b.ask(ticket); res.status != http.StatusBadRequest || res.code() != code {
				t.Errorf("%s: %d %s", want, res.status, res.text)
			}
			open := b.reload(func(c *uma.Config) { c.ResourceServers[0].Require = uma.BindNone })
			if res := open.ask(ticket); res.status != http.StatusOK {
				t.Errorf("%s: the ticket was spent: %s", want, res.text)
			}
		}
	})
	t.Run("by a policy: the bearer is denied and told why", func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.cfg.Policies = []uma.Policy{{Name: "bound", From: from("bob.example"), Require: uma.BindDPoP}}
		})
		res := b.ask(b.fresh())
		if res.code() != "request_denied" || !strings.Contains(res.get("error_description"), "DPoP") {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("another policy may be content with a bearer", func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.cfg.Policies = []uma.Policy{
				{Name: "bound", From: from("bob.example"), Require: uma.BindDPoP},
				{Name: "bearer", From: from("bob@bob.example")},
			}
		})
		if res := b.ask(b.fresh()); res.status != http.StatusOK || b.lastDecision().Policy != "bearer" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestSEC_26_PolicyWords(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy uma.Policy
		want   string
	}{
		{"required_claims of anyone", uma.Policy{From: uma.From{Anyone: true}, RequiredClaims: []string{"groups"}}, "any stranger's provider says"},
		{"required_claims of a domain", uma.Policy{From: from("bob.example"), RequiredClaims: []string{"groups"}}, ""},
		{"deny with required_claims", uma.Policy{From: from("bob.example"), Deny: true, RequiredClaims: []string{"groups"}}, "says what it takes to be let in"},
		{"deny with require", uma.Policy{From: from("bob.example"), Deny: true, Require: uma.BindDPoP}, "says what it takes to be let in"},
		{"deny with accept_pct", uma.Policy{From: from("bob.example"), Deny: true, AcceptPCT: true}, "says what it takes to be let in"},
		{"deny", uma.Policy{From: from("bob.example"), Deny: true}, ""},
		{"an unknown binding", uma.Policy{From: from("bob.example"), Require: "tls"}, "write dpop or mtls"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.policy.Name = "p"
			cfg := uma.Config{Policies: []uma.Policy{tc.policy}}
			err := cfg.Check()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Check = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestExplainDecision(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.PolicyRevision = "one"
		b.cfg.Policies = []uma.Policy{
			{Name: "carol", From: from("carol@bob.example")},
			{Name: "photos", From: from("bob.example"), ResourceServers: []string{"photos"}},
			{Name: "staff", From: from("bob.example"), RequiredClaims: []string{"groups"}},
			{Name: "writers", From: from("bob.example"), Scopes: []string{"post"}},
			{Name: "other", From: from("bob.example"), Clients: []string{"other"}},
		}
	})
	res := b.ask(b.fresh(), map[string]any{"email": "carol@bob.example", "sub": "carol-1"})
	if res.status != http.StatusOK {
		t.Fatal(res.text)
	}
	e, err := b.server.ExplainDecision(t.Context(), res.get("decision_id"))
	if err != nil {
		t.Fatal(err)
	}
	if e.Outcome != event.Granted || e.Policy != "carol" || e.Person.Email != "carol@bob.example" || e.Evidence != "webfinger" || len(e.Notes) != 0 {
		t.Errorf("%+v", e)
	}
	got := map[string]string{}
	for _, p := range e.Resources[0].Policies {
		got[p.Name] = p.Result + "/" + p.Detail
	}
	want := map[string]string{
		"carol": "matches/", "photos": "speaks of another resource/", "staff": "needs claims/groups",
		"writers": "does not cover the scope/", "other": "is about another client/",
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %q, want %q", name, got[name], want[name])
		}
	}
	t.Run("after the policies changed", func(t *testing.T) {
		next := b.reload(func(c *uma.Config) { c.PolicyRevision, c.Policies = "two", nil })
		e, err := next.server.ExplainDecision(t.Context(), res.get("decision_id"))
		if err != nil || e.PolicyRevision != "one" || e.CurrentRevision != "two" || len(e.Notes) != 1 || e.Resources[0].Scopes[0].Allowed {
			t.Errorf("%+v, %v", e, err)
		}
	})
	t.Run("a denial is kept, a request without claims is not", func(t *testing.T) {
		next := b.reload(func(c *uma.Config) {
			c.Policies = []uma.Policy{{Name: "bob", From: from("bob.example"), Scopes: []string{"post"}}}
		})
		denied := next.ask(b.fresh())
		if e, err := next.server.ExplainDecision(t.Context(), denied.get("decision_id")); err != nil || e.Outcome != event.Denied {
			t.Errorf("%+v, %v", e, err)
		}
		none := next.token(map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:uma-ticket", "client_id": "app", "ticket": b.fresh()})
		if e, err := next.server.ExplainDecision(t.Context(), none.get("decision_id")); err == nil {
			t.Errorf("%+v", e)
		}
	})
	t.Run("SEC-28 not at another issuer", func(t *testing.T) {
		other := b.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
		if e, err := other.server.ExplainDecision(t.Context(), res.get("decision_id")); err == nil {
			t.Errorf("%+v", e)
		}
	})
}

func TestExplain_DryRun(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "staff", From: from("bob.example"), Resources: []string{"RS API"}, ResourceServers: []string{"api"}, Scopes: []string{"get"}, RequiredClaims: []string{"groups"}}}
	})
	b.fresh() // registers "RS API"
	ask := uma.Question{
		Claims:         map[string]any{"email": "bob@bob.example", "groups": []any{"staff"}},
		ResourceServer: "api", Resource: "RS API", Scopes: []string{"get"}, Client: "app",
	}
	for _, tc := range []struct {
		name    string
		edit    func(*uma.Question)
		outcome event.Outcome
		note    string
	}{
		{"allowed", func(*uma.Question) {}, event.Granted, "dry run"},
		{"another person", func(q *uma.Question) {
			q.Claims = map[string]any{"email": "bob@evil.example", "groups": []any{"staff"}}
		}, event.Denied, ""},
		{"without the claim", func(q *uma.Question) { q.Claims = map[string]any{"email": "bob@bob.example"} }, event.Denied, ""},
		{"another scope", func(q *uma.Question) { q.Scopes = []string{"post"} }, event.Denied, ""},
		{"a scope that is not offered", func(q *uma.Question) { q.Scopes = []string{"print"} }, event.Denied, "does not offer"},
		{"a resource that is not registered", func(q *uma.Question) { q.Resource = "nothing" }, event.Denied, "no such resource"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := ask
			tc.edit(&q)
			e, err := b.server.Explain(t.Context(), q)
			if err != nil || e.Outcome != tc.outcome {
				t.Fatalf("%+v, %v", e, err)
			}
			if !slices.ContainsFunc(e.Notes, func(n string) bool { return strings.Contains(n, tc.note) }) {
				t.Errorf("notes %q, want %q", e.Notes, tc.note)
			}
		})
	}
	for name, q := range map[string]uma.Question{
		"unknown resource server": {Claims: ask.Claims, ResourceServer: "apl", Resource: "RS API"},
		"no address":              {Claims: map[string]any{"sub": "x"}, ResourceServer: "api", Resource: "RS API"},
	} {
		if _, err := b.server.Explain(t.Context(), q); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What a condition fails at is told to the administrator, with the claim.
func TestExplain_Condition(t *testing.T) {
	compiled := func(text string) policy.Policy {
		p, _, err := cel.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{
			{Name: "auditors", From: from("bob.example"), When: compiled(`email.local == "bob" && "auditor" in claims.groups`)},
			{Name: "department", From: from("bob.example"), When: compiled(`claims.department == "rd"`)},
			{Name: "nobody", From: from("bob.example"), Deny: true, When: compiled(`claims.leaver == true`)},
		}
	})
	res := b.ask(b.fresh(), map[string]any{"groups": []string{"staff", "editors"}})
	if res.code() != "request_denied" {
		t.Fatal(res.text)
	}
	e, err := b.server.ExplainDecision(t.Context(), res.get("decision_id"))
	if err != nil {
		t.Fatal(err)
	}
	got := e.Resources[0].Policies
	for i, want := range []struct{ result, detail string }{
		{"condition is false", `"auditor" in claims.groups`},
		{"condition cannot be evaluated", "claims.department is missing"},
		{"matches", "claims.leaver is missing"}, // what cannot be evaluated keeps out
	} {
		if got[i].Result != want.result || !strings.Contains(got[i].Detail, want.detail) || strings.Contains(got[i].Detail, "email.local") {
			t.Errorf("%+v, want %v", got[i], want)
		}
	}
}
