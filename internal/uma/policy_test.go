package uma_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// people are good claims of others whose provider is that of the bench, too.
func person(address string) map[string]any {
	return map[string]any{"email": address, "sub": address}
}

func TestCA_39_Policies(t *testing.T) {
	const granted, denied = "", "request_denied"
	all := from("bob.example")
	for _, tc := range []struct {
		name     string
		policies []uma.Policy
		email    string
		claims   map[string]any
		want     string
	}{
		{"UG-62 no policy", nil, "bob@bob.example", nil, denied},
		{"exact address", []uma.Policy{{From: from("bob@bob.example")}}, "bob@bob.example", nil, granted},
		{"another address of the domain", []uma.Policy{{From: from("bob@bob.example")}}, "mallory@bob.example", nil, denied},
		{"SEC-26 the domain in upper case", []uma.Policy{{From: from("bob@bob.example")}}, "bob@BOB.Example", nil, granted},
		{"SEC-26 the local part counts as it is", []uma.Policy{{From: from("bob@bob.example")}}, "Bob@bob.example", nil, denied},
		{"SEC-26 exact domain", []uma.Policy{{From: all}}, "x@bob.example", nil, granted},
		{"SEC-26 evilbob.example", []uma.Policy{{From: all}}, "bob@evilbob.example", nil, denied},
		{"SEC-26 a subdomain is not the domain", []uma.Policy{{From: all}}, "bob@other.bob.example", nil, denied},
		{"SEC-26 *.domain", []uma.Policy{{From: from("*.bob.example")}}, "bob@other.bob.example", nil, granted},
		{"SEC-26 *.domain is not the domain", []uma.Policy{{From: from("*.bob.example")}}, "bob@bob.example", nil, denied},
		{"SEC-26 *.domain and evilbob.example", []uma.Policy{{From: from("*.bob.example")}}, "bob@evilbob.example", nil, denied},
		{"by issuer", []uma.Policy{{From: uma.From{Issuers: []string{"https://bob.example"}}}}, "bob@bob.example", nil, granted},
		{"by another issuer", []uma.Policy{{From: uma.From{Issuers: []string{"https://bob.example/"}}}}, "bob@bob.example", nil, denied},
		{"SEC-26 deny wins", []uma.Policy{{From: all}, {From: from("bob@bob.example"), Deny: true}}, "bob@bob.example", nil, denied},
		{"SEC-26 deny for somebody else", []uma.Policy{{From: all}, {From: from("eve@bob.example"), Deny: true}}, "bob@bob.example", nil, granted},
		{"only deny rules", []uma.Policy{{From: from("eve@bob.example"), Deny: true}}, "bob@bob.example", nil, denied},
		{"condition holds", []uma.Policy{{From: all, When: claimIs("acr", "high")}}, "bob@bob.example", map[string]any{"acr": "high"}, granted},
		{"condition does not hold", []uma.Policy{{From: all, When: claimIs("acr", "high")}}, "bob@bob.example", map[string]any{"acr": "low"}, denied},
		{"UG-62 condition fails", []uma.Policy{{From: all, When: claimIs("acr", "high")}}, "bob@bob.example", nil, denied},
		{"SEC-26 failing deny condition matches", []uma.Policy{{From: all}, {From: all, Deny: true, When: claimIs("acr", "low")}}, "bob@bob.example", nil, denied},
		{"SEC-26 deny condition does not hold", []uma.Policy{{From: all}, {From: all, Deny: true, When: claimIs("acr", "low")}}, "bob@bob.example", map[string]any{"acr": "high"}, granted},
		{"SEC-26 from anyone", []uma.Policy{{From: uma.From{Anyone: true}}}, "x@bob.example", nil, granted},
		{"SEC-26 from anyone sees no claims", []uma.Policy{{From: uma.From{Anyone: true}, When: claimIs("acr", "high")}}, "x@bob.example", map[string]any{"acr": "high"}, denied},
		{"by client", []uma.Policy{{From: all, Clients: []string{"app"}}}, "bob@bob.example", nil, granted},
		{"by another client", []uma.Policy{{From: all, Clients: []string{"other"}}}, "bob@bob.example", nil, denied},
		{"by name", []uma.Policy{{From: all, ResourceServers: []string{"api"}, Resources: []string{"RS API"}}}, "bob@bob.example", nil, granted},
		{"by another name", []uma.Policy{{From: all, ResourceServers: []string{"api"}, Resources: []string{"RS"}}}, "bob@bob.example", nil, denied},
		{"by type", []uma.Policy{{From: all, ResourceServers: []string{"api"}, Types: []string{"t"}}}, "bob@bob.example", nil, granted},
		{"by another type", []uma.Policy{{From: all, ResourceServers: []string{"api"}, Types: []string{""}}}, "bob@bob.example", nil, denied},
		{"SEC-26 of another resource server", []uma.Policy{{From: all, ResourceServers: []string{"photos"}, Resources: []string{"RS API"}}}, "bob@bob.example", nil, denied},
		{"by scope", []uma.Policy{{From: all, Scopes: []string{"get"}}}, "bob@bob.example", nil, granted},
		{"by another scope", []uma.Policy{{From: all, Scopes: []string{"post"}}}, "bob@bob.example", nil, denied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.policies {
				tc.policies[i].Name = string(rune('a' + i))
			}
			b := newBench(t, func(b *bench) {
				b.cfg.Policies = tc.policies
				// Everybody of these domains is with the one provider.
				for _, d := range []string{"evilbob.example", "other.bob.example"} {
					b.domain = append(b.domain, discovery.Domain{Pattern: d, BaseURL: b.op.Issuer, NoWebFinger: true})
				}
			})
			pat := b.pat("api")
			res := b.ask(b.ticket(pat, b.register(pat, "RS API", "t", "get", "post"), "get"), person(tc.email), tc.claims)
			if res.code() != tc.want || tc.want != "" && (res.status != http.StatusForbidden || res.body["ticket"] != nil) {
				t.Errorf("UG-46: %d %s", res.status, res.text)
			}
		})
	}
}

