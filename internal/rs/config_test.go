package rs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestValidate(t *testing.T) {
	good := rs.Config{Issuer: issuer, ClientID: "api"}
	for _, c := range []struct {
		name   string
		change func(*rs.Config)
		want   string
	}{
		{"good", func(*rs.Config) {}, ""},
		{"issuer", func(c *rs.Config) { c.Issuer = "http://as.example" }, "issuer 'http://as.example' must be an https URL without query or fragment"},
		{"client", func(c *rs.Config) { c.ClientID = "" }, "client_id is required"},
		{"resource URI", func(c *rs.Config) { c.ResourceURI = "RS API" }, "resource_uri 'RS API' must be a canonical https URL without query or fragment"},
		{"scope without a name", func(c *rs.Config) { c.Scopes = []rs.Scope{{}} }, "resource '': '' is no scope"},
		{"method twice", func(c *rs.Config) {
			c.Scopes = []rs.Scope{{Name: "get"}, {Name: "read", Methods: []string{"GET"}}}
		}, "resource '': method GET is mapped to both 'get' and 'read'"},
		{"star twice", func(c *rs.Config) {
			c.Scopes = []rs.Scope{{Name: "a", Methods: []string{"*"}}, {Name: "b", Methods: []string{"*"}}}
		}, "resource '': method * is mapped to both 'a' and 'b'"},
		{"two names", func(c *rs.Config) { c.Resources = []rs.Resource{{Name: "a"}, {Name: "a"}} }, "resource 'a' is declared twice"},
		{"no name", func(c *rs.Config) { c.Resources = []rs.Resource{{Name: "a"}, {}} }, "resource 2 has no name"},
		{"also itself", func(c *rs.Config) {
			c.Resources = []rs.Resource{{Name: "a", Also: []rs.Also{{Resource: "a"}}}}
		}, "resource 'a': 'also' names the resource itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			got := ""
			if err := cfg.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("Validate = %q, want %q", got, c.want)
			}
		})
	}
}

func TestMappedMethods(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{
			{Name: "a", Scopes: []rs.Scope{{Name: "get"}, {Name: "post"}}},
			{Name: "b", Scopes: []rs.Scope{{Name: "use", Methods: []string{"*", "QUERY"}}}},
		}
	})
	for index, want := range map[int][]string{
		-1: nil, 0: {"GET", "HEAD", "POST"}, 1: {"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT", "QUERY"}, 2: nil,
	} {
		if diff := cmp.Diff(want, w.rs.MappedMethods(index)); diff != "" {
			t.Errorf("MappedMethods(%d) (-want +got):\n%s", index, diff)
		}
	}
}
