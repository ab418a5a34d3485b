package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tinyDisk, in the environment of a child, is a folder and the options of the
// file system that it mounts there before it becomes Caddy. It has a mount table
// of its own, so nobody else sees it.
const tinyDisk = "UMA_TEST_TINY_DISK"

func mountTinyDisk() {
	dir, options, found := strings.Cut(os.Getenv(tinyDisk), ":")
	if !found {
		return
	}
	err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "tiny disk:", err)
		os.Exit(99)
	}
}

// child is a Caddy of its own process with the three roles of the example.
type child struct {
	*world
	cmd  *exec.Cmd
	done chan error
	log  string // file
	disk string // folder in which everything lies that it writes
}

// prepare makes a child's configuration, without starting it.
func prepareChild(t *testing.T, edits ...string) *child {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	pairs := append(edits, `respond "Hello {http.auth.user.id}, this is the RS API"`, "reverse_proxy "+w.backend())
	t.Setenv("UMA_PORT", w.port)
	w.adapt(strings.NewReplacer(pairs...).Replace(string(text)))
	c := &child{world: w, log: filepath.Join(w.dir, "log"), disk: filepath.Join(w.dir, "disk")}
	if err := os.Mkdir(c.disk, 0o700); err != nil {
		t.Fatal(err)
	}
	w.config["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(c.disk, "storage")}
	apps, _ := w.config["apps"].(map[string]any)
	uma, _ := apps["uma"].(map[string]any)
	uma["store"] = map[string]any{"module": "bolt", "path": filepath.Join(c.disk, "uma", "uma.db")}
	w.config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
		"level": "INFO", "writer": map[string]any{"output": "file", "filename": c.log},
	}}}
	return c
}

// start starts the child; env is added to its environment.
func (c *child) start(env ...string) {
	c.t.Helper()
	body, err := json.Marshal(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	write(c.t, c.dir, "caddy.json", string(body))
	c.cmd = exec.CommandContext(context.WithoutCancel(c.t.Context()), os.Args[0], "run", "--config", filepath.Join(c.dir, "caddy.json")) //nolint:gosec // the test itself
	c.cmd.Env = append(append(os.Environ(), asCaddy+"=1", "XDG_DATA_HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir), env...)
	c.cmd.WaitDelay = 20 * time.Second
	var stderr strings.Builder
	c.cmd.Stdout, c.cmd.Stderr = io.Discard, &stderr
	for _, e := range env {
		if strings.HasPrefix(e, tinyDisk+"=") {
			c.cmd.SysProcAttr = ownMounts()
		}
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Skipf("no mount table of its own for a child: %v", err)
	}
	c.done = make(chan error, 1)
	go func() { c.done <- c.cmd.Wait() }()
	c.t.Cleanup(func() {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-c.done; err != nil {
			if c.cmd.ProcessState.ExitCode() == 99 {
				c.t.Log(stderr.String())
				return
			}
			c.t.Errorf("the process: %v\n%s", err, tail(stderr.String()))
		}
	})
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// ownMounts: who is not root is root in a user namespace of its own.
func ownMounts() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// on is a file of the child's disk as seen from here.
func (c *child) on(name ...string) string {
	return filepath.Join(append([]string{fmt.Sprintf("/proc/%d/root", c.cmd.Process.Pid), c.disk}, name...)...)
}

// await waits for the certificates.
func (c *child) await() {
	c.t.Helper()
	c.client = nodeClient(c.t, c.on("storage"), c.port)
	c.awaitNode()
}

// lives fails the test if the process has ended.
func (c *child) lives(t *testing.T) {
	t.Helper()
	select {
	case err := <-c.done:
		c.done <- err
		t.Fatalf("the process has ended: %v", err)
	default:
	}
}

// logged are the lines of the log at warn and above.
func (c *child) logged() []map[string]any {
	c.t.Helper()
	text, err := os.ReadFile(c.log)
	if err != nil {
		c.t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var l map[string]any
		if json.Unmarshal([]byte(line), &l) == nil && (l["level"] == "warn" || l["level"] == "error") {
			all = append(all, l)
		}
	}
	return all
}

// flow does the nine steps by hand and gives the RPT.
func (c *child) flow(t *testing.T, access string) string {
	t.Helper()
	ticket, _ := c.challenged(http.MethodGet, "/")
	a := c.redeem(ticket, c.claimsToken(access, c.url("api", ""), ticket), nil)
	if a.status != http.StatusOK {
		t.Fatalf("step 7: %d %s", a.status, a.text)
	}
	return a.get("access_token")
}

// opens tells whether an RPT opens the API.
func (c *child) opens(t *testing.T, rpt string) {
	t.Helper()
	if a := c.get(c.url("api", "/"), bearer(rpt)); a.status != http.StatusOK {
		t.Errorf("the RPT opens nothing: %d %s", a.status, a.text)
	}
}

// unlimited are the edits that switch the rate limits off: a test is one source.
func unlimited() []string {
	return []string{
		"policy readers {", "rate_limit token off\n\t\trate_limit ticket off\n\t\tpolicy readers {",
		"resource \"RS API\" {\n\t\t\tscope get", "rate_limit off\n\t\tresource \"RS API\" {\n\t\t\tscope get",
		"email_domain bob.localhost\n", "email_domain bob.localhost\n\t\trate_limit exchange off\n\t\trate_limit login off\n",
	}
}
