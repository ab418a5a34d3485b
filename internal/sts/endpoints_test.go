package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

func TestCA_01_Metadata(t *testing.T) {
	b := newBench(t, nil)
	w := b.get(issuer + "/.well-known/openid-configuration")
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"issuer": issuer, "token_endpoint": issuer + "/sts/token", "jwks_uri": issuer + "/sts/jwks",
		"grant_types_supported":                 []any{oauth.GrantTokenExchange},
		"response_types_supported":              []any{}, // A22
		"token_endpoint_auth_methods_supported": []any{"none", "client_secret_basic", "client_secret_post"},
		"dpop_signing_alg_values_supported":     []any{"ES256", "ES384", "RS256", "PS256", "EdDSA"},
	}
	if d := cmp.Diff(want, m); d != "" || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), d)
	}
	u, _ := url.Parse(m["token_endpoint"].(string))
	if u.Path != "/sts/token" || !b.server.Handles(u.Path) {
		t.Errorf("token_endpoint = %v", m["token_endpoint"])
	}
	b.mustIssue(t, good())
}

func TestOD_10_OD_13_MetadataOfTheProvider(t *testing.T) {
	extend := func(m *oauth.Metadata) {
		m.AuthorizationEndpoint = issuer + "/sts/authorize"
		m.ResponseTypesSupported = []string{"code"}
		m.SubjectTypesSupported = []string{"public"}
		m.IDTokenSigningAlgValuesSupported = []string{"ES256"}
		m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantAuthorizationCode)
	}
	for _, tt := range []struct {
		name string
		with bool
	}{{"OD-10 with a provider", true}, {"OD-13 without a provider", false}} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.cfg.Clients = b.cfg.Clients[:1]
				if tt.with {
					b.cfg.Extend = extend
				}
			})
			var m map[string]any
			if err := json.Unmarshal(b.get(issuer+"/.well-known/openid-configuration").Body.Bytes(), &m); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"authorization_endpoint", "subject_types_supported", "id_token_signing_alg_values_supported"} {
				if _, ok := m[name]; ok != tt.with {
					t.Errorf("%s present: %v, want %v", name, ok, tt.with)
				}
			}
			if d := cmp.Diff([]any{"none"}, m["token_endpoint_auth_methods_supported"]); d != "" {
				t.Errorf("OD-13 only what a client can use: %s", d)
			}
		})
	}
}

func TestOD_12_MetadataSpellings(t *testing.T) {
	tests := []struct {
		name, issuer string
		paths        []string
		absent       []string
	}{
		{"OD-12 no path", "https://bob.example", []string{
			"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		}, []string{"/.well-known/uma2-configuration", "/openid-configuration"}},
		{"OD-12 path", "https://bob.example/a/b", []string{
			"/a/b/.well-known/openid-configuration", "/.well-known/openid-configuration/a/b",
			"/a/b/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/a/b",
		}, []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/sts/token"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.Issuer = tt.issuer })
			want := b.get("https://bob.example" + tt.paths[0]).Body.String()
			for _, path := range tt.paths {
				w := b.get("https://bob.example" + path)
				if w.Code != 200 || w.Body.String() != want || !strings.Contains(want, tt.issuer+"/sts/token") {
					t.Errorf("%s = %d %s", path, w.Code, w.Body)
				}
			}
			for _, path := range tt.absent {
				if b.server.Handles(path) || b.get("https://bob.example"+path).Code != http.StatusNotFound {
					t.Errorf("%s is served", path)
				}
			}
		})
	}
}

func TestOD_11_WebFinger(t *testing.T) {
	issuerLink := `"links":[{"rel":"` + oauth.RelIssuer + `","href":"` + issuer + `"}]`
	tests := []struct {
		name, query string
		status      int
		contains    string
	}{
		{"OD-11 user", "resource=acct:bob@bob.example", 200, issuerLink},
		{"OD-11 escaped", "resource=acct%3Abob%40bob.example", 200, issuerLink},
		{"OD-11 no such user", "resource=acct:nobody@bob.example", 200, issuerLink},
		{"OD-11 second domain", "resource=acct:x@STAFF.bob.example", 200, issuerLink},
		{"OD-11 plus in the local part", "resource=acct:bob%2bx@bob.example", 200, issuerLink},
		{"OD-11 rel asked for", "resource=acct:bob@bob.example&rel=x&rel=" + url.QueryEscape(oauth.RelIssuer), 200, issuerLink},
		{"OD-11 other rel", "resource=acct:bob@bob.example&rel=x", 200, `"links":[]`},
		{"OD-11 foreign domain", "resource=acct:bob@alice.example", 404, ""},
		{"OD-11 subdomain", "resource=acct:bob@x.bob.example", 404, ""},
		{"OD-11 other kind of URI", "resource=https://bob.example/", 404, ""},
		{"OD-11 no resource", "", 400, ""},
		{"OD-11 empty resource", "resource=", 400, ""},
		{"OD-11 two resources", "resource=acct:a@bob.example&resource=acct:b@bob.example", 400, ""},
		{"OD-11 no scheme", "resource=bob@bob.example", 400, ""},
		{"OD-11 no address", "resource=acct:bob.example", 400, ""},
		{"OD-11 two signs", "resource=acct:bob%2540evil@bob.example", 400, ""},
		{"OD-11 bad query", "resource=%zz", 400, ""},
	}
	for _, cors := range []bool{true, false} {
		b := newBench(t, func(b *bench) { b.cfg.NoCORS = !cors })
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				w := b.get(issuer + "/.well-known/webfinger?" + tt.query)
				if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
					t.Errorf("answer = %d %s, want %d %s", w.Code, w.Body, tt.status, tt.contains)
				}
				if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" {
					t.Errorf("Access-Control-Allow-Origin = %q", got)
				}
				if got := w.Header().Get("Content-Type"); tt.status == 200 && got != "application/jrd+json" {
					t.Errorf("Content-Type = %q", got)
				}
			})
		}
	}
}

