package caddyrs

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestAdapt adapts each testdata file: before the dashes the Caddyfile, after
// them the JSON (and warnings) or the error text.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(goldenName(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(data), "----------\n")
			got := adapt(t, in)
			if *update {
				if err := os.WriteFile(file, []byte(in+"----------\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("adapt %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func goldenName(file string) string {
	return strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
}

func adapt(t *testing.T, in string) string {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(in), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	if err := json.Indent(&b, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	for _, w := range warnings {
		if strings.Contains(w.Message, "uma_protect") {
			b.WriteString("warning: " + w.Message + "\n")
		}
	}
	return b.String()
}
