package caddysts_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/google/go-cmp/cmp"

	_ "github.com/caddy-uma/caddy-uma/caddysts"
)

var update = flag.Bool("update", false, "write the golden files anew")

const dashes = "----------\n"

// TestCaddyfile adapts each testdata/*.caddyfiletest: before the dashes the
// Caddyfile, after them the JSON or the text of the error.
func TestCaddyfile(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(text), dashes)
			if !ok && !*update {
				t.Fatal("no line of dashes")
			}
			got := adapt(input)
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// adapt gives indented JSON or the text of the error.
func adapt(input string) string {
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		return err.Error() + "\n"
	}
	pretty, err := json.MarshalIndent(tree, "", "\t")
	if err != nil {
		return err.Error() + "\n"
	}
	return string(pretty) + "\n"
}
