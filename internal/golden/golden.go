// Package golden is test support: Caddyfiles and what comes of them. A file
// testdata/*.caddyfiletest holds a Caddyfile, a line of dashes, and the JSON or
// the text of the error that adapting it gives, warnings in front. Nothing but
// tests imports it.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const dashes = "----------\n"

// Run adapts each testdata/*.caddyfiletest of the package.
func Run(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) { check(t, file) })
	}
}

func check(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	input, want, found := strings.Cut(string(text), dashes)
	if !found && !*update {
		t.Fatal("no line of dashes")
	}
	got := Adapt(input)
	if *update {
		if err := os.WriteFile(file, []byte(input+dashes+got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Adapt gives the warnings and the indented JSON, or the text of the error.
func Adapt(input string) string {
	body, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var out bytes.Buffer
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			out.WriteString("warning: " + w.String() + "\n")
		}
	}
	if err := json.Indent(&out, body, "", "\t"); err != nil {
		return err.Error() + "\n"
	}
	return out.String() + "\n"
}
