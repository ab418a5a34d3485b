package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

const twoNodes = `{"expires":30,"nodes":[
	{"id":"AAAA","asked":true,"host":"one.internal","version":"v1.2.3","started":"2026-01-02T03:04:05Z","beat":"2026-03-04T05:06:07Z","keys":"same","policies":"same","issuers":[]},
	{"id":"BBBB\u001b[2J","host":"two\u202e","version":"v1.2.4","started":"2026-01-03T03:04:05Z","beat":"2026-03-04T05:06:08Z","keys":"other","policies":"newer","issuers":[]}]}`

func TestNodes(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /uma/show/nodes": twoNodes})
	code, stdout, stderr := caddyUMA(t, "", "", "nodes", "--address", a.address)
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "nodes.txt", stdout)
	code, stdout, _ = caddyUMA(t, "", "", "nodes", "--json", "--address", a.address)
	var got struct {
		Nodes []struct{ ID, Keys string }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || len(got.Nodes) != 2 || got.Nodes[1].Keys != "other" {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
}

func TestNodesErrors(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		args         []string
		code         int
		stderr       string
	}{
		{"store away", `503 {"error":"the store cannot be read"}`, nil, 3, "the store cannot be read"},
		{"nothing of ours", `404 {"error":"the running configuration has no uma_server"}`, nil, 1, "has no uma_server"},
		{"another JSON", `{"nodes":7}`, nil, 3, "is not understood"},
		{"argument", twoNodes, []string{"AAAA"}, 2, "takes no arguments"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAdmin(t, map[string]string{"GET /uma/show/nodes": tc.answer})
			code, _, stderr := caddyUMA(t, "", "", append([]string{"nodes", "--address", a.address}, tc.args...)...)
			if code != tc.code || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit %d, %q, want %d, %q", code, stderr, tc.code, tc.stderr)
			}
		})
	}
}
