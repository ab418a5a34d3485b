package caddyuma

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls" // trust_pool file
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

const jwks = `{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`

// parse reads a directive.
func parse(t *testing.T, text string) *Handler {
	t.Helper()
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	return h
}

// provision does what `caddy validate` does with a Caddyfile, in a directory of
// its own, and gives the routes.
func provision(t *testing.T, text string) (http.Handler, error) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	options := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tstorage file_system " + dir + "\n\tuma {\n\t\tstore bolt " + dir + "/uma.db\n\t}\n}\n"
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(options+text), nil)
	if err != nil {
		return nil, err
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(adapted, cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return nil, err
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*caddyhttp.App).Servers["srv0"], nil
}

// file writes a file for a configuration.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// metadata asks for the document that every authorization server has.
func metadata(t *testing.T, server http.Handler, host string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/.well-known/uma2-configuration", nil)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"issuer":"https://`+host+`"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

const everyWord = `as.example.com {
	uma_server https://as.example.com {
		resource_server api https://api.example.com {
			jwks_uri https://api.example.com/jwks
			self_signed_tls_client_auth
			rpt opaque
			require dpop
		}
		resource_server files https://files.example.com {
			jwks_file KEYS
			require mtls
		}
		resource_server tape https://tape.example.com {
			tls_client_auth "CN=tape,O=Alice Inc"
		}
		client web {env.UMA_TEST_SECRET} {
			client_secret {env.UMA_TEST_SECRET}
			scope read write
		}
		client cron {
			jwks_file KEYS
			dpop_bound
		}
		client_metadata_documents apps.example *.apps.example
		registration {env.UMA_TEST_SECRET}
		policy staff {
			resource_server api
			from bob.example
			evaluate roster bob
			required_claims groups
			require mtls
			accept_pct
			client web https://apps.example/client.json
		}
		policy tried {
			from carol.example
			shadow
		}
		continuity warn
		refresh_tokens
		pct
		replay_grace 5s
		dpop_nonces
		rate_limit registration 2 1h
	}
}
`

func TestProvision(t *testing.T) {
	t.Setenv("UMA_TEST_SECRET", "0123456789abcdef0123456789abcdef")
	t.Setenv("UMA_TEST_SHORT", "open-sesame")
	text := strings.ReplaceAll(everyWord, "KEYS", file(t, "keys.jwks", jwks))
	server, err := provision(t, text)
	if err != nil {
		t.Fatal(err)
	}
	metadata(t, server, "as.example.com")

	large := file(t, "large.jwks", jwks+strings.Repeat(" ", 256<<10))
	for name, tc := range map[string]struct{ from, to, want string }{
		"a large key file":   {"jwks_file KEYS\n\t\t\trequire", "jwks_file " + large + "\n\t\t\trequire", "resource_server 'files': jwks_file: " + large + " is larger than 256 KiB"},
		"a missing key file": {"jwks_file KEYS\n\t\t\tdpop", "jwks_file " + large + "x\n\t\t\tdpop", "client 'cron': jwks_file: stat " + large + "x: no such file"},
		"a short token":      {"registration {env.UMA_TEST_SECRET}", "registration {env.UMA_TEST_SHORT}", "initial access token of registration is shorter than 32 characters"},
		"an unset token":     {"registration {env.UMA_TEST_SECRET}", "registration {env.UMA_TEST_UNSET}", "environment variable UMA_TEST_UNSET is not set"},
		"a guest that fails": {"evaluate roster bob", "evaluate roster", "policy 'staff': evaluate: loading module 'roster': provision uma.policies.roster: a roster without names"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := provision(t, strings.ReplaceAll(strings.Replace(everyWord, tc.from, tc.to, 1), "KEYS", file(t, "keys.jwks", jwks)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Provision = %v, want %q", err, tc.want)
			} else if strings.Contains(err.Error(), "uma_server: uma_server: uma_server") || strings.Contains(err.Error(), "sesame") {
				t.Errorf("Provision = %v", err)
			}
		})
	}
}

// load provisions a handler written as JSON.
func load(t *testing.T, ctx caddy.Context, members string) error {
	t.Helper()
	_, err := ctx.LoadModuleByID("http.handlers.uma_server", json.RawMessage(`{"issuer":"https://as.example.com",`+members+`}`))
	return err
}

func emptyContext(t *testing.T) caddy.Context {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	cfg := new(caddy.Config)
	text := `{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":"` + dir + `"},` +
		`"apps":{"uma":{"store":{"module":"bolt","path":"` + filepath.Join(dir, "uma.db") + `"}}}}`
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Who writes JSON gets the same checks.
func TestProvisionJSON(t *testing.T) {
	policy := func(members string) string { return `"policies":[{"name":"p","from":["bob.example"],` + members + `}]` }
	for name, tc := range map[string]struct{ members, want string }{
		"guest":                   {policy(`"evaluate":{"policy":"roster","names":["bob"]}`), ""},
		"guest that is none":      {policy(`"evaluate":{"policy":"stone"}`), "policy 'p': evaluate: *caddyuma_test.stone is no policy"},
		"unknown guest":           {policy(`"evaluate":{"policy":"rooster"}`), "policy 'p': evaluate: loading module 'rooster': unknown module: uma.policies.rooster"},
		"unknown field of guest":  {policy(`"evaluate":{"policy":"roster","nams":[]}`), "unknown field"},
		"deny with require":       {policy(`"deny":true,"require":"dpop"`), "policy 'p' forbids: 'require'"},
		"unknown binding":         {policy(`"require":"tls"`), "require 'tls' is unknown"},
		"accept_pct alone":        {policy(`"accept_pct":true`), "accept_pct does nothing"},
		"accept_pct with pct":     {policy(`"accept_pct":true`) + `,"pct":"1h"`, ""},
		"unknown client":          {policy(`"clients":["ap"]`), "no client 'ap'; declared: caddy-uma"},
		"continuity":              {`"continuity":"none"`, "continuity 'none' is unknown"},
		"registration":            {`"registration":{}`, "registration needs an initial access token"},
		"documents":               {`"client_metadata_documents":{"domains":["https://x.example"]}`, "'https://x.example' is no domain"},
		"refresh tokens":          {`"refresh_tokens":"366d"`, "refresh_tokens: 8784h0m0s is longer than a year"},
		"negative time":           {`"replay_grace":"-1s"`, "replay_grace cannot be negative"},
		"rpt":                     {`"resource_servers":[{"client_id":"api","resource_uri":"https://api.example.com","local":true,"rpt":"paper"}]`, "rpt 'paper' is unknown"},
		"limit without a number":  {`"rate_limit":{"registration":{"window":"1h"}}`, "rate_limit registration needs a number and a window"},
		"limit without a window":  {`"rate_limit":{"token":{"limit":5}}`, "rate_limit token needs a number and a window"},
		"limit that is off":       {`"rate_limit":{"ticket":{"off":true}}`, ""},
		"public client with keys": {`"clients":[{"client_id":"app","public":true,"jwks_uri":"https://app.example/jwks"}]`, "client 'app' is public and has keys"},
	} {
		t.Run(name, func(t *testing.T) {
			err := load(t, emptyContext(t), tc.members)
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Provision = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestGuests(t *testing.T) {
	h := parse(t, "uma_server https://as.example.com {\npolicy a {\nfrom bob.example\n}\npolicy b {\nfrom bob.example\nevaluate roster bob\n}\n}")
	rules := make([]uma.Policy, 2)
	if err := h.loadGuests(emptyContext(t), rules); err != nil {
		t.Fatal(err)
	}
	if rules[0].Guest != nil || rules[1].Guest == nil {
		t.Fatalf("%v", rules)
	}
	if ok, err := rules[1].Guest.Evaluate(t.Context(), new(policy.Input)); !ok || err != nil {
		t.Errorf("Evaluate = %v, %v: it was not provisioned", ok, err)
	}
}

// Caddy forgets the settings of modules when they are loaded; two blocks that
// differ in them alone are different all the same.
func TestSameIssuerTwice(t *testing.T) {
	guest := func(name string) string {
		return `"policies":[{"name":"p","from":["bob.example"],"evaluate":{"policy":"roster","names":["` + name + `"]}}]`
	}
	pool := func(id string) string {
		return `"email_domains":[{"domains":["bob.example"],"base_url":"https://op.example","trust_pool":{"provider":"file","pem_files":["` + id + `"]}}]`
	}
	one, two := file(t, "one.pem", testCA), file(t, "two.pem", testCA)
	for name, tc := range map[string]struct {
		first, second string
		equal         bool
	}{
		"equal guests":    {guest("bob"), guest("bob"), true},
		"other guests":    {guest("bob"), guest("carol"), false},
		"equal CAs":       {pool(one), pool(one), true},
		"other CAs":       {pool(one), pool(two), false},
		"other lifetimes": {`"pct":"1h"`, `"pct":"2h"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := emptyContext(t)
			if err := load(t, ctx, tc.first); err != nil {
				t.Fatal(err)
			}
			err := load(t, ctx, tc.second)
			if tc.equal != (err == nil) || err != nil && !strings.Contains(err.Error(), "configured twice with different settings") {
				t.Errorf("the second block: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	const request, verify = "with mode request", "with mode verify_if_given"
	for name, tc := range map[string]struct{ words, want string }{
		"no certificates":        {"policy p {\nfrom bob.example\nrequire dpop\n}", ""},
		"a bound RPT":            {"policy p {\nfrom bob.example\nrequire mtls\n}", request},
		"of a resource server":   {"resource_server api https://api.example.com local {\nrequire mtls\n}", request},
		"a self-signed one":      {"client app {\njwks_file /x\nself_signed_tls_client_auth\n}", request},
		"one of a CA":            {"client app {\ntls_client_auth CN=app\n}", verify},
		"of a CA and bound RPTs": {"client app {\ntls_client_auth CN=app\n}\npolicy p {\nfrom bob.example\nrequire mtls\n}", verify},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			h := parse(t, "uma_server https://as.example.com {\n"+tc.words+"\n}")
			h.log = zap.New(core)
			h.warn()
			var texts []string
			for _, entry := range logs.All() {
				if strings.Contains(entry.Message, "client_auth") {
					texts = append(texts, entry.Message)
				}
			}
			if all := strings.Join(texts, "\n"); len(texts) > 1 || (tc.want == "") != (all == "") || !strings.Contains(all, tc.want) {
				t.Errorf("%q, want %q", all, tc.want)
			}
		})
	}
}

// What is forgotten lets nobody in; the log says what it is.
func TestWarnings_missing(t *testing.T) {
	for words, want := range map[string]string{
		"": "there is no resource_server, there is no policy",
		"resource_server api https://api.example.com local\n":                                "there is no policy",
		"policy p {\nfrom bob.example\n}\n":                                                  "there is no resource_server",
		"resource_server api https://api.example.com local\npolicy p {\nfrom bob.example\n}": "",
	} {
		core, logs := observer.New(zap.WarnLevel)
		h := parse(t, "uma_server https://as.example.com {\n"+words+"\n}")
		h.log = zap.New(core)
		h.warn()
		var texts []string
		for _, entry := range logs.All() {
			text, _, _ := strings.Cut(entry.Message, ",")
			texts = append(texts, text)
		}
		if got := strings.Join(texts, ", "); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

// The greatest example of the documentation that is an authorization server
// alone, as it stands there.
func TestFivePolicies(t *testing.T) {
	body, err := os.ReadFile("testdata/five_policies.Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"photos", "ledger", "builds"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, 8)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(string(body), "/run/secrets", dir)
	server, err := provision(t, strings.ReplaceAll(text, "/etc/caddy/contractor-ca.pem", file(t, "ca.pem", testCA)))
	if err != nil {
		t.Fatal(err)
	}
	metadata(t, server, "as.alice.example")
}

// testCA is a certificate of nobody.
const testCA = `-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUDBTng9PzlAyvYjV7JhK3IANRx8MwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjUyMTA4MTlaGA8yMTI2MTEwMTIxMDgx
OVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLjV
7Mr1QCabk84IIGAzBMrAIkJQIsncNpGYUNuPocwGaBM3x9dOBXDjalJFmHF1lCTN
XEMUHn/mkJWxXB6SKYijUzBRMB0GA1UdDgQWBBQTMYx1n2hp4vlYEKZq6Bw1tWop
9TAfBgNVHSMEGDAWgBQTMYx1n2hp4vlYEKZq6Bw1tWop9TAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIFRbcZKWGtTcOKNXsPNcODrqLfXybwx93/Qw
WBg5st7qAiEA6aBe5WhxcncNZRIdKx7SwT4OEfbf+NFcxE3YOK6xo3c=
-----END CERTIFICATE-----
`
