package cli

import (
	"strings"
	"testing"
)

func TestResourcesList(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/resources?limit=100":                                                   `{"resources":[{"resource_id":"r1","resource_server":"api","owner":"alice","name":"RS API","type":"urn:t","scopes":["get","post"]}],"next":"r1"}`,
		"GET /uma/show/as/resources?after=r1&limit=99":                                           `{"resources":[{"resource_id":"r2","resource_server":"photos","owner":"photos","name":"\u001b[2J","scopes":[]}]}`,
		"GET /uma/show/as/resources?issuer=https%3A%2F%2Fas.carol&limit=100&resource_server=api": `{"resources":[]}`,
	})
	code, stdout, stderr := caddyUMA(t, "", "", "resources", "list", "--address", a.address)
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "resources_list.txt", stdout)
	code, stdout, _ = caddyUMA(t, "", "", "resources", "list", "--json", "--address", a.address)
	if code != 0 || strings.Count(stdout, `"resource_id"`) != 2 {
		t.Errorf("exit %d, %s", code, stdout)
	}
	code, stdout, stderr = caddyUMA(t, "", "", "resources", "list", "--resource-server", "api", "--issuer", "https://as.carol", "--address", a.address)
	if code != 0 || stdout != "" || !strings.HasPrefix(stderr, "Nothing is registered") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

const (
	diffPath = "GET /uma/show/rs/resources/diff"
	inStep   = `{"issuer":"https://as.example","client_id":"api","diff":{"create":[],"update":[],"undeclared":[],"in_step":3}}`
	differs  = `{"issuer":"https://as.example","client_id":"photos","diff":{
		"create":[{"name":"new","owner":"alice","scopes":["get","post"]},{"name":"bare","scopes":[]}],
		"update":[{"resource_id":"1","name":"RS API","scopes":["get","post"],"changes":[{"member":"scopes","was":"get","is":"get post"},{"member":"type","was":"","is":"urn:t\u001b[1m"}]}],
		"undeclared":[{"resource_id":"2","name":"old","scopes":["get"]}],"in_step":1}}`
	asleep = `{"issuer":"https://as.example","client_id":"x","error":"reading metadata: the authorization server answered 503"}`
)

// Exit codes: 0 in step, 1 differences or nothing there, 2 usage, 3 unreachable.
func TestResourcesDiff(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		args         []string
		code         int
		stdout, errs string
	}{
		{"in step", inStep, nil, 0, "= 3 in step\n", ""},
		{"an authorization server is asleep", inStep + "," + asleep, nil, 3, "= 3 in step", "the resources of 'x' at https://as.example cannot be compared: reading metadata: the authorization server answered 503"},
		{"as JSON", differs, []string{"--json"}, 1, `"undeclared": [`, ""},
		{"an argument", inStep, []string{"api"}, 2, "", "takes no arguments"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAdmin(t, map[string]string{diffPath: `{"resource_servers":[` + tc.answer + `]}`})
			code, stdout, stderr := caddyUMA(t, "", "", append([]string{"resources", "diff", "--address", a.address}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.errs) || (stderr == "") != (tc.errs == "") {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
		})
	}
	a := newAdmin(t, map[string]string{
		diffPath:                       `{"resource_servers":[` + inStep + "," + differs + `]}`,
		diffPath + "?client_id=photos": `{"resource_servers":[` + differs + `]}`,
		diffPath + "?client_id=x&issuer=https%3A%2F%2Fas.example": `404 {"error":"no uma_protect has this issuer and client_id"}`,
	})
	code, stdout, stderr := caddyUMA(t, "", "", "resources", "diff", "--address", a.address)
	if code != 1 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "resources_diff.txt", stdout)
	if code, one, _ := caddyUMA(t, "", "", "resources", "diff", "--client-id", "photos", "--address", a.address); code != 1 || strings.Contains(one, " at https") || !strings.HasSuffix(stdout, one) {
		t.Errorf("exit %d, %q", code, one)
	}
	code, _, stderr = caddyUMA(t, "", "", "resources", "diff", "--client-id", "x", "--issuer", "https://as.example", "--address", a.address)
	if code != 1 || !strings.Contains(stderr, "no uma_protect has this") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for _, args := range [][]string{{"resources", "nonsense"}, {"resources", "list", "x"}} {
		if code, _, stderr := caddyUMA(t, "", "", args...); code != 2 {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}
