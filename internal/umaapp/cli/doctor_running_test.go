package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	healthy = `{"verdict":"ok","findings":[{"subject":"store","check":"store","level":"ok","what":"it can be written"}]}`
	warned  = `{"verdict":"warning","findings":[{"subject":"store","check":"store","level":"warning","what":"w","cause":"c","cure":"d"}]}`
	ill     = `{"verdict":"failure","findings":[
		{"subject":"store","check":"store","level":"ok","what":"it can be written"},
		{"subject":"uma_protect api at https://as.example","check":"clock","level":"warning","what":"the clock is behind","cause":"tokens","cure":"NTP"},
		{"subject":"uma_protect api at https://as.example","check":"resource_uri","level":"failure","what":"the resource_uri differs","cause":"here is 'a\u001b[31m', there 'b\u202e'","cure":"write the same"}]}`
)

func TestDoctorRunning(t *testing.T) {
	for _, tc := range []struct {
		name, answer   string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"well", healthy, nil, 0, "All is well, as far as can be seen from here.", ""},
		{"warnings", warned, nil, 0, "No failure; the warnings (1) are worth a look.", ""},
		{"failures", ill, nil, 1, "Failures: 1, warnings: 1.", ""},
		{"nothing", `{"findings":[]}`, nil, 0, "All is well", ""},
		{"busy", `503 {"error":"somebody else is examining this configuration at the moment"}`, nil, 3, "", "somebody else is examining"},
		{"not permitted", `403 {}`, nil, 1, "", "does not permit it"},
		{"nothing of ours", `404 {"error":"the running configuration has no uma_protect, uma_server or uma_sts"}`, nil, 1, "", "has no uma_protect"},
		{"older Caddy", `404 `, nil, 1, "", "has no such command"},
		{"another JSON", `{"findings":7}`, nil, 3, "", "is not understood"},
		{"away", "", []string{"--address", "127.0.0.1:1"}, 3, "", "no Caddy answers"},
		{"with CAs", healthy, []string{"--cacert", "x.pem"}, 2, "", "--cacert is for an e-mail address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAdmin(t, map[string]string{"GET /uma/show/doctor": tc.answer})
			code, stdout, stderr := caddyUMA(t, "", "", append([]string{"doctor", "--address", a.address}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) || (tc.stderr == "") != (stderr == "") {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

func TestDoctorRunningPrints(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /uma/show/doctor": ill})
	_, stdout, _ := caddyUMA(t, "", "", "doctor", "--address", a.address)
	golden(t, "doctor_running.txt", stdout)
	code, stdout, stderr := caddyUMA(t, "", "", "doctor", "--json", "--address", a.address)
	var got struct {
		Verdict  string
		Findings []struct{ Level, Cause string }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 || stderr != "" || got.Verdict != "failure" || len(got.Findings) != 3 {
		t.Errorf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
}
