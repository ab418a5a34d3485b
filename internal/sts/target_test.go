package sts_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

func TestCA_14_CA_15_Targets(t *testing.T) {
	tests := []struct {
		name, client, resource string
		ok                     bool
	}{
		{"CA-14 listed origin", "caddy-uma", "https://api.corp", true},
		{"CA-14 below a listed origin", "caddy-uma", "https://api.corp/photos/2026", true},
		{"CA-14 listed path", "caddy-uma", "https://paths.corp/a", true},
		{"CA-14 below a listed path", "caddy-uma", "https://paths.corp/a/b", true},
		{"CA-14 beside a listed path", "caddy-uma", "https://paths.corp/ab", false},
		{"CA-14 above a listed path", "caddy-uma", "https://paths.corp", false},
		{"CA-14 unlisted", "caddy-uma", "https://evil.example", false},
		{"CA-14 denied", "caddy-uma", "https://api.corp/secret", false},
		{"CA-14 below denied", "caddy-uma", "https://api.corp/secret/x", false},
		{"CA-14 beside denied", "caddy-uma", "https://api.corp/secrets", true},
		{"CA-14 denied name", "caddy-uma", "Denied API", false},
		{"CA-14 longer host", "caddy-uma", "https://api.corp.evil.com/", false},
		{"CA-14 subdomain", "caddy-uma", "https://x.api.corp", false},
		{"CA-14 user information", "caddy-uma", "https://api.corp@evil/", false},
		{"CA-14 user information before", "caddy-uma", "https://evil@api.corp/", false},
		{"CA-14 other port", "caddy-uma", "https://api.corp:8443", false},
		{"CA-14 default port", "caddy-uma", "https://api.corp:443", false},
		{"CA-14 empty port", "caddy-uma", "https://api.corp:", false},
		{"CA-14 upper-case host", "caddy-uma", "https://API.corp", false},
		{"CA-14 upper-case scheme", "caddy-uma", "HTTPS://api.corp", false},
		{"CA-14 escaped host", "caddy-uma", "https://%61pi.corp", false},
		{"CA-14 escaped path", "caddy-uma", "https://api.corp/%73ecret", false},
		{"CA-14 trailing dot", "caddy-uma", "https://api.corp.", false},
		{"CA-14 dot segments", "caddy-uma", "https://api.corp/x/../secret", false},
		{"CA-14 escaped slash", "caddy-uma", "https://paths.corp/a%2f..%2fb", false},
		{"CA-14 backslash", "caddy-uma", `https://api.corp\@evil.example`, false},
		{"CA-14 double slash", "caddy-uma", "https://api.corp//secret", false},
		{"CA-14 http", "caddy-uma", "http://api.corp", false},
		{"CA-14 white space", "caddy-uma", " https://api.corp", false},
		{"CA-14 line break", "caddy-uma", "https://api.corp\n", false},
		{"CA-14 narrowed client, inside", "narrow", "https://api.corp/photos", true},
		{"CA-14 narrowed client, outside", "narrow", "https://api.corp", false},
		{"CA-14 narrowed client, its name", "narrow", "Other API", true},
		{"CA-14 narrowed client, another name", "narrow", "RS API", false},
		{"CA-14 the STS itself", "caddy-uma", issuer, false},
		{"CA-14 below the STS", "caddy-uma", issuer + "/api", false},
		{"CA-14 a client_id", "caddy-uma", "web", false},
		{"CA-14 a disabled client_id", "caddy-uma", "old", false},
		{"CA-15 listed name", "caddy-uma", "RS API", true},
		{"CA-15 unlisted name", "caddy-uma", "foo", false},
		{"CA-15 name in another case", "caddy-uma", "rs api", false},
		{"CA-15 name with a space", "caddy-uma", "RS API ", false},
		{"CA-15 name as a prefix", "caddy-uma", "RS API/x", false},
		{"CA-15 relative URI", "caddy-uma", "/photos", false},
		{"CA-15 scheme-relative URI", "caddy-uma", "//api.corp", false},
		{"CA-15 fragment", "caddy-uma", "https://api.corp/#x", false},
		{"CA-15 empty fragment", "caddy-uma", "https://api.corp/#", false},
		{"TX-06 query", "caddy-uma", "https://api.corp/?x", false},
		{"TX-06 empty query", "caddy-uma", "https://api.corp/?", false},
		{"TX-06 the pattern itself", "caddy-uma", "*", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, parameter := range []string{"resource", "audience"} { // A6: either may carry it
				b := newBench(t, func(b *bench) { b.users[bobToken] = b.bob(tt.client) })
				form := good("client_id", tt.client, "resource", "-", parameter, tt.resource)
				if !tt.ok {
					b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidTarget)
					continue
				}
				// CA-18: an array with exactly what was asked for.
				if d := cmp.Diff([]any{tt.resource}, b.mustIssue(t, form)["aud"]); d != "" {
					t.Errorf("%s: CA-18 aud: %s", parameter, d)
				}
			}
		})
	}
}

