package umaapp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/google/go-cmp/cmp"

	_ "github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// adapt gives the JSON of the app `uma`.
func adapt(t *testing.T, options string) (string, error) {
	t.Helper()
	input := "{\n" + options + "\n}\n"
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var cfg struct{ Apps map[string]json.RawMessage }
	if err := json.Unmarshal(raw, &cfg); err != nil {
		t.Fatal(err)
	}
	return string(cfg.Apps["uma"]), nil
}

func TestOption(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "uma", `{}`},
		{"store", "uma {\nstore bolt\n}", `{"store":{"module":"bolt"}}`},
		{"store with a path", "uma {\nstore bolt /srv/x.db\n}", `{"store":{"module":"bolt","path":"/srv/x.db"}}`},
		{"keys", "uma {\nkeys storage\nkey_rotation 30d\nalgorithm EdDSA\n}", `{"keys":"storage","key_rotation":2592000000000000,"algorithm":"EdDSA"}`},
		{"keys in the store", "uma {\nkeys store {env.KEK}\n}", `{"keys":"store","key_encryption_keys":["{env.KEK}"]}`},
		{"older secrets", "uma {\nkeys store {env.KEK} {file./run/old}\n}", `{"keys":"store","key_encryption_keys":["{env.KEK}","{file./run/old}"]}`},
		{"no rotation", "uma {\nkey_rotation off\n}", `{"key_rotation":-1}`},
		{"internal CA", "uma {\ntrust_internal_ca\n}", `{"trust_internal_ca":"local"}`},
		{"other internal CA", "uma {\ntrust_internal_ca corp\n}", `{"trust_internal_ca":"corp"}`},
		{"trust_pool", "uma {\ntrust_pool file /ca.pem\n}", `{"trust_pool":{"pem_files":["/ca.pem"],"provider":"file"}}`},
		{
			"connect_to", "uma {\nconnect_to Bob.localhost:443 127.0.0.1:8443\nconnect_to bob.localhost:8443 [::1]:8443\n}",
			`{"connect_to":{"bob.localhost:443":"127.0.0.1:8443","bob.localhost:8443":"[::1]:8443"}}`,
		},
		{"cache", "uma {\ncache 500 5m\nrefetch_pause 30s\n}", `{"cache":{"issuers":500,"max_age":300000000000},"refetch_pause":30000000000}`},
		{"audit", "uma {\naudit_subject hash\naudit_requests all\n}", `{"audit_subject":"hash","audit_requests":"all"}`},
		{"two blocks", "uma {\ncache 5\n}\numa {\naudit_subject off\n}", `{"cache":{"issuers":5},"audit_subject":"off"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := adapt(t, tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOptionRefused(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"typo", "uma {\nconect_to a:1 127.0.0.1:1\n}", "uma: unknown subdirective 'conect_to', did you mean 'connect_to'?, at Caddyfile:3"},
		{"unknown", "uma {\nfrobnicate\n}", "uma: unknown subdirective 'frobnicate'; known: algorithm, audit_requests, audit_subject,"},
		{"network_proxy", "uma {\nnetwork_proxy none\n}", "uma: 'network_proxy' is not supported yet, at Caddyfile:3"},
		{"store postgres", "uma {\nstore postgres {env.DSN}\n}", "uma: this binary has no store postgres; build it with github.com/caddy-uma/caddy-uma/caddyuma/postgres, at Caddyfile:3"},
		{"keys store", "uma {\nkeys store\n}", "uma: keys store needs the secret that keys are sealed with: keys store {env.NAME}, made with: openssl rand -base64 32, at Caddyfile:3"},
		{"keys storage with a secret", "uma {\nkeys storage {env.KEK}\n}", "uma: keys storage takes no secret"},
		{"keys store twice", "uma {\nkeys store {env.A}\nkeys store {env.B}\n}", "uma: keys is set twice"},
		{"keys store block", "uma {\nkeys store {env.A} {\nx\n}\n}", "uma: unexpected block"},
		{"store x", "uma {\nstore x\n}", "uma: there is no store 'x'; write: store bolt"},
		{"store spare", "uma {\nstore bolt a b\n}", "uma: store bolt takes one argument"},
		{"store block", "uma {\nstore bolt {\nx\n}\n}", "uma: store bolt takes one argument"},
		{"store twice", "uma {\nstore bolt\nstore bolt\n}", "uma: store is set twice, at Caddyfile:4"},
		{"argument", "uma x", "wrong argument count"},
		{"algorithm", "uma {\nalgorithm HS256\n}", "uma: algorithm 'HS256' is not one of ES256, EdDSA, PS256, RS256"},
		{"algorithm twice", "uma {\nalgorithm ES256\nalgorithm ES256\n}", "uma: algorithm is set twice"},
		{"algorithm none", "uma {\nalgorithm\n}", "wrong argument count"},
		{"keys", "uma {\nkeys vault\n}", "uma: keys 'vault' is unknown"},
		{"keys twice", "uma {\nkeys storage\nkeys storage\n}", "uma: keys is set twice"},
		{"audit", "uma {\naudit_subject full\n}", "uma: audit_subject 'full' is not one of plain, hash, off"},
		{"rotation", "uma {\nkey_rotation never\n}", "uma: key_rotation: 'never' is not a duration"},
		{"rotation negative", "uma {\nkey_rotation -1h\n}", "uma: key_rotation: '-1h' is not a duration"},
		{"rotation twice", "uma {\nkey_rotation off\nkey_rotation 1h\n}", "uma: key_rotation is set twice"},
		{"pause spare", "uma {\nrefetch_pause 1s 2s\n}", "wrong argument count"},
		{"connect_to without port", "uma {\nconnect_to bob.localhost 127.0.0.1:1\n}", "uma: connect_to 'bob.localhost' must be host:port"},
		{"connect_to wildcard", "uma {\nconnect_to *.localhost:443 127.0.0.1:1\n}", "uma: connect_to '*.localhost:443' must be host:port"},
		{"connect_to umlaut", "uma {\nconnect_to bücher.example:443 127.0.0.1:1\n}", "the host with other letters in its form xn--"},
		{"connect_to port 0", "uma {\nconnect_to a:443 127.0.0.1:0\n}", "must be an IP address with a port"},
		{"connect_to to a name", "uma {\nconnect_to a:443 localhost:1\n}", "uma: connect_to a:443: 'localhost:1' must be an IP address with a port"},
		{"connect_to two ways", "uma {\nconnect_to a:443 127.0.0.1:1\nconnect_to A:443 127.0.0.1:2\n}", "uma: connect_to a:443 leads to both 127.0.0.1:1 and 127.0.0.1:2"},
		{"connect_to one argument", "uma {\nconnect_to a:443\n}", "wrong argument count"},
		{"cache", "uma {\ncache 0\n}", "uma: cache '0' must be a number of issuers"},
		{"cache age", "uma {\ncache 1 soon\n}", "uma: cache: 'soon' is not a duration"},
		{"cache twice", "uma {\ncache 1\ncache 1\n}", "uma: cache is set twice"},
		{"cache none", "uma {\ncache\n}", "wrong argument count"},
		{"trust_pool unknown", "uma {\ntrust_pool nope\n}", "getting module named 'tls.ca_pool.source.nope'"},
		{"both trusts", "uma {\ntrust_pool file /ca.pem\ntrust_internal_ca\n}", "uma: choose one of trust_pool"},
		{"internal CA twice", "uma {\ntrust_internal_ca\ntrust_internal_ca\n}", "uma: trust_internal_ca is set twice"},
		{"internal CA block", "uma {\ntrust_internal_ca x {\ny\n}\n}", "uma: unexpected block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := adapt(t, tt.in)
			if err == nil {
				t.Fatalf("adapt = %s, want the error %q", got, tt.want)
			}
			if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.want)) {
				t.Errorf("error = %q, want %q in it", err, tt.want)
			}
		})
	}
}
