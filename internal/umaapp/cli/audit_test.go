package cli

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/chain"
)

const auditKey = "the-key-of-the-audit-log-0123456789-"

// auditLog makes lines of a chain.
func auditLog(t *testing.T, key []byte, n int) []string {
	t.Helper()
	c := chain.New(nil)
	lines := make([]string, 0, n)
	for i := range n {
		line := fmt.Sprintf(`{"logger":"uma.audit","n":%d}`, i)
		tail, err := c.Link([]byte(line), key)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSuffix(line, "}")+string(tail)+"\n")
	}
	return lines
}

func TestSEC_22_AuditVerify(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lines := auditLog(t, []byte(auditKey), 6)
	head, _ := chain.Last([]byte(lines[5]))
	rolled := filepath.Join(dir, "audit-2026-11-26T08-00-00.000-size.log.gz")
	f, err := os.Create(rolled) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(f)
	_, _ = packed.Write([]byte(strings.Join(lines[:3], "")))
	_ = packed.Close()
	_ = f.Close()
	now, changed := put("audit.log", lines[3:]...), put("changed.log", strings.Replace(lines[3], `"n":3`, `"n":4`, 1), lines[4])
	key, wrong := put("key", auditKey+"\n"), put("wrong", "another key\n")
	bare := auditLog(t, nil, 3)
	plain := put("plain.log", bare...)
	plainHead, _ := chain.Last([]byte(bare[2]))
	for _, tc := range []struct {
		name, stdin    string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"rolled and packed", "", []string{"--key-file", key, rolled, now}, 0, "chain " + head.Chain + ": lines 1 to 6, with a key; anchor " + head.String() + "\n6 lines, as it was written\n", ""},
		{"standard input", strings.Join(lines, ""), []string{"--key-file", key, "-"}, 0, "6 lines, as it was written", ""},
		{"the key by standard input", auditKey, []string{"--key-file", "-", rolled, now}, 0, "as it was written", ""},
		{"an older key, too", "", []string{"--key-file", wrong, "--key-file", key, now}, 0, "is here from line 4 on", ""},
		{"the anchor is there", "", []string{"--key-file", key, "--anchor", head.String(), rolled, now}, 0, "as it was written", ""},
		{"the anchor is not there", "", []string{"--key-file", key, "--anchor", head.String(), rolled}, 1, "the anchor " + head.String(), ""},
		{"a changed line", "", []string{"--key-file", key, rolled, changed}, 1, changed + ":1: the line was changed\n", ""},
		{"a line that is missing", strings.Join(append(lines[:2:2], lines[3:]...), ""), []string{"--key-file", key, "-"}, 1, "standard input:3: line 3 of chain", ""},
		{"one problem", strings.Join(append(lines[:2:2], lines[3:]...), ""), []string{"--key-file", key, "-"}, 1, "5 lines, NOT as it was written: 1 problem\n", ""},
		{"another key", "", []string{"--key-file", wrong, now}, 1, now + ":3: the line was changed, or was made with another key\n", ""},
		{"no key", "", []string{now}, 2, now + ":1: the log was written with a key, without which nothing can be said: --key-file\n3 lines, NOT checked\n", "give the key of the log"},
		{"no key, and something else is wrong", "no link\n" + lines[0], []string{"-"}, 1, "2 lines, NOT as it was written: 2 problems", ""},
		{"a chain without a key", "", []string{plain}, 1, "3 lines, unbroken, and NOT proved to be as it was written: it has no key", ""},
		{"a chain without a key, as is known", "", []string{"--no-key", plain}, 0, "3 lines, unbroken; it has no key", ""},
		{"a chain that was written anew without its key", "", []string{put("anew.log", auditLog(t, nil, 6)...)}, 1, "NOT proved", ""},
		{"a chain without a key, and an anchor", "", []string{"--anchor", plainHead.String(), plain}, 0, "3 lines, as it was written up to the anchor\n", ""},
		{"a chain without a key, and an anchor that is not there", "", []string{"--no-key", "--anchor", head.String(), plain}, 1, "NOT as it was written", ""},
		{"a gap without a key", strings.Join(append(bare[:1:1], bare[2:]...), ""), []string{"--no-key", "-"}, 1, "NOT as it was written", ""},
		{"with a key, as if there were none", "", []string{"--no-key", rolled, now}, 2, "NOT checked", "give the key of the log"},
		{"a key and none", "", []string{"--no-key", "--key-file", key, plain}, 2, "", "--no-key"},
		{"a chain without a key, where one is wanted", "", []string{"--key-file", key, plain}, 1, "without the key", ""},
		{"JSON", "", []string{"--json", "--key-file", key, now}, 0, `"intact": true`, ""},
		{"JSON says what proves it", "", []string{"--json", "--key-file", key, now}, 0, `"proved_by": "key"`, ""},
		{"JSON of an anchor", "", []string{"--json", "--anchor", plainHead.String(), plain}, 0, `"proved_by": "anchor"`, ""},
		{"JSON without a key", "", []string{"--json", plain}, 1, `"proved_by": "nothing"`, ""},
		{"JSON of a changed one", "", []string{"--json", "--key-file", key, changed}, 1, `"intact": false,
  "proved_by": "nothing"`, ""},
		{"an empty file", "", []string{put("empty")}, 1, "", "there is no line"},
		{"hostile names and lines", "\x1b[31m{\"chain\":{\"id\":\"\n", []string{"-"}, 1, "the line has no link", ""},
		{"no such file", "", []string{filepath.Join(dir, "none")}, 2, "", "no such file"},
		{"no file", "", nil, 2, "", "takes files, or -"},
		{"twice standard input", auditKey, []string{"--key-file", "-", "-"}, 2, "", "for one thing only"},
		{"an empty key", "", []string{"--key-file", put("nokey"), now}, 2, "", "is empty"},
		{"no anchor", "", []string{"--anchor", "x:0:y", now}, 2, "", "chain:seq:hash"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := caddyUMA(t, tc.stdin, "", append([]string{"audit", "verify"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) || tc.stderr == "" && stderr != "" {
				t.Errorf("exit %d, want %d\n%q\n%q", code, tc.code, stdout, stderr)
			}
			if strings.Contains(stdout, "\x1b") {
				t.Errorf("the output moves the cursor: %q", stdout)
			}
			if len(tc.args) > 0 && tc.args[0] == "--json" && !json.Valid([]byte(stdout)) {
				t.Errorf("no JSON: %s", stdout)
			}
		})
	}
}