func TestSEC_26_ResourceServers(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{
			Name: "api", ResourceServers: []string{"api"}, Resources: []string{"RS API"}, Types: []string{"t"}, From: from("bob.example"),
		}}
	})
	ask := func(rs, audience string) reply {
		pat := b.pat(rs)
		return b.ask(b.ticket(pat, b.register(pat, "RS API", "t", "get"), "get"), map[string]any{"aud": audience})
	}
	if res := ask("api", apiURI); res.status != 200 {
		t.Errorf("its own: %s", res.text)
	}
	if res := ask("photos", "Photos"); res.code() != "request_denied" {
		t.Errorf("the same name and type elsewhere: %d %s", res.status, res.text)
	}
}

// Errors of the configuration that would open something.
func TestSEC_26_Config(t *testing.T) {
	for name, edit := range map[string]func(*uma.Config){
		"no from":                           func(c *uma.Config) { c.Policies[0].From = uma.From{} },
		"no name":                           func(c *uma.Config) { c.Policies[0].Name = "" },
		"a name twice":                      func(c *uma.Config) { c.Policies = append(c.Policies, c.Policies[0]) },
		"a resource of no resource server":  func(c *uma.Config) { c.Policies[0].Resources = []string{"RS API"} },
		"a type of no resource server":      func(c *uma.Config) { c.Policies[0].Types = []string{"t"} },
		"an unknown resource server":        func(c *uma.Config) { c.Policies[0].ResourceServers = []string{"apo"} },
		"A8 a URI twice":                    func(c *uma.Config) { c.ResourceServers[1].URI = apiURI },
		"A8 a prefix of another's":          func(c *uma.Config) { c.ResourceServers[1].URI = apiURI + "/v1" },
		"A8 an audience twice":              func(c *uma.Config) { c.ResourceServers[0].Audience = "Photos" },
		"A8 another's URI as audience":      func(c *uma.Config) { c.ResourceServers[0].Audience = photosURI },
		"a resource server without secrets": func(c *uma.Config) { c.ResourceServers[0].Secrets = nil },
		"a client without secrets":          func(c *uma.Config) { c.Clients[0].Public = false },
		"one id for two":                    func(c *uma.Config) { c.Clients[0].ID = "api" },
		"an id that is no id":               func(c *uma.Config) { c.Clients[0].ID = "a\nb" },
		"no store":                          func(c *uma.Config) { c.Store = nil },
		"issuer with a query":               func(c *uma.Config) { c.Issuer += "?x" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			cfg := b.cfg
			cfg.Policies = append([]uma.Policy(nil), cfg.Policies...)
			edit(&cfg)
			if _, err := uma.New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestUG_33_Scopes(t *testing.T) {
	rules := []uma.Policy{
		{Name: "read", Scopes: []string{"get", "list"}, From: from("bob.example")},
		{Name: "never", Scopes: []string{"list"}, From: from("bob.example"), Deny: true},
	}
	for _, tc := range []struct {
		name    string
		partial bool
		asked   []string
		want    []string // nil = request_denied
	}{
		{"all pass", false, []string{"get"}, []string{"get"}},
		{"UG-34 not all pass: error", false, []string{"get", "post"}, nil},
		{"UG-34 not all pass: the rest", true, []string{"get", "post", "list"}, []string{"get"}},
		{"UG-34 none passes", true, []string{"post", "list"}, nil},
		{"a resource as such needs a rule for every scope", true, []string{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.Policies, b.cfg.PartialGrant = rules, tc.partial })
			pat := b.pat("api")
			id := b.register(pat, "x", "", "get", "post", "list")
			res := b.ask(b.ticket(pat, id, tc.asked...))
			if tc.want == nil {
				if res.code() != "request_denied" || res.body["ticket"] != nil {
					t.Errorf("UG-46: %d %s", res.status, res.text)
				}
				return
			}
			if got := b.permissions(res); !cmp.Equal(got, map[string][]string{id: tc.want}) {
				t.Errorf("%v", got)
			}
		})
	}
}

// What a condition sees, and what it does not.
func TestCA_39_Input(t *testing.T) {
	var seen *policy.Input
	look := when(func(in *policy.Input) (bool, error) { seen = in; return true, nil })
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "look", From: from("bob.example"), When: look}}
	})
	pat := b.pat("api")
	id := b.register(pat, "RS API", "t", "get", "post")
	// PEERS: a claim "now" or "time" of the requesting party is not the clock.
	if res := b.ask(b.ticket(pat, id, "get"), map[string]any{"now": 1, "groups": []string{"a"}}); res.status != 200 {
		t.Fatal(res.text)
	}
	got := *seen
	if got.Budget == nil || got.DecisionID == "" {
		t.Error("no budget or no decision id")
	}
	got.Claims, got.Budget, got.DecisionID = nil, nil, ""
	want := policy.Input{
		Email:  policy.Email{Address: "bob@bob.example", Local: "bob", Domain: "bob.example"},
		Issuer: "https://bob.example", Subject: "bob-1",
		Resource: policy.Resource{ID: id, Name: "RS API", Type: "t", Owner: "api", Server: "api", Scopes: []string{"get", "post"}},
		Scopes:   []string{"get"}, Client: "app",
		Request: policy.Request{Method: "POST", IP: "192.0.2.1"}, Now: b.clock(),
	}
	if !cmp.Equal(got, want) || seen.Claims["groups"] == nil {
		t.Errorf("%s", cmp.Diff(want, got))
	}
}

func TestUG_62_ConditionErrorIsNotShown(t *testing.T) {
	b := newBench(t, func(b *bench) {
		fails := when(func(*policy.Input) (bool, error) { return true, errors.New("cAnArY") })
		b.cfg.Policies = []uma.Policy{{Name: "x", From: from("bob.example"), When: fails}}
	})
	if res := b.ask(b.fresh()); res.code() != "request_denied" || strings.Contains(res.text, "cAnArY") {
		t.Errorf("%d %s", res.status, res.text)
	}
}