func TestOA_01_TokenEndpointTakesForms(t *testing.T) {
	b := newBench(t, nil)
	request := func(method, target, body, contentType string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return r
	}
	const form = "application/x-www-form-urlencoded"
	token, encoded := issuer+"/sts/token", good().Encode()
	tests := []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"OA-01 form", request("POST", token, encoded, form), 200},
		{"OA-01 form with charset", request("POST", token, encoded, form+"; charset=UTF-8"), 200},
		{"OA-01 GET", request("GET", token+"?"+encoded, "", ""), 405},
		{"OA-01 PUT", request("PUT", token, encoded, form), 405},
		{"OA-01 JSON", request("POST", token, "{}", "application/json"), 400},
		{"OA-01 no media type", request("POST", token, encoded, ""), 400},
		{"OA-01 parameters in the URL", request("POST", token+"?"+encoded, "", form), 400},
		{"OA-01 challenge in the URL", request("POST", token+"?ticket_challenge="+challenge, good("ticket_challenge", "-").Encode(), form), 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := b.serve(tt.r)
			if w.Code != tt.status || tt.status == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("answer = %d %v %s, want %d", w.Code, w.Header(), w.Body, tt.status)
			}
		})
	}
}

func TestOA_02_Parameters(t *testing.T) {
	for name := range good() {
		if name == "resource" {
			continue // RFC 8707; TX-06
		}
		t.Run("OA-02 repeated "+name, func(t *testing.T) {
			b := newBench(t, nil)
			form := good()
			form.Add(name, form.Get(name))
			b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidRequest)
		})
	}
	t.Run("OA-02 unknown and empty ones", func(t *testing.T) {
		b := newBench(t, nil)
		b.mustIssue(t, good("unknown", "x", "actor_token", "", "as_uri", "", "requested_token_type", ""))
	})
}

func TestOtherGrantsKeepTheirBody(t *testing.T) {
	var got url.Values
	b := newBench(t, func(b *bench) {
		b.cfg.Other = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if int64(len(body)) != r.ContentLength || r.URL.RawQuery != "" {
				t.Errorf("%d bytes, Content-Length %d, query %q", len(body), r.ContentLength, r.URL.RawQuery)
			}
			got, _ = url.ParseQuery(string(body))
		})
	})
	form := url.Values{"grant_type": {oauth.GrantAuthorizationCode}, "code": {"a b+c&d"}}
	r := httptest.NewRequest(http.MethodPost, issuer+"/sts/token?code=other", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.serve(r)
	if d := cmp.Diff(form, got); d != "" {
		t.Error(d)
	}
	got = nil
	b.mustIssue(t, good()) // not handed over
	if got != nil || len(b.events) != 1 {
		t.Errorf("Other got the exchange, or %d events", len(b.events))
	}
}

