package integration_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// withHealth puts uma_health beside the authorization server.
var withHealth = []string{"\ttls internal\n\tuma_server", "\ttls internal\n\tuma_health /health\n\tuma_server"}

// health asks it: the status, and what is said of each check.
func (w *world) health() (status int, checks map[string]string) {
	w.t.Helper()
	a := w.get(w.url("as", "/health"), nil)
	checks = map[string]string{}
	list, _ := a.body["checks"].([]any)
	for _, c := range list {
		c, _ := c.(map[string]any)
		name, _ := c["check"].(string)
		text, _ := c["status"].(string)
		if reason, ok := c["reason"].(string); ok {
			text += " " + reason
		}
		checks[name] = text
	}
	return a.status, checks
}

// awaitHealth asks until the answer is that one: outcomes are kept for a second.
func (w *world) awaitHealth(status int, checks map[string]string) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) { // polling a real process
		got, all := w.health()
		diff := cmp.Diff(checks, all)
		if got == status && diff == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d, want %d: %s", got, status, diff)
		}
	}
}

// well is what is said when all is.
func well(more ...string) map[string]string {
	all := map[string]string{"store": "pass", "keys": "pass", "authorization_server": "pass", "status_list": "pass"}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func TestHealth(t *testing.T) {
	w := example(t, withHealth...)
	file := filepath.Join(w.dir, "uma.db")
	if _, err := os.Stat(file); err == nil {
		t.Fatal("the store was opened before anybody used it")
	}
	other, err := store.OpenBolt(file, store.BoltOptions{Now: time.Now}) // another process has the lock
	if err != nil {
		t.Fatal(err)
	}
	t.Run("SEC-13 the store is locked", func(t *testing.T) {
		status, checks := w.health()
		if status != http.StatusServiceUnavailable || checks["store"] != "fail the store cannot be written" || checks["keys"] != "pass" {
			t.Errorf("%d %v", status, checks)
		}
	})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	w.awaitHealth(http.StatusOK, well())
	t.Run("SEC-22 nothing of this machine is told", func(t *testing.T) {
		a := w.get(w.url("as", "/health"), nil)
		for _, part := range []string{w.dir, w.port, "localhost", "127.0.0.1", "api", "uma.db"} {
			if strings.Contains(a.text, part) {
				t.Errorf("%s shows %s", a.text, part)
			}
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("header %v", a.header)
		}
	})
	t.Run("GET and HEAD alone", func(t *testing.T) {
		for method, want := range map[string]int{"HEAD": 200, "POST": 405, "PUT": 405} {
			if a := w.request(method, w.url("as", "/health"), "", nil); a.status != want {
				t.Errorf("%s: %d, want %d", method, a.status, want)
			}
		}
	})
	t.Run("CA-43 the endpoints beside it work", func(t *testing.T) {
		if ok := w.askAsBob(); ok.status != http.StatusOK {
			t.Errorf("%d %s", ok.status, ok.text)
		}
	})
	w.edit("\tuma_health /health\n", "\tuma_health /health {\n\t\tdetails\n\t}\n")
	t.Run("details", func(t *testing.T) {
		a := w.get(w.url("as", "/health"), nil)
		if a.status != 200 || !strings.Contains(a.text, `"issuer":"`+w.url("as", "")+`"`) || !strings.Contains(a.text, `"client_id":"api"`) {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// neighbour starts a further Caddy on the database of w with a storage, and gives its
// end.
func (w *world) neighbour(storage string) (*world, func()) {
	w.t.Helper()
	port, dir := freePort(w.t), w.t.TempDir()
	text := w.text
	for _, host := range []string{"bob", "as", "api"} {
		text = strings.ReplaceAll(text, "\nhttps://"+host+".localhost:{$UMA_PORT:8443} {", "\nhttps://"+host+".localhost:"+port+" {")
	}
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		w.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(body, &config); err != nil {
		w.t.Fatal(err)
	}
	config["admin"] = map[string]any{"disabled": true}
	config["storage"] = map[string]any{"module": "file_system", "root": storage}
	uma, _ := config["apps"].(map[string]any)["uma"].(map[string]any)
	uma["store"] = sharedStore()
	delete(uma, "trust_internal_ca") // who asks under a name of w meets its CA
	uma["trust_pool"] = map[string]any{
		"provider": "file", "pem_files": []string{filepath.Join(w.dir, "storage", "pki", "authorities", "local", "root.crt")},
	}
	body, err = json.Marshal(config)
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, dir, "caddy.json", string(body))
	cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), os.Args[0], "run", "--config", filepath.Join(dir, "caddy.json")) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), asCaddy+"=1", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	stop := func() {
		if cmd.ProcessState != nil {
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the node: %v", err)
		}
	}
	w.t.Cleanup(stop)
	other := *w
	other.client = nodeClient(w.t, storage, port)
	other.awaitNode()
	return &other, stop
}

func sharedStore() map[string]any {
	return map[string]any{"module": "postgres", "dsn": "{env.UMA_TEST_DSN}", "max_conns": 3}
}

// TestSEC_11_NodesWithoutCommonKeys: two nodes share a database, and each has a storage
// of its own, so keys of its own. The one that came second is not healthy, and the
// other one goes on.
func TestSEC_11_NodesWithoutCommonKeys(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", server.DSN())
	a := example(t, withHealth...)
	apps, _ := a.config["apps"].(map[string]any)
	apps["uma"].(map[string]any)["store"] = sharedStore()
	uma := a.administer()
	a.client.CloseIdleConnections()
	a.await()
	good := well("nodes", "pass", "policies", "pass")
	a.awaitHealth(http.StatusOK, good)

	alone := maps.Clone(good)
	alone["nodes"] = "fail this node has other keys than the other nodes"
	b, stop := a.neighbour(filepath.Join(t.TempDir(), "storage"))
	t.Run("SEC-11 the node that came second", func(t *testing.T) {
		b.awaitHealth(http.StatusServiceUnavailable, alone)
	})
	t.Run("SEC-11 the node that was there", func(t *testing.T) {
		warned := maps.Clone(good)
		warned["nodes"] = "warn another node has other keys"
		a.awaitHealth(http.StatusOK, warned)
		expect(t, uma, 0, " other ", "nodes")
		log, err := os.ReadFile(filepath.Join(a.dir, "log"))
		if err != nil || strings.Count(string(log), "another node that uses this store has other keys") != 1 {
			t.Errorf("%v, or the log does not say it once", err)
		}
	})
	stop()
	t.Run("SEC-11 it has left", func(t *testing.T) {
		a.awaitHealth(http.StatusOK, good)
		if _, out := uma("nodes"); strings.Count(out, "\n") != 2 {
			t.Errorf("nodes: %s", out)
		}
	})
	t.Run("SEC-11 it comes back with the storage of the others", func(t *testing.T) {
		c, _ := a.neighbour(filepath.Join(a.dir, "storage"))
		c.awaitHealth(http.StatusOK, good)
		a.awaitHealth(http.StatusOK, good)
		expect(t, uma, 0, " same     same", "nodes")
	})
}

// TestSEC_13_HealthOfTheDatabase: red while the database is gone, green again without a
// restart; and a reload takes the old configuration's heart along.
func TestSEC_13_HealthOfTheDatabase(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", server.DSN())
	w := example(t, withHealth...)
	apps, _ := w.config["apps"].(map[string]any)
	apps["uma"].(map[string]any)["store"] = sharedStore()
	w.reload()
	w.await()
	good := well("nodes", "pass", "policies", "pass")
	w.awaitHealth(http.StatusOK, good)
	server.Stop(t)
	t.Run("SEC-13 the database is gone", func(t *testing.T) {
		bad := maps.Clone(good)
		bad["store"], bad["nodes"], bad["policies"] = "fail the store cannot be written", "warn the other nodes cannot be seen", "warn the policies of other nodes cannot be seen"
		w.awaitHealth(http.StatusServiceUnavailable, bad)
	})
	server.Start(t)
	w.awaitHealth(http.StatusOK, good)
	t.Run("reloads leave nothing behind", func(t *testing.T) {
		reload := func(times int) {
			for range times {
				w.reload()
				w.await()
				w.awaitHealth(http.StatusOK, good)
			}
			w.client.CloseIdleConnections()
		}
		reload(3)
		few := settled()
		reload(12)
		fallen(t, few+6, w.client)
	})
}
