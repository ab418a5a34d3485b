package uma_test

import (
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// added is what one document has and the other has not; of lists the entries. What
// is missing counts as there with a minus.
func added(from, to map[string]any) map[string]any {
	diff := map[string]any{}
	for name, value := range to {
		old, isList := from[name].([]any)
		now, _ := value.([]any)
		switch {
		case isList && len(now) > len(old) && reflect.DeepEqual(now[:len(old)], old):
			diff[name] = now[len(old):]
		case !reflect.DeepEqual(from[name], value):
			diff[name] = value
		}
	}
	for name := range from {
		if _, there := to[name]; !there {
			diff["-"+name] = true
		}
	}
	return diff
}

// Each feature is switched on by itself: exactly its members appear.
func TestOD_13_Toggle(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	keys := clientauth.Credentials{JWKS: josetest.JWKS(key.JWK(nil))}
	selfSigned := keys
	selfSigned.TLSSelfSigned = true
	client := func(c clientauth.Client) func(*bench) {
		c.ID = "another"
		return func(b *bench) { b.cfg.Clients = append(b.cfg.Clients, c) }
	}
	algs := []any{"ES256", "ES384", "RS256", "PS256", "EdDSA"}
	methods := func(names ...any) map[string]any {
		m := map[string]any{"token_endpoint_auth_methods_supported": names, "revocation_endpoint_auth_methods_supported": names}
		if slices.Contains(names, any("private_key_jwt")) {
			// RFC 8414 §2: both MUST be there then.
			m["token_endpoint_auth_signing_alg_values_supported"] = algs
			m["revocation_endpoint_auth_signing_alg_values_supported"] = algs
		}
		return m
	}
	and := func(m map[string]any, name string, value any) map[string]any {
		m[name] = value
		return m
	}
	const bound = "tls_client_certificate_bound_access_tokens"
	plain := newBench(t).get("/.well-known/uma2-configuration")
	for name, tc := range map[string]struct {
		edit func(*bench)
		want map[string]any
	}{
		"nothing":        {func(*bench) {}, map[string]any{}},
		"refresh tokens": {func(b *bench) { b.cfg.RefreshLifetime = time.Hour }, map[string]any{"grant_types_supported": []any{"refresh_token"}}},
		"PCTs":           {func(b *bench) { b.cfg.PCTLifetime = time.Hour }, map[string]any{}},
		"nonces":         {func(b *bench) { b.cfg.DPoPNonces = true }, map[string]any{}},
		"terms":          {func(b *bench) { b.cfg.Terms = "https://a.example/" }, map[string]any{"op_tos_uri": "https://a.example/"}},
		"registration": {
			func(b *bench) { b.cfg.InitialAccessTokens = [][32]byte{clientauth.HashSecret(initialToken)} },
			and(and(methods("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"), bound, true),
				"registration_endpoint", issuer+"/uma/register"),
		},
		"metadata documents": {
			func(b *bench) { b.cfg.ClientDocuments = new(uma.ClientDocuments) },
			and(and(methods("private_key_jwt"), bound, true), "client_id_metadata_document_supported", true),
		},
		"a public client":        {client(clientauth.Client{Public: true}), map[string]any{}},
		"a client with keys":     {client(clientauth.Client{Credentials: keys}), methods("private_key_jwt")},
		"a client by its name":   {client(clientauth.Client{Credentials: clientauth.Credentials{TLSSubject: "CN=a"}}), and(methods("tls_client_auth"), bound, true)},
		"a client self-signed":   {client(clientauth.Client{Credentials: selfSigned}), and(methods("private_key_jwt", "self_signed_tls_client_auth"), bound, true)},
		"a client that is bound": {client(clientauth.Client{Public: true, TLSBound: true}), map[string]any{bound: true}},
		"a resource server that demands certificates": {
			func(b *bench) { b.cfg.ResourceServers[0].Require = uma.BindMTLS }, map[string]any{bound: true},
		},
	} {
		t.Run("OD-13 "+name, func(t *testing.T) {
			b := newBench(t, tc.edit)
			if d := cmp.Diff(tc.want, added(plain.body, b.get("/.well-known/uma2-configuration").body)); d != "" {
				t.Errorf("what this adds to the document (-want +got):\n%s", d)
			}
			_, registers := tc.want["registration_endpoint"]
			for _, path := range []string{"register", "register/c-AAAAAAAAAAAAAAAAAAAAAA"} {
				if res := b.request(http.MethodPost, path, "{}"); (res.status != http.StatusNotFound) != registers {
					t.Errorf("%s: %d %s", path, res.status, res.text)
				}
			}
		})
	}
}