func TestTX_06_ExactlyOneTarget(t *testing.T) {
	tests := []struct {
		name               string
		resource, audience []string
		ok                 bool
	}{
		{"TX-06 one resource", []string{apiURI}, nil, true},
		{"TX-06 one audience", nil, []string{apiURI}, true},
		{"TX-06 two resources", []string{apiURI, "https://paths.corp/a"}, nil, false},
		{"TX-06 the same twice", []string{apiURI, apiURI}, nil, false},
		{"TX-06 two audiences", nil, []string{apiURI, "RS API"}, false},
		{"TX-06 one of each", []string{apiURI}, []string{apiURI}, false},
		{"TX-06 an empty one beside", []string{apiURI, ""}, []string{""}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			form := good("resource", "-")
			form["resource"], form["audience"] = tt.resource, tt.audience
			if tt.ok {
				b.mustIssue(t, form)
				return
			}
			b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidTarget)
		})
	}
}

func TestCA_14_AudienceOfTheSubjectTokenIsNoTarget(t *testing.T) {
	b := newBench(t, func(b *bench) {
		s := b.bob("web")
		s.Audience = append(s.Audience, apiURI, "RS API")
		b.users["at-web"] = s
	})
	form := func(target string) map[string][]string {
		return good("client_id", "-", "subject_token", "at-web", "resource", target)
	}
	header := []string{"Authorization", basic("web", secret)}
	for _, target := range []string{apiURI, "RS API"} {
		b.wantError(t, b.post(form(target), header...), http.StatusBadRequest, oauth.CodeInvalidTarget)
	}
	b.mustIssue(t, form("https://paths.corp/a"), header...)
}

func TestCA_14_AnyTarget(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Targets = []sts.Target{{Names: []string{"*"}}} })
	b.mustIssue(t, good("resource", "https://anything.example/x"))
	for _, target := range []string{"RS API", issuer, issuer + "/api", "web", "old", "Denied API", "https://api.corp/secret", "http://anything.example"} {
		b.wantError(t, b.post(good("resource", target)), http.StatusBadRequest, oauth.CodeInvalidTarget)
	}
}

func TestCA_14_ClientIDThatIsAURI(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Clients = append(b.cfg.Clients, sts.Client{Client: clientauth.Client{ID: "https://app.example/id", Public: true}})
		b.cfg.Targets = []sts.Target{{Names: []string{"*"}}}
	})
	b.wantError(t, b.post(good("resource", "https://app.example/id")), http.StatusBadRequest, oauth.CodeInvalidTarget)
	b.mustIssue(t, good("resource", "https://app.example/idx"))
}

func TestCA_14_NoTargetsIsNobody(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Targets = nil })
	b.wantError(t, b.post(good()), http.StatusBadRequest, oauth.CodeInvalidTarget)
}

func TestConfigRefusesTargets(t *testing.T) {
	for name, target := range map[string]string{
		"own origin":    issuer + "/x",
		"client_id":     "web",
		"http":          "http://api.corp",
		"upper case":    "https://API.corp",
		"query":         "https://api.corp?x",
		"empty":         "",
		"spaces":        " RS API",
		"looks like it": "api.corp/x",
		"star inside":   "https://*.corp",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newBench(t, nil).cfg
			cfg.Targets = []sts.Target{{Names: []string{target}}}
			if _, err := sts.New(cfg); err == nil {
				t.Errorf("New() with target %q = nil, want an error", target)
			}
		})
	}
	t.Run("star for a client", func(t *testing.T) {
		cfg := newBench(t, nil).cfg
		cfg.Clients = []sts.Client{{Client: clientauth.Client{ID: "x", Public: true}, Targets: []string{"*"}}}
		if _, err := sts.New(cfg); err == nil {
			t.Error("New() = nil, want an error")
		}
	})
}
