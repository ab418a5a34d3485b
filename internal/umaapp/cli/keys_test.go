package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

const (
	keysAnswer = `{"keys":[
		{"role":"as","issuer":"https://as.example","purpose":"rpt","kid":"kid-2","alg":"ES256","created":"2026-04-01T10:00:00Z","not_before":"2026-04-01T10:15:00Z","state":"next"},
		{"role":"as","issuer":"https://as.example","purpose":"rpt","kid":"kid-1","alg":"ES256","created":"2026-01-01T10:00:00Z","not_before":"2026-01-01T10:00:00Z","retire_after":"2026-04-01T11:30:00Z","state":"signing"},
		{"role":"sts","issuer":"https://sts.example/\u001b[31m","purpose":"claims","kid":"kid-3\u202e","alg":"EdDSA","created":"2026-01-01T10:00:00Z","not_before":"2026-01-01T10:00:00Z","state":"signing"}]}`
	reachAnswer   = `"reach":{"other_nodes":80,"before_use":900,"key_sets":300,"key_sets_stale":900,"refetch":60,"key_sets_default":900}`
	rotateAnswer  = `{"keys":[{"issuer":"https://as.example","purpose":"rpt","kid":"kid-2","alg":"ES256","created":"2026-04-01T10:00:00Z","not_before":"2026-04-01T10:15:00Z","state":"next"}],` + reachAnswer + `}`
	retireAnswer  = `{"key":{"issuer":"https://as.example","purpose":"rpt","kid":"kid-1","alg":"ES256","state":"retired"},"used":{"kid":"kid-2"},"lost":"every RPT",` + reachAnswer + `}`
	retiredSecret = `{"key":{"issuer":"https://as.example","purpose":"ticket","kid":"kid-1","alg":"secret","state":"retired"},"used":{"kid":"kid-2"},"lost":"tickets",` + reachAnswer + `}`
)

func TestKeysList(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/keys": keysAnswer,
		"GET /uma/show/keys?issuer=https%3A%2F%2Fas.example&purpose=rpt": keysAnswer,
		"GET /uma/show/keys?purpose=status":                              `{"keys":[]}`,
		"GET /uma/show/keys?purpose=x":                                   `404 {"error":"there are no such keys"}`,
		"GET /uma/show/keys?purpose=y":                                   `503 {"error":"the place where keys are kept cannot be read"}`,
		"GET /uma/show/keys?purpose=z":                                   `{"keys":7}`,
	})
	code, stdout, stderr := caddyUMA(t, "", "", "keys", "list", "--address", a.address)
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "keys_list.txt", stdout)
	for _, tc := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"--json"}, 0, `"kid": "kid-2"`, ""},
		{[]string{"--issuer", "https://as.example", "--purpose", "rpt"}, 0, "kid-1", ""},
		{[]string{"--purpose", "status"}, 0, "", "No key was needed yet"},
		{[]string{"--purpose", "x"}, 1, "", "there are no such keys"},
		{[]string{"--purpose", "y"}, 3, "", "cannot be read"},
		{[]string{"--purpose", "z"}, 3, "", "not understood"},
		{[]string{"x"}, 2, "", "takes no arguments"},
	} {
		code, stdout, stderr := caddyUMA(t, "", "", append([]string{"keys", "list", "--address", a.address}, tc.args...)...)
		if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) || tc.stderr != "" && stdout != "" {
			t.Errorf("%q: exit %d, %q, %q", tc.args, code, stdout, stderr)
		}
	}
}

func TestKeysChanges(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"POST /uma/change/keys/rotate?issuer=https%3A%2F%2Fas.example": rotateAnswer,
		"POST /uma/change/keys/rotate":                                 `400 {"error":"several issuers have keys here: say which with issuer="}`,
		"POST /uma/change/keys/retire":                                 retireAnswer,
		"POST /uma/change/keys/retire?issuer=ticket":                   retiredSecret,
		"POST /uma/change/keys/retire?issuer=none":                     `404 {"error":"no key of these issuers has this kid"}`,
		"POST /uma/change/keys/retire?issuer=subject":                  `409 {"error":"the subject key is never changed"}`,
		"POST /uma/change/keys/import":                                 `{"imported":3}`,
	})
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		body           string
		golden, stderr string
	}{
		{name: "rotate", args: []string{"rotate", "--issuer", "https://as.example", "--purpose", "rpt"}, body: `{"purpose":"rpt"}`, golden: "keys_rotate.txt"},
		{name: "rotate one of several", args: []string{"rotate"}, body: `{}`, code: 2, stderr: "say which"},
		{name: "retire", args: []string{"retire", "--yes", "--reason", "lost", "kid-1"}, body: `{"kid":"kid-1","reason":"lost"}`, golden: "keys_retire.txt"},
		{name: "retire a kid like a flag", args: []string{"retire", "--yes", "--", "-7Hy"}, body: `{"kid":"-7Hy"}`, golden: "keys_retire.txt"},
		{name: "retire as JSON", args: []string{"retire", "--yes", "--json", "kid-1"}, body: `{"kid":"kid-1"}`, golden: "keys_retire.json"},
		{name: "retire a secret", args: []string{"retire", "--yes", "--issuer", "ticket", "kid-1"}, body: `{"kid":"kid-1"}`, golden: "keys_retire_secret.txt"},
		{name: "retire what is not there", args: []string{"retire", "--yes", "--issuer", "none", "x"}, body: `{"kid":"x"}`, code: 1, stderr: "has this kid"},
		{name: "retire the subject key", args: []string{"retire", "--yes", "--issuer", "subject", "x"}, body: `{"kid":"x"}`, code: 1, stderr: "never changed"},
		{name: "retire without being asked", args: []string{"retire", "kid-1"}, code: 2, stderr: "use --yes"},
		{name: "retire nothing", args: []string{"retire", "--yes"}, code: 2, stderr: "takes the kid"},
		{name: "import", args: []string{"import"}, body: `{}`, golden: "keys_import.txt"},
		{name: "nonsense", args: []string{"nonsense"}, code: 2, stderr: "there is no command"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.body = ""
			args := append([]string{"keys"}, tc.args...)
			if tc.name != "nonsense" {
				args = slices.Insert(args, 2, "--address", a.address)
			}
			code, stdout, stderr := caddyUMA(t, "y\n", "", args...)
			if code != tc.code || a.body != tc.body || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit %d, %q; body %s", code, stderr, a.body)
			}
			if tc.golden != "" {
				golden(t, tc.golden, stdout)
			}
		})
	}
}

// Only a clear yes retires a key.
func TestConfirm(t *testing.T) {
	k := &keyRow{Issuer: "https://as.example", Purpose: "rpt\u001b[2J", State: "signing"}
	for answer, yes := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "y": false, "yy\n": false, strings.Repeat(" ", 600) + "y\n": false} {
		var out bytes.Buffer
		if err := confirm(strings.NewReader(answer), &out, k); (err == nil) != yes {
			t.Errorf("%.10q: %v", answer, err)
		}
		if strings.Contains(out.String(), "\u001b") || !strings.Contains(out.String(), "signing key 'rpt[2J' of https://as.example") {
			t.Errorf("%q", out.String())
		}
	}
}