func TestJWKS(t *testing.T) {
	var fail error
	b := newBench(t, func(b *bench) {
		b.cfg.Keys = func(ctx context.Context) ([]jose.PublicKey, error) {
			keys, err := newRing(t, b).Public(ctx)
			return keys, errors.Join(err, fail)
		}
	})
	b.post(good())
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(b.get(issuer+"/sts/jwks").Body.Bytes(), &set); err != nil || len(set.Keys) < 2 {
		t.Errorf("keys = %s, %v", set.Keys, err)
	}
	fail = errors.New("storage is gone")
	w := b.get(issuer + "/sts/jwks")
	b.wantError(t, w, http.StatusServiceUnavailable, oauth.CodeUnavailable)
	if strings.Contains(w.Body.String(), "keys") {
		t.Errorf("body = %s, want no part of a set", w.Body)
	}
}

func TestSEC_23_CORS(t *testing.T) {
	paths := []string{"/sts/token", "/sts/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}
	for _, on := range []bool{true, false} {
		b := newBench(t, func(b *bench) { b.cfg.NoCORS = !on })
		for _, path := range paths {
			t.Run("SEC-23 "+path, func(t *testing.T) {
				r := httptest.NewRequest(http.MethodOptions, issuer+path, nil)
				r.Header.Set("Origin", "https://spa.example")
				r.Header.Set("Access-Control-Request-Method", "POST")
				w := b.serve(r)
				h := w.Header()
				if h.Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials are allowed")
				}
				if on && (w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") == "" || h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, DPoP") {
					t.Errorf("preflight = %d %v", w.Code, h)
				}
				if !on && (w.Code != 405 || h.Get("Access-Control-Allow-Origin") != "") {
					t.Errorf("preflight with cors off = %d %v", w.Code, h)
				}
			})
		}
		t.Run("SEC-23 answers", func(t *testing.T) {
			for _, w := range []*httptest.ResponseRecorder{b.post(good()), b.post(good("resource", "x")), b.get(issuer + "/sts/jwks")} {
				if got := w.Header().Get("Access-Control-Allow-Origin") == "*"; got != on {
					t.Errorf("CORS = %v, want %v", got, on)
				}
			}
		})
		t.Run("SEC-18 preflight", func(t *testing.T) {
			before := len(b.events)
			b.serve(httptest.NewRequest(http.MethodOptions, issuer+"/sts/token", nil))
			if len(b.events) != before {
				t.Error("a preflight is an exchange")
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		name, want string
		change     func(*sts.Config)
	}{
		{"issuer", "must be an https URL", func(c *sts.Config) { c.Issuer = "http://bob.example" }},
		{"no domain", "email_domain is required", func(c *sts.Config) { c.EmailDomains = nil }},
		{"bad domain", "email_domain '@bob.example'", func(c *sts.Config) { c.EmailDomains = []string{"@bob.example"} }},
		{"no client", "no client", func(c *sts.Config) { c.Clients = nil }},
		{"client twice", "twice", func(c *sts.Config) { c.Clients = append(c.Clients, c.Clients[0]) }},
		{"client without credentials", "has no credentials", func(c *sts.Config) { c.Clients[0].Public = false }},
		{"no resolver", "required", func(c *sts.Config) { c.Resolve = nil }},
		{"no ring", "required", func(c *sts.Config) { c.Claims = nil }},
		{"no clock", "required", func(c *sts.Config) { c.Now = nil }},
		{"bad deny list", "deny_target: target 'http://x'", func(c *sts.Config) { c.DenyTargets = []string{"http://x"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newBench(t, nil).cfg
			cfg.Clients = slices.Clone(cfg.Clients)
			tt.change(&cfg)
			if _, err := sts.New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New() = %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzWebFinger(f *testing.F) {
	for _, s := range []string{"resource=acct:bob@bob.example", "resource=acct:%40@bob.example", "resource=:&rel=x", "%"} {
		f.Add(s)
	}
	server, err := sts.New(sts.Config{
		Issuer: issuer, EmailDomains: []string{"bob.example"}, Clients: newClients(),
		Resolve: func(context.Context, string) (oauth.Subject, error) { return oauth.Subject{}, oauth.ErrSubjectToken },
		Claims:  noKeys{}, Now: clock, Authenticate: nobody,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, issuer+"/.well-known/webfinger", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 {
			t.Errorf("status %d for %q", w.Code, query)
		}
		if w.Code == 200 && !strings.Contains(strings.ToLower(w.Body.String()), "bob.example") {
			t.Errorf("answer for %q: %s", query, w.Body)
		}
	})
}
