package integration_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a real Caddy with its own folders and admin address: what somebody
// has who followed the README.
type process struct {
	t    *testing.T
	port string
	env  []string
	// storage is Caddy's.
	storage string
}

func startProcess(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, port: freePort(t), storage: filepath.Join(dir, "data", "caddy")}
	p.env = append(os.Environ(), asCaddy+"=1", "UMA_PORT="+p.port, "CADDY_ADMIN=127.0.0.1:"+freePort(t),
		"HOME="+dir, "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	caddy := p.command(t.Context(), "run", "--config", "../Caddyfile.example")
	var log bytes.Buffer
	caddy.Stdout, caddy.Stderr = io.Discard, &log
	if err := caddy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = caddy.Process.Signal(syscall.SIGTERM)
		if err := caddy.Wait(); err != nil {
			t.Errorf("caddy: %v\n%s", err, log.String())
		}
	})
	p.awaitPort()
	return p
}

// command starts the test binary as Caddy.
func (p *process) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), os.Args[0], args...) //nolint:gosec // the test itself
	cmd.Env = p.env
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func (p *process) awaitPort() {
	p.t.Helper()
	for range 500 {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+p.port, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond) // polling a real process: there is no clock to inject
	}
	p.t.Fatal("caddy does not listen")
}

// run gives the outputs and the exit code of a command.
func (p *process) run(stdin string, args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	cmd := p.command(p.t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestREADME_UmaGet(t *testing.T) {
	p := startProcess(t)
	url := "https://api.localhost:" + p.port + "/"
	// Certificates are made in the first moments after the start.
	p.awaitCertificates(url)

	t.Run("CA-43 bob gets the answer of the backend", func(t *testing.T) {
		out, trace, code := p.run("bob-demo", "uma", "get", "-v", "--user", "bob@bob.localhost", "--password-file", "-", url)
		if code != 0 || !strings.HasPrefix(out, "Hello u-") {
			t.Fatalf("exit %d\n%s\n%s", code, out, trace)
		}
		for _, step := range []string{"1. ", "2. ", "3. ", "4. ", "5. ", "6. ", "7. ", "8. ", "9. "} {
			if !strings.Contains("\n"+trace, "\n"+step) {
				t.Errorf("step %sis missing in\n%s", step, trace)
			}
		}
		if long := regexp.MustCompile(`[A-Za-z0-9_-]{50,}`).FindString(trace); long != "" {
			t.Errorf("SEC-22: the trace shows a credential: %s", long)
		}
	})
	t.Run("DP-03 with --dpop", func(t *testing.T) {
		out, trace, code := p.run("bob-demo", "uma", "get", "--dpop", "--user", "bob@bob.localhost", "--password-file", "-", url)
		if code != 0 || !strings.HasPrefix(out, "Hello u-") {
			t.Errorf("exit %d\n%s\n%s", code, out, trace)
		}
	})
	t.Run("UG-46 mallory is denied with a decision id", func(t *testing.T) {
		out, trace, code := p.run("mallory-demo", "uma", "get", "-v", "--user", "mallory@bob.localhost", "--password-file", "-", url)
		if code != 1 || out != "" || !strings.Contains(trace, "request_denied") || !strings.Contains(trace, "decision ") {
			t.Errorf("exit %d\n%s\n%s", code, out, trace)
		}
		if !strings.Contains(trace, "\n7. as.localhost:"+p.port+" -> client: request_denied\n") {
			t.Errorf("step 7 is missing in\n%s", trace)
		}
	})
	t.Run("a wrong password", func(t *testing.T) {
		_, trace, code := p.run("bob-demp", "uma", "get", "--user", "bob@bob.localhost", "--password-file", "-", url)
		if code != 1 || !strings.Contains(trace, "access_denied") {
			t.Errorf("exit %d\n%s", code, trace)
		}
	})
	t.Run("usage", func(t *testing.T) {
		if _, _, code := p.run("", "uma", "get"); code != 2 {
			t.Errorf("exit %d, want 2", code)
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		if _, trace, code := p.run("", "uma", "get", "https://api.localhost:"+freePort(t)+"/"); code != 3 {
			t.Errorf("exit %d, want 3\n%s", code, trace)
		}
	})
	t.Run("doctor", func(t *testing.T) {
		out, errs, code := p.run("", "uma", "doctor", "bob@bob.localhost")
		if code != 0 || errs != "" || !strings.HasSuffix(out, "All is well: authorization servers find that https://bob.localhost:"+p.port+" vouches for bob@bob.localhost.\n") {
			t.Errorf("exit %d\n%s\n%s", code, out, errs)
		}
		out, _, code = p.run("", "uma", "doctor", "--json", "bob@as.localhost")
		if code != 1 || !strings.Contains(out, `"code": "address"`) {
			t.Errorf("a domain without connect_to: exit %d\n%s", code, out)
		}
	})
	t.Run("CA-08 ticket-challenge", func(t *testing.T) {
		out, _, code := p.run("", "uma", "ticket-challenge", "016f84e8-f9b9-11e0-bd6f-0021cc6004de")
		if code != 0 || strings.TrimSpace(out) != "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c" {
			t.Errorf("exit %d: %s", code, out)
		}
	})
}

// awaitCertificates asks until the connection works: without an identity a
// protected URL ends with exit 1, an unreachable one with 3.
func (p *process) awaitCertificates(url string) {
	p.t.Helper()
	for range 100 {
		if _, _, code := p.run("", "uma", "get", url); code == 1 {
			return
		}
	}
	p.t.Fatal("the certificates are not there")
}
