package documents_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnit: systemd has nothing to say against the unit, and finds it as closed as
// its README says. The program that it starts need not be installed here.
func TestUnit(t *testing.T) {
	unit := strings.ReplaceAll(read(t, "examples/systemd/caddy-uma.service"), "/usr/local/bin/caddy", "/bin/true")
	if strings.Count(unit, "/bin/true ") != 2 {
		t.Error("the unit starts or reloads another program")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "caddy-uma.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", file).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "unrecognized option") { // before systemd 250
		t.Errorf("security: %v\n%s", err, out)
	}
}
