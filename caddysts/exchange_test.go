package caddysts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// plain takes secrets as they are and the name of a file for its keys.
var plain = umaapp.Lookup{
	Secret: func(_, text string) (string, error) { return text, nil },
	Keys:   func(file string) ([]byte, error) { return []byte(file), nil },
}

func TestExchangeSettings(t *testing.T) {
	h := Handler{
		Issuer: "https://bob.example",
		Clients: []Client{
			{ClientID: "robot", DPoPBound: true, Credentials: umaapp.Credentials{JWKSURI: "https://robot.example/jwks", SelfSignedTLSClientAuth: true}},
			{ClientID: "portal", MayAct: true, Targets: []string{"A"}, Credentials: umaapp.Credentials{JWKSFile: "/portal", ClientSecrets: []string{"a"}}},
			{ClientID: "proxy", Credentials: umaapp.Credentials{TLSClientAuth: "CN=proxy"}},
		},
		Targets: []Target{{Names: []string{"A"}, When: `client == "robot"`, Consent: true, Require: "dpop", Releases: []string{"name"}}},
	}
	got, err := h.settings(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := sts.Config{
		Issuer: "https://bob.example", EmailDomains: []string{"bob.example"},
		Clients: []sts.Client{
			{Client: clientauth.Client{ID: "robot", DPoPBound: true, Credentials: clientauth.Credentials{JWKSURI: "https://robot.example/jwks", TLSSelfSigned: true}}},
			{Client: clientauth.Client{ID: "portal", Credentials: clientauth.Credentials{JWKS: []byte("/portal"), Secrets: [][32]byte{clientauth.HashSecret("a")}}}, Targets: []string{"A"}, MayAct: true},
			{Client: clientauth.Client{ID: "proxy", Credentials: clientauth.Credentials{TLSSubject: "CN=proxy"}}},
		},
		Targets: []sts.Target{{Names: []string{"A"}, When: `client == "robot"`, Consent: true, RequireDPoP: true, Release: []string{"name"}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	h.Targets[0].Require = "mtls"
	if _, err := h.settings(plain); err == nil || !strings.Contains(err.Error(), "target 'A': require 'mtls' is unknown; write dpop") {
		t.Errorf("settings() = %v", err)
	}
}

func TestConsentNeedsTheProvider(t *testing.T) {
	h := Handler{Targets: []Target{{Names: []string{"A"}}, {Names: []string{"B"}, Consent: true}}}
	if err := h.checkConsent(); err == nil || err.Error() != "target 'B': consent needs the embedded provider" {
		t.Errorf("checkConsent() = %v", err)
	}
	h.Provider = new(Provider)
	if err := h.checkConsent(); err != nil {
		t.Errorf("with a provider: %v", err)
	}
}

// What is wrong with keys in a file is found when they are read.
func TestKeysOfAFile(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct{ text, want string }{
		"no JSON":   {"keys", "jwks"},
		"no keys":   {`{"keys":[]}`, "holds no key"},
		"empty":     {"", "is empty"},
		"a secret":  {`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1"}]}`, "client 'x'"},
		"good keys": {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := Client{ClientID: "x", Credentials: umaapp.Credentials{JWKSFile: file}}
			settings, err := c.settings(umaapp.Lookup{Secret: plain.Secret, Keys: umaapp.ReadKeyFile})
			if err == nil {
				err = settings.Check()
			}
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestSEC_18_LimitsOutliveAReload(t *testing.T) {
	for name, tc := range map[string]struct {
		limit         *syntax.RateLimit
		users, source int // at once
	}{
		"SEC-18 default":    {nil, 60, 600},
		"SEC-18 as written": {&syntax.RateLimit{Limit: 2, Window: caddy.Duration(time.Hour)}, 2, 20},
		"SEC-18 off":        {&syntax.RateLimit{Off: true}, 1000, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			h := Handler{Issuer: "https://bob.example/" + name, RateLimit: RateLimits{Exchange: tc.limit}}
			memories := func() (cfg sts.Config) {
				app := new(umaapp.App)
				t.Cleanup(func() { _ = app.Cleanup() })
				if err := h.fillMemories(app, &cfg); err != nil {
					t.Fatal(err)
				}
				return cfg
			}
			cfg, users, source := memories(), 0, 0
			for range 1000 {
				if ok, _ := cfg.Exchanges.Allow("u"); ok {
					users++
				}
				if ok, _ := cfg.Sources.Allow("u"); ok {
					source++
				}
			}
			if got, want := fmt.Sprint(users, source), fmt.Sprint(tc.users, tc.source); got != want {
				t.Errorf("%s passed, want %s", got, want)
			}
			again := memories() // a reload, which overlaps
			if again.Exchanges != cfg.Exchanges || again.Sources != cfg.Sources || again.Proofs != cfg.Proofs {
				t.Error("a reload forgets")
			}
			h.RateLimit.Exchange = &syntax.RateLimit{Limit: 7, Window: caddy.Duration(time.Minute)}
			if other := memories(); other.Exchanges == cfg.Exchanges {
				t.Error("another limit counts as the same")
			}
		})
	}
}
