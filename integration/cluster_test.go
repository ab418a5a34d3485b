package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// node starts a further Caddy with the issuers, the database and the secret of the
// keys of w, and with a port and a storage of its own. Its world talks to it under
// the names of w, as a load balancer would make a client do.
func (w *world) node(kek string) *world {
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
	config["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(dir, "storage")}
	cluster(config, kek)
	// Each node has a CA of its own here; who asks under a name of w meets that of w.
	uma, _ := config["apps"].(map[string]any)["uma"].(map[string]any)
	delete(uma, "trust_internal_ca")
	uma["trust_pool"] = map[string]any{
		"provider": "file", "pem_files": []string{filepath.Join(w.dir, "storage", "pki", "authorities", "local", "root.crt")},
	}
	body, err = json.Marshal(config)
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, dir, "caddy.json", string(body))
	w.runNode(dir)
	other := *w
	other.client = nodeClient(w.t, filepath.Join(dir, "storage"), port)
	other.awaitNode()
	return &other
}

// cluster makes database and sealed keys those of a cluster.
func cluster(config map[string]any, kek string) {
	uma, _ := config["apps"].(map[string]any)["uma"].(map[string]any)
	uma["store"] = map[string]any{"module": "postgres", "dsn": "{env.UMA_TEST_DSN}", "max_conns": 3}
	uma["keys"], uma["key_encryption_keys"] = "store", []string{kek}
}

func (w *world) runNode(dir string) {
	w.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), os.Args[0], "run", "--config", filepath.Join(dir, "caddy.json")) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), asCaddy+"=1", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the node: %v", err)
		}
	})
}

