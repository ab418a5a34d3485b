package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	firstBlocks = `{"blocks":[
		{"kind":"address","who":"bob@bob.example","since":"2026-01-02T03:04:05Z","until":"2026-01-09T03:04:05Z","reason":"lost\u001b[31m laptop"},
		{"kind":"domain","who":"*.bob.example","since":"2026-01-02T03:04:05Z"}],"next":"n"}`
	secondBlocks = `{"blocks":[{"kind":"issuer","who":"","since":"2026-01-02T03:04:05Z"}]}`
)

func TestBlocks(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/blocks?after=":  firstBlocks,
		"GET /uma/show/as/blocks?after=n": secondBlocks,
	})
	code, stdout, stderr := caddyUMA(t, "", "", "blocks", "--address", a.address)
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "blocks.txt", stdout)
	code, stdout, _ = caddyUMA(t, "", "", "blocks", "--json", "--address", a.address)
	var got struct{ Blocks []struct{ Who string } }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || len(got.Blocks) != 3 || got.Blocks[1].Who != "*.bob.example" {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
}

func TestBlock(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"POST /uma/change/as/block":                                 `{"kind":"address","who":"bob@bob.example","since":"2026-01-02T03:04:05Z","until":"2026-01-09T03:04:05Z","ended":1}`,
		"POST /uma/change/as/block?issuer=https%3A%2F%2Fas.carol":   `{"kind":"domain","who":"bob.example","since":"2026-01-02T03:04:05Z","ended":12}`,
		"POST /uma/change/as/unblock":                               `{"kind":"domain","who":"bob.example","since":"2026-01-02T03:04:05Z"}`,
		"POST /uma/change/as/unblock?issuer=https%3A%2F%2Fas.carol": `404 {"error":"not_found","error_description":"this is not blocked"}`,
	})
	for _, tc := range []struct {
		name, args  string
		code        int
		asked, body string
		out, errs   string
	}{
		{
			"with everything", "block --for 7d --reason lost bob@bob.example", 0, "POST /uma/change/as/block",
			`{"for":604800,"reason":"lost","who":"bob@bob.example"}`, "bob@bob.example is blocked until 2026-01-09 05:04+02:00; ended: 1 grant.\n", "",
		},
		{
			"of one of several", "block --issuer https://as.carol bob.example", 0, "POST /uma/change/as/block?issuer=https%3A%2F%2Fas.carol",
			`{"who":"bob.example"}`, "bob.example is blocked until 'caddy uma unblock'; ended: 12 grants.\n", "",
		},
		{"unblock", "unblock bob.example", 0, "POST /uma/change/as/unblock", `{"who":"bob.example"}`, "bob.example is not blocked any more.\n", ""},
		{
			"as JSON", "unblock --json bob.example", 0, "POST /uma/change/as/unblock", `{"who":"bob.example"}`,
			"{\n  \"kind\": \"domain\",\n  \"who\": \"bob.example\",\n  \"since\": \"2026-01-02T03:04:05Z\"\n}\n", "",
		},
		{
			"not blocked", "unblock --issuer https://as.carol bob.example", 1, "POST /uma/change/as/unblock?issuer=https%3A%2F%2Fas.carol",
			`{"who":"bob.example"}`, "", "this is not blocked",
		},
		{"no time", "block --for soon bob.example", 2, "", "", "", "write hours or days"},
		{"a negative time", "block --for=-1h bob.example", 2, "", "", "", "write hours or days"},
		{"less than a second", "block --for 10ms bob.example", 2, "", "", "", "write hours or days"},
		{"nobody", "block", 2, "", "", "", "takes one argument"},
		{"two", "block a.example b.example", 2, "", "", "", "takes one argument"},
		{"unblock nobody", "unblock", 2, "", "", "", "takes one argument"},
		{"a list of one", "blocks bob.example", 2, "", "", "", "takes no arguments"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.asked, a.body = "", ""
			code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(tc.args), "--address", a.address)...)
			if code != tc.code || stdout != tc.out || !strings.Contains(stderr, tc.errs) || a.asked != tc.asked || a.body != tc.body {
				t.Errorf("exit %d, %q, %q; asked %s %s", code, stdout, stderr, a.asked, a.body)
			}
		})
	}
	empty := newAdmin(t, map[string]string{"GET /uma/show/as/blocks?after=": `{"blocks":[]}`})
	if code, stdout, stderr := caddyUMA(t, "", "", "blocks", "--address", empty.address); code != 0 || stdout != "" || stderr != "Nobody is blocked.\n" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}
