package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// fill takes all room that the child's disk has left.
func (c *child) fill(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(c.on("ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 64 << 10; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
}

func (c *child) empty(t *testing.T) {
	t.Helper()
	if err := os.Remove(c.on("ballast")); err != nil {
		t.Fatal(err)
	}
}

// The disk on which store, keys and certificates lie fills up under a running
// Caddy, and is freed again.
func TestSEC_13_DiskFull(t *testing.T) {
	c := prepareChild(t, unlimited()...)
	c.start(tinyDisk + "=" + c.disk + ":size=6m")
	c.await()
	access := c.login("bob@bob.localhost", "bob-demo")
	rpt := c.flow(t, access)
	c.opens(t, rpt)
	kept, _ := c.challenged(http.MethodGet, "/")
	claims := c.claimsToken(access, c.url("api", ""), kept)

	c.fill(t)
	// bolt has pages of its own that are free; they may last for some tickets.
	var refused answer
	for range 3000 {
		ticket, _ := c.challenged(http.MethodGet, "/")
		if refused = c.redeem(ticket, "", map[string]string{"claim_token_format": ""}); refused.status != http.StatusForbidden {
			break
		}
	}
	t.Run("SEC-13 503, and nothing is issued", func(t *testing.T) {
		if refused.status != http.StatusServiceUnavailable || refused.get("error") != oauth.CodeUnavailable || refused.header.Get("Retry-After") == "" {
			t.Fatalf("%d %v %s", refused.status, refused.header, refused.text)
		}
		if a := c.redeem(kept, claims, nil); a.status != http.StatusServiceUnavailable || a.get("access_token") != "" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("SEC-13 RPTs are checked as before, and tickets minted", func(t *testing.T) {
		c.opens(t, rpt)
		if _, a := c.challenged(http.MethodGet, "/"); a.status != http.StatusUnauthorized {
			t.Errorf("%d", a.status)
		}
	})
	t.Run("SEC-13 the log names the cause and is not flooded", func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					c.redeem(kept, claims, nil)
				}
			})
		}
		all.Wait()
		lines := 0
		for _, l := range c.logged() {
			if l["msg"] == "request failed" {
				lines++
				if text := fmt.Sprint(l["error"]); !strings.Contains(text, "no space left on device") {
					t.Errorf("%v", l)
				}
			}
		}
		if lines == 0 || lines > 60 {
			t.Errorf("%d lines for more than 400 failures", lines)
		}
	})
	c.lives(t)
	c.empty(t)
	t.Run("SEC-13 all is well again without a restart", func(t *testing.T) {
		a := c.redeem(kept, c.claimsToken(access, c.url("api", ""), kept), nil)
		if a.status != http.StatusOK {
			t.Fatalf("the ticket that could not be spent: %d %s", a.status, a.text)
		}
		c.opens(t, a.get("access_token"))
		if again := c.redeem(kept, claims, nil); again.status != http.StatusBadRequest || again.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("the ticket is good twice: %d %s", again.status, again.text)
		}
		c.opens(t, c.flow(t, access))
		c.opens(t, rpt)
	})
}

// A disk that is full before anything was made: no store, no keys.
func TestSEC_13_DiskFullAtFirstUse(t *testing.T) {
	c := prepareChild(t)
	c.start(tinyDisk + "=" + c.disk + ":size=6m")
	c.await() // the certificates have room
	c.fill(t)
	for range 3 {
		c.fill(t) // what Caddy gave back meanwhile
		if a := c.get(c.url("as", "/uma/jwks"), nil); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("SEC-13: keys that cannot be made: %d %s", a.status, a.text)
		}
	}
	if a := c.get(c.url("api", "/"), nil); a.status != http.StatusForbidden && a.status != http.StatusUnauthorized || c.hits.Load() != 0 {
		t.Errorf("SEC-13: the protected site: %d %s", a.status, a.text)
	}
	c.wantLogged(t, "no space left on device")
	c.lives(t)
	c.empty(t)
	// Failures are remembered for moments.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) { // a real process
		if a := c.get(c.url("api", "/"), nil); a.status == http.StatusUnauthorized {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("no recovery: %d %s", a.status, a.text)
		}
	}
	c.opens(t, c.flow(t, c.login("bob@bob.localhost", "bob-demo")))
}

