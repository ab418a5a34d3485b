package integration_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// administer gives the world an admin API on a socket, and a function that runs
// `caddy uma` with it in a process of its own.
func (w *world) administer() (umaCommand func(args ...string) (code int, text string)) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "uma") // a socket's path must be short
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := "unix/" + filepath.Join(dir, "admin")
	w.config["admin"] = map[string]any{"listen": address, "config": map[string]any{"persist": false}}
	w.reload()
	return func(args ...string) (int, string) {
		w.t.Helper()
		flags := slices.Index(append(args, "--"), "--") // behind it flags are arguments
		args = slices.Concat([]string{"uma"}, args[:flags], []string{"--address", address}, args[flags:])
		cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), os.Args[0], args...) //nolint:gosec // the test itself
		cmd.Env = append(os.Environ(), asCaddy+"=1")
		cmd.WaitDelay = 20 * time.Second
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			w.t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String()
	}
}

// expect runs a command of an administrator and compares.
func expect(t *testing.T, command func(...string) (int, string), code int, text string, args ...string) {
	t.Helper()
	if got, out := command(args...); got != code || !strings.Contains(out, text) {
		t.Errorf("caddy uma %v: exit %d, %s; want %d, %q", args, got, out, code, text)
	}
}

// admitBob lets Bob in and gives the id of the decision.
func (w *world) admitBob() string {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	a := w.redeem(ticket, w.claimsToken(w.login("bob@bob.localhost", "bob-demo"), w.url("api", ""), ticket), nil)
	if a.status != http.StatusOK {
		w.t.Fatalf("%d %s", a.status, a.text)
	}
	return a.get("decision_id")
}

// What was decided, and what would be, is explained on the command line.
func TestExplainCommand(t *testing.T) {
	w := example(t)
	uma := w.administer()
	id := w.admitBob()
	expect(t, uma, 0, "Granted: bob@bob.localhost with client 'caddy-uma' at resource server 'api'", "explain", id)
	expect(t, uma, 1, "no such decision is kept", "explain", "nonsense")
	claims := filepath.Join(t.TempDir(), "claims.json")
	if err := os.WriteFile(claims, []byte(`{"iss":"`+w.url("bob", "")+`","sub":"1","email":"mallory@bob.localhost"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	dry := []string{"explain", "--claims", claims, "--resource-server", "api", "--resource", "RS API", "--scope", "get"}
	expect(t, uma, 0, "Denied: mallory@bob.localhost", dry...)
	expect(t, uma, 0, "is about other people", dry...)
	dry[8] = "post"
	expect(t, uma, 0, "Denied: mallory@bob.localhost", dry...)
	if err := os.WriteFile(claims, []byte(`{"iss":"`+w.url("bob", "")+`","sub":"1","email":"bob@bob.localhost"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, uma, 0, "Denied: bob@bob.localhost", dry...) // he may get, not post
	dry[8] = "get"
	expect(t, uma, 0, "Granted: bob@bob.localhost", dry...)
	expect(t, uma, 2, "belong together", "explain", "--claims", claims)
	expect(t, uma, 2, "explain needs the id of a decision", "explain")
	dry[4] = "nope"
	expect(t, uma, 2, "there is no resource server 'nope'", dry...)
}

// SEC-27: the ledger of a whole Caddy, seen and changed from the command line,
// over reloads.
func TestSEC_27_Administration(t *testing.T) {
	w := example(t)
	uma := w.administer()
	want := func(code int, text string, args ...string) {
		t.Helper()
		expect(t, uma, code, text, args...)
	}
	want(0, "Nobody was let in yet", "domains", "list")
	w.admitBob()
	want(0, w.url("bob", ""), "domains", "list")
	want(1, "nothing is known of it", "domains", "forget", "carol.example")
	want(2, "name the issuer to accept", "domains", "accept", "bob.localhost")
	w.reload()
	want(2, "issuer must be an https URL", "domains", "accept", "bob.localhost", "bob")
	want(0, "Nobody has come with it so far", "domains", "accept", "bob.localhost", w.url("bobb", ""))
	want(0, "is the known issuer of bob.localhost now", "domains", "accept", "bob.localhost", w.url("bob", ""))
	w.admitBob()
	want(0, "is forgotten, with 1 of its addresses", "domains", "forget", "bob.localhost")
	w.admitBob()
	want(0, "bob.localhost", "domains", "list", "--issuer", w.url("as", ""))
	want(1, "no uma_server has this issuer", "domains", "list", "--issuer", "https://as.example")
	w.config["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	w.reload()
	want(3, "no Caddy answers", "domains", "list")
}
