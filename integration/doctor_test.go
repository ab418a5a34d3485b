package integration_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// doctor gives the findings of `caddy uma doctor` that are not well, by their check.
func doctor(t *testing.T, uma func(...string) (int, string), code int) map[string]finding.Finding {
	t.Helper()
	got, text := uma("doctor", "--json")
	var report struct {
		Verdict  finding.Level
		Findings []finding.Finding
	}
	if err := json.Unmarshal([]byte(text), &report); err != nil || got != code {
		t.Fatalf("exit %d, want %d: %v\n%s", got, code, err, text)
	}
	if (report.Verdict == finding.Failure) != (code == 1) {
		t.Errorf("exit %d with the verdict %s", code, report.Verdict)
	}
	ill := map[string]finding.Finding{}
	for _, f := range report.Findings {
		if f.Level == finding.OK || f.Check == "exceptions" { // connect_to, as the example has it
			continue
		}
		if f.Cause == "" || f.Cure == "" {
			t.Errorf("without cause or cure: %+v", f)
		}
		ill[f.Check] = f
	}
	return ill
}

// contains looks for parts of cause and cure, and for findings that nobody expects.
func contains(t *testing.T, ill map[string]finding.Finding, want map[string][]string) {
	t.Helper()
	for check, parts := range want {
		f, ok := ill[check]
		text := strings.Join([]string{f.Subject, string(f.Level), f.What, f.Cause, f.Cure}, "\n")
		for _, part := range parts {
			if !ok || !strings.Contains(text, part) {
				t.Errorf("%s: %q is not in %q", check, part, text)
			}
		}
	}
	for check, f := range ill {
		if want[check] == nil {
			t.Errorf("not expected: %+v", f)
		}
	}
}

// TestDoctor breaks one thing after the other in a real Caddy: what is said has cause
// and cure, and names nothing else, and no secret.
func TestDoctor(t *testing.T) {
	w := example(t)
	uma := w.administer()
	admin, good := w.config["admin"], w.text
	const secret, other = "example-only-change-me-0000000000", "another-secret-of-32-characters-0"
	const protect = "uma_protect https://as.localhost:{$UMA_PORT:8443} {\n"
	as, api := w.url("as", ""), w.url("api", "")
	contains(t, doctor(t, uma, 0), nil)
	expect(t, uma, 0, "a client would identify its user now", "doctor", api+"/")
	for _, tc := range []struct {
		name, from, to string
		code           int
		want           map[string][]string
	}{
		{
			"a wrong secret", "client_secret {$RS_SECRET:" + secret + "}", "client_secret " + other, 1,
			map[string][]string{"credentials": {"uma_protect api at " + as, "failure", "401 invalid_client", "compare client_id and client_secret", "'resource_server api' at " + as}},
		},
		{
			"another resource_uri", protect, protect + "\t\tresource_uri https://api.localhost:{$UMA_PORT:8443}/v2\n", 1,
			map[string][]string{"resource_uri": {"failure", "'" + api + "/v2'", "at the authorization server '" + api + "'", "write the same on both sides"}},
		},
		{
			"the authorization server is away", protect, "uma_protect https://gone.localhost:1 {\n", 1,
			map[string][]string{"authorization_server": {"failure", "uma_protect api at https://gone.localhost:1", "nothing listens", "start it"}},
		},
		{
			"another issuer", protect, "uma_protect https://as.localhost:{$UMA_PORT:8443}/ {\n", 1,
			map[string][]string{"authorization_server": {"failure", "has another issuer", "'" + as + "/'", "'" + as + "'", "uma_protect " + as}},
		},
		{
			"a redirect of everything", "\treverse_proxy", "\tredir https://elsewhere.example/\n\treverse_proxy", 1,
			map[string][]string{"routes": {"failure", "site api.localhost", "no request reaches uma_protect", "'respond' or 'redir'", "put uma_protect before it"}},
		},
		{
			"a redirect of the metadata", "\tuma_server", "\tredir /.well-known/uma2-configuration https://elsewhere.example/\n\tuma_server", 1,
			map[string][]string{"published": {"failure", "uma_server " + as, "302", "before what answers there"}},
		},
		{
			"an e-mail domain that cannot be seen", "email_domain bob.localhost", "email_domain bob.localhost carol.localhost", 0,
			map[string][]string{"webfinger": {"warning", "addresses of carol.localhost", "loopback", "caddy uma doctor somebody@carol.localhost"}},
		},
		{
			"the host of another site", "resource_server api https://api.localhost", "resource_server api https://www.localhost", 0,
			map[string][]string{"host": {"warning", "site api.localhost", "'www.localhost:", "on both sides"}},
		},
		{"nothing", "groups staff", "groups staff board", 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.Contains(good, tc.from) {
				t.Fatalf("the Caddyfile has no %q", tc.from)
			}
			w.adapt(strings.Replace(good, tc.from, tc.to, 1))
			w.config["admin"] = admin
			w.reload()
			w.await()
			contains(t, doctor(t, uma, tc.code), tc.want)
			if tc.want["credentials"] != nil {
				expect(t, uma, 1, "the resource server gets no permission ticket", "doctor", api+"/")
			}
			if _, text := uma("doctor"); strings.Contains(text, secret) || strings.Contains(text, other) {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}