// nodeClient trusts the CA of the node, as soon as there is one.
func nodeClient(t *testing.T, storage, port string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // polling a real process
		pem, err := os.ReadFile(filepath.Join(storage, "pki", "authorities", "local", "root.crt"))
		if err == nil && roots.AppendCertsFromPEM(pem) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (w *world) awaitNode() {
	w.t.Helper()
	for _, host := range []string{"as", "bob", "api"} {
		for deadline := time.Now().Add(certificateWait); ; time.Sleep(20 * time.Millisecond) { // polling a real process
			res, err := w.client.Get(w.url(host, "/.well-known/openid-configuration"))
			if err == nil {
				_ = res.Body.Close()
				break
			}
			if time.Now().After(deadline) {
				w.t.Fatal(err)
			}
		}
	}
}

// TestSEC_11_TwoNodes: two nodes share a database and the secret of their keys, and
// nothing else. Whatever one of them begins the other one can go on with.
func TestSEC_11_TwoNodes(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", server.DSN())
	const kek = "the-secret-of-this-cluster-0123456789-0123456789"
	a := example(t, "first_party", "first_party\n\t\t\t# of a cluster")
	cluster(a.config, kek)
	uma := a.administer()
	a.client.CloseIdleConnections()
	a.await()
	b := a.node(kek)

	code := b.challengeCode("bob@bob.localhost", "bob-demo", "openid email offline_access")
	login := a.redeemCode(code)
	if login.get("refresh_token") == "" {
		t.Fatalf("a code of one node at the other: %d %s", login.status, login.text)
	}
	t.Run("SEC-15 refresh tokens", func(t *testing.T) {
		next := b.refresh(login.get("refresh_token"))
		if next.status != http.StatusOK {
			t.Fatalf("%d %s", next.status, next.text)
		}
		if again := a.refresh(login.get("refresh_token")); again.get("error") != "invalid_grant" {
			t.Errorf("used at the other node before: %d %s", again.status, again.text)
		}
		if dead := b.refresh(next.get("refresh_token")); dead.get("error") != "invalid_grant" {
			t.Errorf("of a family that ended at the other node: %d %s", dead.status, dead.text)
		}
	})
	access := a.login("bob@bob.localhost", "bob-demo")
	steps := func(t *testing.T) answer {
		t.Helper()
		ticket, _ := a.challenged(http.MethodGet, "/")
		claims := b.claimsToken(access, a.url("api", ""), ticket)
		rpt := b.redeem(ticket, claims, nil)
		if rpt.status != http.StatusOK {
			t.Fatalf("%d %s", rpt.status, rpt.text)
		}
		if again := a.redeem(ticket, claims, nil); again.get("error") != "invalid_grant" {
			t.Errorf("SEC-12 a ticket spent at the other node: %d %s", again.status, again.text)
		}
		return a.get(a.url("api", "/"), bearer(rpt.get("access_token")))
	}
	t.Run("SEC-11 the nine steps, each at another node", func(t *testing.T) {
		if ok := steps(t); ok.status != http.StatusOK {
			t.Errorf("%d %s", ok.status, ok.text)
		}
	})
	t.Run("SEC-11 rotate", func(t *testing.T) {
		before := a.get(a.url("bob", "/sts/jwks"), nil)
		expect(t, uma, 0, "", "keys", "rotate", "--issuer", a.url("bob", ""), "--purpose", "claims")
		after := a.get(a.url("bob", "/sts/jwks"), nil)
		if len(keyIDs(after)) != len(keyIDs(before))+1 {
			t.Errorf("keys before %v, after %v", keyIDs(before), keyIDs(after))
		}
		if ok := steps(t); ok.status != http.StatusOK { // the new key waits for its time
			t.Errorf("%d %s", ok.status, ok.text)
		}
	})
	t.Run("SEC-11 retire", func(t *testing.T) {
		ticket, _ := a.challenged(http.MethodGet, "/")
		claims := a.claimsToken(access, a.url("api", ""), ticket)
		kid := headerOf(t, claims)["kid"].(string)
		expect(t, uma, 0, kid, "keys", "retire", "--yes", kid)
		for _, left := range keyIDs(a.get(a.url("bob", "/sts/jwks"), nil)) {
			if left == kid {
				t.Error("a retired key is published")
			}
		}
		if signed := headerOf(t, a.claimsToken(access, a.url("api", ""), ticket))["kid"]; signed == kid {
			t.Error("a retired key signs")
		}
	})
	t.Run("SEC-11 a block of one node", func(t *testing.T) {
		if ok := b.askAsBob(); ok.status != http.StatusOK {
			t.Fatalf("%d %s", ok.status, ok.text)
		}
		expect(t, uma, 0, "is blocked until", "block", "bob.localhost")
		if no := b.askAsBob(); no.status != http.StatusForbidden || no.get("error") != "request_denied" {
			t.Errorf("at the other node: %d %s", no.status, no.text)
		}
		expect(t, uma, 0, "", "unblock", "bob.localhost")
		if ok := b.askAsBob(); ok.status != http.StatusOK {
			t.Errorf("at the other node, after it was taken back: %d %s", ok.status, ok.text)
		}
	})
	t.Run("SEC-13 a node with another secret", func(t *testing.T) {
		keys := len(keyIDs(a.get(a.url("bob", "/sts/jwks"), nil)))
		c := a.node("another-secret-of-another-cluster-0123456789")
		if got := c.get(a.url("bob", "/sts/jwks"), nil); got.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", got.status, got.text)
		}
		if now := len(keyIDs(a.get(a.url("bob", "/sts/jwks"), nil))); now != keys {
			t.Errorf("%d keys, before %d", now, keys)
		}
	})
}

// challengeCode gets a code at the authorization challenge endpoint.
func (w *world) challengeCode(user, password, scope string) string {
	w.t.Helper()
	return w.post(w.url("bob", "/sts/challenge"), map[string]string{
		"client_id": "caddy-uma", "response_type": "code", "scope": scope, "username": user, "password": password,
		"code_challenge": s256(verifier), "code_challenge_method": "S256",
	}).get("authorization_code")
}

func (w *world) redeemCode(code string) answer {
	w.t.Helper()
	return w.post(w.url("bob", "/sts/token"), map[string]string{
		"grant_type": oauth.GrantAuthorizationCode, "client_id": "caddy-uma", "code": code, "code_verifier": verifier,
	})
}

func (w *world) refresh(token string) answer {
	w.t.Helper()
	return w.post(w.url("bob", "/sts/token"), map[string]string{
		"grant_type": oauth.GrantRefreshToken, "client_id": "caddy-uma", "refresh_token": token,
	})
}

// keyIDs are those of a key set.
func keyIDs(set answer) []string {
	var ids []string
	keys, _ := set.body["keys"].([]any)
	for _, key := range keys {
		id, _ := key.(map[string]any)["kid"].(string)
		ids = append(ids, id)
	}
	return ids
}

// headerOf reads the header of a JWT.
func headerOf(t *testing.T, token string) map[string]any {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	raw, err := oauth.DecodeBase64(first)
	var header map[string]any
	if err != nil || json.Unmarshal(raw, &header) != nil {
		t.Fatalf("no JWT: %s", token)
	}
	return header
}
