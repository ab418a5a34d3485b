package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

const readersPolicy = "resource \"RS API\"\n\t\t\tscopes get\n\t\t\tfrom bob@bob.localhost"

// A policy lets in by name or by type, inside one resource server, and grants
// what it says and no more.
func TestCA_39_Policies(t *testing.T) {
	const typ = "https://alice.example/types/photo"
	for _, tc := range []struct {
		name, policy string
		opens        bool
	}{
		{"by name", "resource_server api\n\t\t\tresource \"RS API\"\n\t\t\tscopes get\n\t\t\tfrom bob@bob.localhost", true},
		{"by another name", "resource_server api\n\t\t\tresource \"RS\"\n\t\t\tscopes get\n\t\t\tfrom bob@bob.localhost", false},
		{"by type", "resource_server api\n\t\t\ttype " + typ + "\n\t\t\tscopes get\n\t\t\tfrom bob@bob.localhost", true},
		{"by another type", "resource_server api\n\t\t\ttype " + typ + "s\n\t\t\tscopes get\n\t\t\tfrom bob@bob.localhost", false},
		{"of another resource server", "resource_server other\n\t\t\ttype " + typ + "\n\t\t\tscopes get\n\t\t\tfrom bob@bob.localhost", false},
		{"for another scope", "resource_server api\n\t\t\tscopes post\n\t\t\tfrom bob@bob.localhost", false},
		{"for another address", "resource_server api\n\t\t\tscopes get\n\t\t\tfrom bobby@bob.localhost", false},
	} {
		t.Run("CA-39 "+tc.name, func(t *testing.T) {
			w := example(t, readersPolicy, tc.policy,
				policyStart, "resource_server other https://other.localhost:{$UMA_PORT:8443} "+otherSecret+"\n\n\t\t"+policyStart,
				"scope post # POST", "scope post # POST\n\t\t\ttype "+typ)
			ticket, _ := w.challenged(http.MethodGet, "/")
			a := w.redeem(ticket, w.claimsToken(w.login("bob@bob.localhost", "bob-demo"), w.url("api", ""), ticket), nil)
			if (a.status == http.StatusOK) != tc.opens {
				t.Fatalf("%d %s", a.status, a.text)
			}
			if !tc.opens {
				w.refused(t, a, "request_denied")
				return
			}
			if ok := w.get(w.url("api", "/"), bearer(a.get("access_token"))); ok.status != http.StatusOK {
				t.Errorf("%d %s", ok.status, ok.text)
			}
			if _, res := w.challengedWith(http.MethodPost, "/", a.get("access_token")); res.status != http.StatusUnauthorized {
				t.Errorf("a real subset of the scopes: post is %d", res.status)
			}
		})
	}
}

func TestNeedInfoRoundCap(t *testing.T) {
	w := example(t, policyStart, "need_info_rounds 2\n\n\t\t"+policyStart)
	ticket, _ := w.challenged(http.MethodGet, "/")
	none := map[string]string{"claim_token_format": ""}
	for range 2 {
		a := w.redeem(ticket, "", none)
		w.refused(t, a, "need_info")
		ticket = a.get("ticket")
	}
	w.refused(t, w.redeem(ticket, "", none), "request_denied")
}

func TestCA_19_Lifetimes(t *testing.T) {
	w := example(t,
		policyStart, "lifetime ticket 3m\n\t\tlifetime rpt 2m\n\t\tleeway 5s\n\n\t\t"+policyStart,
		"# Whose addresses", "lifetime claims_token 1m\n\t\t# Whose addresses",
		"trust_internal_ca\n", "trust_internal_ca\n\t\trefetch_pause 5s\n")
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.exchange(w.login("bob@bob.localhost", "bob-demo"), w.url("api", ""), ticket, nil)
	rpt := w.redeem(ticket, claims.get("access_token"), nil)
	if claims.body["expires_in"] != 60.0 || rpt.body["expires_in"] != 120.0 {
		t.Errorf("claims token %v, RPT %v", claims.body["expires_in"], rpt.body["expires_in"])
	}
}

// plain adds http:// sites that offer the endpoints without TLS of our own.
func plain(t *testing.T, options string) (w *world, base string) {
	t.Helper()
	port := freePort(t)
	w = example(t, "skip_install_trust", "skip_install_trust\n\t"+options, apiSite, "http://as3.localhost:"+port+` {
	uma_server https://as3.localhost {
		resource_server api https://api.localhost:{$UMA_PORT:8443} `+otherSecret+`
		policy readers {
			from bob@bob.localhost
		}
	}
}

`+apiSite)
	return w, "http://as3.localhost:" + port
}

func (w *world) plainToken(base, port string, header http.Header) answer {
	w.t.Helper()
	// The client of the test dials the port of TLS, so this one has its own.
	old := w.port
	w.port = port
	defer func() { w.port = old }()
	return w.get(base+"/.well-known/uma2-configuration", header)
}

func TestUF_01_PlainHTTP(t *testing.T) {
	https := http.Header{"X-Forwarded-Proto": {"https"}}
	t.Run("UF-01 nobody is trusted", func(t *testing.T) {
		w, base := plain(t, "")
		port := base[strings.LastIndex(base, ":")+1:]
		for _, h := range []http.Header{nil, https} {
			if a := w.plainToken(base, port, h); a.status != http.StatusForbidden || a.get("token_endpoint") != "" {
				t.Errorf("%v: %d %s", h, a.status, a.text)
			}
		}
	})
	t.Run("SEC-24 a trusted proxy says https", func(t *testing.T) {
		w, base := plain(t, "servers {\n\t\ttrusted_proxies static 127.0.0.1/8\n\t}")
		port := base[strings.LastIndex(base, ":")+1:]
		if a := w.plainToken(base, port, nil); a.status != http.StatusForbidden {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := w.plainToken(base, port, https); a.status != http.StatusOK || a.get("token_endpoint") != "https://as3.localhost/uma/token" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// The same issuer twice is one authorization server if both blocks say the same.
func TestSEC_28_IssuerTwice(t *testing.T) {
	block := func(host, from string) string {
		return "https://" + host + ` {
	tls internal
	uma_server https://twin.example {
		resource_server api https://api.example ` + "01234567890123456789012345678901" + `
		policy p {
			from ` + from + `
		}
	}
}
`
	}
	for name, second := range map[string]string{"equal": "bob@bob.example", "different": "eve@bob.example"} {
		t.Run("SEC-28 "+name, func(t *testing.T) {
			text := "{\n\tadmin off\n\tpersist_config off\n\tstorage file_system " + t.TempDir() + "\n\tuma {\n\t\tstore bolt " + t.TempDir() + "/uma.db\n\t}\n}\n" + block("a.example", "bob@bob.example") + block("b.example", second)
			body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
			if err == nil {
				cfg := new(caddy.Config)
				if err = caddy.StrictUnmarshalJSON(body, cfg); err == nil {
					err = caddy.Validate(cfg)
				}
			}
			if (err == nil) != (name == "equal") {
				t.Errorf("%v", err)
			}
		})
	}
}
