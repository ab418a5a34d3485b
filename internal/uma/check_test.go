package uma_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// Each mistake stands beside a neighbour that is none (want "").
func TestCheck(t *testing.T) {
	const uri = "https://api.alice.example/jwks"
	secret := [][32]byte{clientauth.HashSecret("x")}
	keys := []byte(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)
	for _, tc := range []struct {
		name string
		edit func(c *uma.Config)
		want string
	}{
		{"nothing special", func(*uma.Config) {}, ""},

		{"a resource server with keys", func(c *uma.Config) { c.ResourceServers[0].Credentials = clientauth.Credentials{JWKSURI: uri} }, ""},
		{"a resource server with nothing", func(c *uma.Config) { c.ResourceServers[0].Credentials = clientauth.Credentials{} }, "resource_server 'api' has no credentials: add a secret or jwks_uri"},
		{"two key sets", func(c *uma.Config) {
			c.ResourceServers[0].Credentials = clientauth.Credentials{JWKSURI: uri, JWKS: keys}
		}, "both jwks_uri and jwks_file"},
		{"keys over http", func(c *uma.Config) { c.Clients[0].Credentials.JWKSURI = "http://a.example/jwks" }, "jwks_uri 'http://a.example/jwks' must be an https URL"},
		{"keys at a user's", func(c *uma.Config) { c.Clients[0].Credentials.JWKSURI = "https://u:p@a.example/jwks" }, "must be an https URL"},
		{"keys with a fragment", func(c *uma.Config) { c.Clients[0].Credentials.JWKSURI = uri + "#" }, "must be an https URL"},
		{"keys with a query", func(c *uma.Config) { c.Clients[0].Credentials.JWKSURI = uri + "?a=b" }, ""},
		{"self-signed without keys", func(c *uma.Config) { c.Clients[0].TLSSelfSigned = true }, "add jwks_uri or jwks_file"},
		{"self-signed with keys", func(c *uma.Config) { c.Clients[0].TLSSelfSigned, c.Clients[0].JWKS = true, keys }, ""},
		{"a subject", func(c *uma.Config) { c.Clients[0].TLSSubject = "CN=web,O=Alice" }, ""},
		{"a host name as subject", func(c *uma.Config) { c.Clients[0].TLSSubject = "web.example" }, "no subject of a certificate"},
		{"public with keys", func(c *uma.Config) { c.Clients[1].JWKSURI = uri }, "client 'app' is public and has keys"},
		{"public with a certificate", func(c *uma.Config) { c.Clients[1].TLSSubject = "CN=app" }, "is public and has a certificate"},
		{"public with a secret", func(c *uma.Config) { c.Clients[1].Secrets = secret }, "is public and has a secret"},
		{"public with scopes", func(c *uma.Config) { c.Clients[1].Scopes, c.Clients[1].DPoPBound = []string{"read"}, true }, ""},
		{"the scope of resource servers", func(c *uma.Config) { c.Clients[0].Scopes = []string{"read", "uma_protection"} }, "'uma_protection' is for resource servers"},
		{"a scope with a space", func(c *uma.Config) { c.Clients[0].Scopes = []string{"read write"} }, "is no scope"},

		{"an unknown binding of a resource server", func(c *uma.Config) { c.ResourceServers[0].Require = "tls" }, "require 'tls' is unknown"},
		{"a binding of a resource server", func(c *uma.Config) { c.ResourceServers[0].Require = uma.BindMTLS }, ""},
		{"a binding of a policy", func(c *uma.Config) { c.Policies[0].Require = uma.BindDPoP }, ""},

		{"an unknown resource server", func(c *uma.Config) { c.Policies[0].ResourceServers = []string{"apl"} }, "policy 'p': no resource_server 'apl'; declared: api, did you mean 'api'?"},
		{"a resource of no resource server", func(c *uma.Config) { c.Policies[0].ResourceServers, c.ResourceServers = []string{"apl"}, nil }, "none is declared"},
		{"a declared client", func(c *uma.Config) { c.Policies[0].Clients = []string{"web"} }, ""},
		{"an unknown client", func(c *uma.Config) { c.Policies[0].Clients = []string{"wep"} }, "policy 'p': no client 'wep'; declared: web, app, did you mean 'web'?"},
		{"a resource server is no client", func(c *uma.Config) { c.Policies[0].Clients = []string{"api"} }, "no client 'api'"},
		{"an unknown client, with registration", func(c *uma.Config) {
			c.Policies[0].Clients, c.InitialAccessTokens = []string{"4f2a"}, secret
		}, ""},
		{"a client by URL", func(c *uma.Config) {
			c.Policies[0].Clients, c.ClientDocuments = []string{"https://a.example/c"}, new(uma.ClientDocuments)
		}, ""},
		{"a client by name, with documents", func(c *uma.Config) {
			c.Policies[0].Clients, c.ClientDocuments = []string{"wep"}, new(uma.ClientDocuments)
		}, "no client 'wep'"},
		{"a client by URL, without documents", func(c *uma.Config) { c.Policies[0].Clients = []string{"https://a.example/c"} }, "only with client_metadata_documents"},
		{"domains of documents", func(c *uma.Config) {
			c.ClientDocuments = &uma.ClientDocuments{Domains: []string{"a.example", "*.a.example"}}
		}, ""},
		{"a URL as domain", func(c *uma.Config) {
			c.ClientDocuments = &uma.ClientDocuments{Domains: []string{"https://a.example"}}
		}, "'https://a.example' is no domain"},
		{"a domain in upper case", func(c *uma.Config) { c.ClientDocuments = &uma.ClientDocuments{Domains: []string{"A.example"}} }, "is no domain"},

		{"a claim without a name", func(c *uma.Config) { c.Policies[0].RequiredClaims = []string{""} }, "is no name of a claim"},
		{"accept_pct without pct", func(c *uma.Config) { c.Policies[0].AcceptPCT = true }, "accept_pct does nothing"},
		{"accept_pct with pct", func(c *uma.Config) { c.Policies[0].AcceptPCT, c.PCTLifetime = true, time.Hour }, ""},
		{"deny in shadow", func(c *uma.Config) { c.Policies[0].Deny, c.Policies[0].Shadow = true, true }, ""},

		{"the most rounds", func(c *uma.Config) { c.Rounds = 100 }, ""},
		{"too many rounds", func(c *uma.Config) { c.Rounds = 101 }, "need_info_rounds must be a number from 1 to 100"},
		{"a negative number of rounds", func(c *uma.Config) { c.Rounds = -1 }, "need_info_rounds must be a number from 1 to 100"},

		{"continuity", func(c *uma.Config) { c.Continuity = uma.ContinuityOff }, ""},
		{"unknown continuity", func(c *uma.Config) { c.Continuity = "none" }, "continuity 'none' is unknown"},
		{"a year", func(c *uma.Config) { c.RefreshLifetime = 365 * 24 * time.Hour }, ""},
		{"more than a year", func(c *uma.Config) { c.RefreshLifetime = 365*24*time.Hour + 1 }, "refresh_tokens: 8760h0m0.000000001s is longer than a year"},
		{"a negative time", func(c *uma.Config) { c.PCTLifetime = -1 }, "pct cannot be negative"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := uma.Config{
				Issuer:          issuer,
				ResourceServers: []uma.ResourceServer{{ID: "api", URI: apiURI, Credentials: clientauth.Credentials{Secrets: secret}}},
				Clients: []clientauth.Client{
					{ID: "web", Credentials: clientauth.Credentials{Secrets: secret}},
					{ID: "app", Public: true},
				},
				Policies: []uma.Policy{{Name: "p", From: from("bob.example")}},
			}
			tc.edit(&c)
			err := c.Check()
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Check = %v, want %q", err, tc.want)
			}
		})
	}
}

// An adapter finds the place of a mistake by these.
func TestSettingError(t *testing.T) {
	c := uma.Config{Issuer: issuer, Clients: []clientauth.Client{{ID: "web"}}, Policies: []uma.Policy{{Name: "p"}}}
	e, ok := errors.AsType[*uma.SettingError](c.Check())
	if !ok || e.Kind != uma.KindClient || e.Name != "web" {
		t.Errorf("%v", e)
	}
	c.Clients = nil
	e, ok = errors.AsType[*uma.SettingError](c.Check())
	if !ok || e.Kind != uma.KindPolicy || e.Name != "p" {
		t.Errorf("%v", e)
	}
}
