package uma_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

var metadataSeeds = []string{
	`{}`, `[]`, ``, `null`, `{"jwks":null,"grant_types":null}`, `{"#texts":{"client_name":"x"}}`, `{"#texts":5}`,
	`{"redirect_uris":["https://a.example/cb"],"grant_types":["urn:ietf:params:oauth:grant-type:uma-ticket"],"client_name#de":"x","scope":"a b"}`,
	`{"client_id":"https://evil.example/client","token_endpoint_auth_method":"none","grant_types":["refresh_token"]}`,
	`{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/keys","dpop_bound_access_tokens":true}`,
	`{"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=a"}`,
	`{"token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}`,
}

// checkClient holds what each client is that got through a parser.
func checkClient(t *testing.T, c clientauth.Client) {
	t.Helper()
	if slices.Contains(c.Scopes, oauth.ScopeUMAProtection) || c.Check() != nil || c.Method == "" || c.Public != (c.Method == "none") {
		t.Errorf("%+v", c)
	}
	for _, grant := range c.GrantTypes {
		if !slices.Contains([]string{oauth.GrantUMATicket, "refresh_token", "client_credentials", "authorization_code"}, grant) {
			t.Errorf("grant %q", grant)
		}
	}
	if len(c.GrantTypes) == 0 { // nil would be every grant
		t.Error("no grant types")
	}
}

func FuzzClientMetadata(f *testing.F) {
	for _, seed := range metadataSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		all, client, err := uma.ParseClientMetadata(body)
		var e *oauth.Error
		if err != nil {
			if !errors.As(err, &e) || e.Status != 400 || e.Code != "invalid_client_metadata" && e.Code != "invalid_redirect_uri" {
				t.Errorf("%v", err)
			}
			return
		}
		checkClient(t, client)
		for _, name := range []string{"redirect_uris", "claims_redirect_uris"} {
			uris, _ := all[name].([]any)
			for _, uri := range uris {
				text, _ := uri.(string)
				if u, err := url.Parse(text); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" {
					t.Errorf("%s %q", name, text)
				}
			}
		}
		// What is returned can be registered, and is the same then.
		again, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if second, _, err := uma.ParseClientMetadata(again); err != nil || text(t, second) != string(again) {
			t.Errorf("%s: %v", again, err)
		}
	})
}

func FuzzClientDocument(f *testing.F) {
	for _, seed := range metadataSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		client, err := uma.ParseClientDocument(body, docID)
		if err != nil {
			return
		}
		checkClient(t, client)
		if client.ID != docID || len(client.Scopes) > 0 || len(client.Secrets) > 0 || client.Method != "none" && client.Method != "private_key_jwt" {
			t.Errorf("%+v", client)
		}
	})
}

func FuzzClientID(f *testing.F) {
	for _, seed := range []string{docID, "https://a.example/x/../y", "https://a@b/", "https://a.example:8/x", "https://[::1]/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		host, ok := uma.ParseClientID(id)
		if !ok {
			return
		}
		u, err := url.Parse(id)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Path == "" || u.RawQuery != "" || strings.Contains(id, "#") ||
			u.Hostname() != host || host == "" || u.String() != id || u.Path != "/" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
			t.Errorf("%q", id)
		}
	})
}