// A disk of which nothing can be written from the start.
func TestSEC_13_ReadOnlyDisk(t *testing.T) {
	c := prepareChild(t)
	// The certificates lie elsewhere: this is about what is ours.
	c.config["storage"] = map[string]any{"module": "file_system", "root": c.dir + "/storage"}
	c.start(tinyDisk + "=" + c.disk + ":size=1m,mode=0500,ro")
	c.client = nodeClient(t, c.dir+"/storage", c.port)
	c.awaitNode()
	a := c.post(c.url("as", "/uma/token"), map[string]string{"grant_type": oauth.GrantClientCredentials, "client_id": "api", "client_secret": "example-only-change-me-0000000000"})
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := c.get(c.url("as", "/.well-known/uma2-configuration"), nil); a.status != http.StatusOK {
		t.Errorf("what needs no store: %d %s", a.status, a.text)
	}
	c.wantLogged(t, "read-only file system")
	c.lives(t)
}

// wantLogged wants a text in a line of the log.
func (c *child) wantLogged(t *testing.T, text string) {
	t.Helper()
	var all []string
	for _, l := range c.logged() {
		line := fmt.Sprint(l["msg"], " ", l["error"])
		if strings.Contains(line, text) {
			return
		}
		all = append(all, line)
	}
	t.Errorf("no line of the log has %q:\n%s", text, strings.Join(all, "\n"))
}

// What lies where the store should be is no store, or belongs to somebody else:
// 503 with the reason in the log, and the rest of the site works.
func TestStoreThatCannotBeOpened(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, path string)
		says    string
	}{
		"garbage": {func(t *testing.T, path string) {
			t.Helper()
			writeFile(t, path, strings.Repeat("no database\n", 2000))
		}, "invalid database"},
		"a text file": {func(t *testing.T, path string) {
			t.Helper()
			writeFile(t, path, "hello")
		}, "cannot open"},
		"a folder": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		"a file as its folder": {func(t *testing.T, path string) {
			t.Helper()
			writeFile(t, path[:strings.LastIndexByte(path, '/')], "")
		}, "not a directory"},
		"one page": {func(t *testing.T, path string) {
			t.Helper()
			writeFile(t, path, strings.Repeat("x", 4096))
		}, "file size too small"},
	} {
		t.Run(name, func(t *testing.T) {
			c := prepareChild(t)
			tc.prepare(t, c.disk+"/uma/uma.db")
			lendCertificates(t, c.disk+"/storage")
			c.start()
			c.await()
			for range 3 {
				a := c.post(c.url("as", "/uma/token"), map[string]string{"grant_type": oauth.GrantClientCredentials, "client_id": "api", "client_secret": "example-only-change-me-0000000000"})
				if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
					t.Errorf("%d %s", a.status, a.text)
				}
			}
			if a := c.get(c.url("as", "/uma/jwks"), nil); a.status != http.StatusOK {
				t.Errorf("what needs no store: %d %s", a.status, a.text)
			}
			// UMA Grant §3.2.2: 403 when the authorization server cannot be asked.
			if a := c.get(c.url("api", "/"), nil); a.status != http.StatusForbidden || a.header.Get("Warning") == "" || c.hits.Load() != 0 {
				t.Errorf("the protected site: %d %s", a.status, a.text)
			}
			c.wantLogged(t, tc.says)
			c.lives(t)
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(path[:strings.LastIndexByte(path, '/')], 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A second Caddy on the file of the first: it says so, loads and serves all that
// needs no store, and takes over when the first one is gone.
func TestStoreOfAnotherProcess(t *testing.T) {
	first := prepareChild(t)
	lendCertificates(t, first.disk+"/storage")
	first.start()
	first.await()
	first.flow(t, first.login("bob@bob.localhost", "bob-demo"))

	second := prepareChild(t)
	lendCertificates(t, second.disk+"/storage")
	apps, _ := second.config["apps"].(map[string]any)
	uma, _ := apps["uma"].(map[string]any)
	uma["store"] = map[string]any{"module": "bolt", "path": first.disk + "/uma/uma.db"}
	second.start()
	second.await()
	start := time.Now()
	a := second.post(second.url("as", "/uma/token"), map[string]string{"grant_type": oauth.GrantClientCredentials, "client_id": "api", "client_secret": "example-only-change-me-0000000000"})
	if took := time.Since(start); a.status != http.StatusServiceUnavailable || took > 15*time.Second {
		t.Errorf("%d %s after %v", a.status, a.text, took)
	}
	if a := second.get(second.url("as", "/uma/jwks"), nil); a.status != http.StatusOK {
		t.Errorf("what needs no store: %d %s", a.status, a.text)
	}
	second.wantLogged(t, "another process has it open")
	first.opens(t, first.flow(t, first.login("bob@bob.localhost", "bob-demo")))
	_ = first.cmd.Process.Signal(syscall.SIGTERM)
	first.done <- <-first.done
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) { // real processes
		if a := second.get(second.url("api", "/"), nil); a.status == http.StatusUnauthorized {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("no recovery: %d %s", a.status, a.text)
		}
	}
	second.opens(t, second.flow(t, second.login("bob@bob.localhost", "bob-demo")))
}
