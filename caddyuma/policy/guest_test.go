package policy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuestOutside builds, vets (as `go test` does) and tests the example guest as somebody else
// would have it: in a module of its own, which requires ours. Nothing is
// downloaded: it needs the modules that we need.
func TestGuestOutside(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Caddy")
	}
	goTool, err := exec.LookPath("go")
	if err != nil && os.Getenv("UMA_REQUIRE_SERVICES") != "" {
		t.Fatal("no Go toolchain")
	}
	if err != nil {
		t.Skip("no Go toolchain")
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeModule(t, checkout, dir)
	cmd := exec.CommandContext(t.Context(), goTool, "test", "-count=1", "./...")
	cmd.Dir = dir
	// -mod=mod: the go.mod below is ours with another name, so the comments on
	// what is direct and what is not are wrong in it.
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=mod", "GOWORK=off", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test of the guest: %v\n%s", err, out)
	}
}

// writeModule makes a module of the example, which requires our checkout and
// the same versions of everything else.
func writeModule(t *testing.T, checkout, dir string) {
	t.Helper()
	mod := read(t, filepath.Join(checkout, "go.mod"))
	name, rest, ok := strings.Cut(string(mod), "\n")
	if !ok || name != "module github.com/caddy-uma/caddy-uma" {
		t.Fatalf("go.mod begins with %q", name)
	}
	write(t, filepath.Join(dir, "go.mod"), []byte("module guest.example/officehours\n"+rest+
		"\nrequire github.com/caddy-uma/caddy-uma v0.0.0\n\nreplace github.com/caddy-uma/caddy-uma => "+checkout+"\n"))
	write(t, filepath.Join(dir, "go.sum"), read(t, filepath.Join(checkout, "go.sum")))
	for _, file := range []string{"officehours.go", "officehours_test.go"} {
		text := read(t, filepath.Join("testdata", "officehours", file))
		if bytes.Contains(text, []byte("caddy-uma/internal")) {
			t.Errorf("%s imports what is not public", file)
		}
		write(t, filepath.Join(dir, file), text)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
