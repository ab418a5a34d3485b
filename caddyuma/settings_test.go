package caddyuma

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// plain takes secrets as they are and the name of a file for its keys.
var plain = umaapp.Lookup{
	Secret: func(_, text string) (string, error) { return text, nil },
	Keys:   func(file string) ([]byte, error) { return []byte(file), nil },
}

func TestSettings(t *testing.T) {
	h := Handler{
		Issuer: "https://as.example.com",
		ResourceServers: []ResourceServer{
			{ClientID: "api", ResourceURI: "https://api.example.com", RPT: "opaque", Require: "dpop", Credentials: umaapp.Credentials{JWKSURI: "https://api.example.com/jwks", SelfSignedTLSClientAuth: true}},
			{ClientID: "tape", ResourceURI: "https://tape.example.com", RPT: "jwt", Credentials: umaapp.Credentials{TLSClientAuth: "CN=tape"}},
		},
		Clients: []Client{
			{ClientID: "robot", Scopes: []string{"read"}, DPoPBound: true, Credentials: umaapp.Credentials{JWKSFile: "/robot", ClientSecrets: []string{"a", "b"}}},
		},
		ClientMetadataDocuments: &ClientMetadataDocuments{Domains: []string{"Apps.example"}},
		Registration:            &Registration{InitialAccessTokens: []string{"c"}},
		Policies: []Policy{{
			Name: "p", From: []string{"bob.example"}, RequiredClaims: []string{"groups"}, Require: "mtls", AcceptPCT: true, Shadow: true,
		}},
		Continuity: "warn", RefreshTokens: caddy.Duration(48 * time.Hour), PCT: caddy.Duration(time.Minute),
		ReplayGrace: caddy.Duration(time.Second), DPoPNonces: true,
	}
	got, err := h.settings(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := uma.Config{
		Issuer: "https://as.example.com",
		ResourceServers: []uma.ResourceServer{
			{ID: "api", URI: "https://api.example.com", Opaque: true, Require: uma.BindDPoP, Credentials: clientauth.Credentials{JWKSURI: "https://api.example.com/jwks", TLSSelfSigned: true}},
			{ID: "tape", URI: "https://tape.example.com", Credentials: clientauth.Credentials{TLSSubject: "CN=tape"}},
		},
		Clients: []clientauth.Client{{
			ID: "robot", Scopes: []string{"read"}, DPoPBound: true,
			Credentials: clientauth.Credentials{JWKS: []byte("/robot"), Secrets: [][32]byte{clientauth.HashSecret("a"), clientauth.HashSecret("b")}},
		}},
		ClientDocuments:     &uma.ClientDocuments{Domains: []string{"apps.example"}},
		InitialAccessTokens: [][32]byte{clientauth.HashSecret("c")},
		Policies: []uma.Policy{{
			Name: "p", From: uma.From{Domains: []string{"bob.example"}}, RequiredClaims: []string{"groups"},
			Require: uma.BindMTLS, AcceptPCT: true, Shadow: true,
		}},
		Continuity: uma.ContinuityWarn, RefreshLifetime: 48 * time.Hour, PCTLifetime: time.Minute,
		ReplayGrace: time.Second, DPoPNonces: true,
		TicketLifetime: 5 * time.Minute, RPTLifetime: 5 * time.Minute, PATLifetime: time.Hour, Leeway: time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is off by default is off.
func TestSettingsDefaults(t *testing.T) {
	got, err := (&Handler{Issuer: "https://as.example.com"}).settings(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := uma.Config{
		Issuer: "https://as.example.com", Clients: []clientauth.Client{{ID: "caddy-uma", Public: true}}, ReplayGrace: 10 * time.Second,
		TicketLifetime: 5 * time.Minute, RPTLifetime: 5 * time.Minute, PATLifetime: time.Hour, Leeway: time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		limit  *syntax.RateLimit
		passes int // at once
	}{
		"default":    {nil, 5},
		"as written": {&syntax.RateLimit{Limit: 2, Window: caddy.Duration(time.Hour)}, 2},
		"off":        {&syntax.RateLimit{Off: true}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			h, cfg, passed := Handler{RateLimit: RateLimits{Registration: tc.limit}}, uma.Config{}, 0
			app := new(umaapp.App)
			t.Cleanup(func() { _ = app.Cleanup() })
			if err := h.fillLimits(app, &cfg); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if ok, _ := cfg.RegistrationLimit.Allow("192.0.2.1"); ok {
					passed++
				}
			}
			if passed != tc.passes {
				t.Errorf("%d registrations, want %d", passed, tc.passes)
			}
			again := uma.Config{} // a reload, which overlaps
			next := new(umaapp.App)
			t.Cleanup(func() { _ = next.Cleanup() })
			if err := h.fillLimits(next, &again); err != nil || again.RegistrationLimit != cfg.RegistrationLimit || again.Proofs != cfg.Proofs || again.Assertions != cfg.Assertions {
				t.Errorf("a reload forgets: %v", err)
			}
		})
	}
}

func TestRevision(t *testing.T) {
	guest := func(raw string) []Policy {
		return []Policy{{Name: "p", From: []string{"bob.example"}, EvaluateRaw: []byte(raw)}}
	}
	of := func(policies []Policy) string {
		t.Helper()
		r, err := revision(policies, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	base := of(guest(`{"policy":"roster","names":["bob"],"n":1,"notes":{"a":"1","b":"2"}}`))
	if len(base) != 22 {
		t.Errorf("revision %q has %d characters", base, len(base))
	}
	if again := of(guest(`{ "notes": {"b":"2", "a":"1"},` + "\n" + `"n":1, "names":["bob"], "policy":"roster" }`)); again != base {
		t.Error("the spelling of the JSON changes the revision")
	}
	seen := map[string]string{base: "base"}
	for name, policies := range map[string][]Policy{
		"none":            nil,
		"no guest":        {{Name: "p", From: []string{"bob.example"}}},
		"another guest":   guest(`{"policy":"stone","names":["bob"],"n":1,"notes":{"a":"1","b":"2"}}`),
		"another value":   guest(`{"policy":"roster","names":["bob"],"n":1,"notes":{"a":"1","b":"3"}}`),
		"a large number":  guest(`{"policy":"roster","names":["bob"],"n":9007199254740993,"notes":{"a":"1","b":"2"}}`),
		"one beside it":   guest(`{"policy":"roster","names":["bob"],"n":9007199254740992,"notes":{"a":"1","b":"2"}}`),
		"another name":    {{Name: "q", From: []string{"bob.example"}}},
		"another person":  {{Name: "p", From: []string{"bob@bob.example"}}},
		"a condition":     {{Name: "p", From: []string{"bob.example"}, When: `iss != ""`}},
		"a deny rule":     {{Name: "p", From: []string{"bob.example"}, Deny: true}},
		"in shadow":       {{Name: "p", From: []string{"bob.example"}, Shadow: true}},
		"bound":           {{Name: "p", From: []string{"bob.example"}, Require: "dpop"}},
		"required claims": {{Name: "p", From: []string{"bob.example"}, RequiredClaims: []string{"groups"}}},
		"two":             {{Name: "p", From: []string{"bob.example"}}, {Name: "q", From: []string{"bob.example"}}},
		"in other order":  {{Name: "q", From: []string{"bob.example"}}, {Name: "p", From: []string{"bob.example"}}},
	} {
		r := of(policies)
		if other, taken := seen[r]; taken {
			t.Errorf("%s and %s have one revision", name, other)
		}
		seen[r] = name
	}
}

// The line of a Caddyfile is no part of a policy.
func TestRevisionHasNoLines(t *testing.T) {
	const policy = "policy p {\n from bob.example\n evaluate roster bob\n}\n"
	revisionOf := func(before, after string) string {
		t.Helper()
		h := parse(t, "uma_server https://as.example.com {\n"+before+policy+after+"}")
		r, err := revision(h.Policies, h.EmailDomains)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := revisionOf("", "client app public\n")
	if second := revisionOf("# a comment\nclient web {env.WEB}\ncontinuity warn\n", "lifetime rpt 1m\n"); second != first {
		t.Error("an unrelated change makes another revision")
	}
}

// UG-60: who is denied, and whose word is pinned, decides about live grants as the
// policies do; where else the provider of a domain is asked does not.
func TestRevisionOfEmailDomains(t *testing.T) {
	of := func(block string) string {
		t.Helper()
		h := parse(t, "uma_server https://as.example.com {\n policy p {\n from bob.example\n }\n"+block+"}")
		r, err := revision(h.Policies, h.EmailDomains)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	none := of("")
	if got := of("email_domain bob.example https://127.0.0.1:1 {\n same_domain\n}\n"); got != none {
		t.Error("a base URL makes another revision")
	}
	seen := map[string]bool{none: true}
	for _, block := range []string{
		"email_domain bob.example deny\n",
		"email_domain *.bob.example deny\n",
		"email_domain bob.example https://sts.bob.example {\n webfinger off\n}\n",
		"email_domain bob.example https://sts2.bob.example {\n webfinger off\n}\n",
	} {
		r := of(block)
		if seen[r] {
			t.Errorf("%s makes no other revision", block)
		}
		seen[r] = true
	}
}
