package integration_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// first gives a member of the first entry of a list that is printed as JSON.
func first(t *testing.T, command func(...string) (int, string), member string, args ...string) string {
	t.Helper()
	code, out := command(append(args, "--json")...)
	lists := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(out), &lists); err != nil || code != 0 {
		t.Fatalf("caddy uma %v: exit %d, %s", args, code, out)
	}
	for _, raw := range lists {
		var entries []map[string]any
		if err := json.Unmarshal(raw, &entries); err == nil && len(entries) > 0 {
			id, _ := entries[0][member].(string)
			return id
		}
	}
	t.Fatalf("caddy uma %v: nothing in %s", args, out)
	return ""
}

// After the nine steps an administrator finds what came of them, by whom it is, and
// ends it: within its bound the resource server refuses the RPT.
func TestAdministration(t *testing.T) {
	w := example(t, soon...)
	uma := w.administer()
	w.await()
	want := func(code int, text string, args ...string) {
		t.Helper()
		expect(t, uma, code, text, args...)
	}
	want(0, "There is no such grant.", "grants", "list")
	want(0, "No such decision is kept.", "decisions", "list")
	rpt := w.rptFor(w.login("bob@bob.localhost", "bob-demo"))
	if !w.passes(rpt) {
		t.Fatal("refused")
	}
	grant := first(t, uma, "grant_id", "grants", "list", "--person", "bob@bob.localhost")
	resource := first(t, uma, "resource_id", "resources", "list")
	decision := first(t, uma, "decision_id", "decisions", "list", "--outcome", "granted", "--since", "1h")
	want(0, grant, "grants", "list", "--client", "caddy-uma", "--resource", resource)
	want(0, "There is no such grant.", "grants", "list", "--person", "mallory@bob.localhost")
	want(0, "(RS API)", "grants", "show", grant)
	want(0, decision, "grants", "show", grant)
	want(0, "Granted: bob@bob.localhost", "decisions", "show", decision)
	want(0, "live grants      1", "resources", "show", resource)
	want(0, "live grants      1", "resource-servers", "show", "api")
	want(0, "from         configured", "clients", "show", "caddy-uma")
	want(1, "write 'disabled' into its block", "clients", "revoke", "caddy-uma")
	want(1, "there is no such client", "clients", "show", "nobody")
	want(1, "no uma_server has this issuer", "grants", "list", "--issuer", "https://as.example")
	want(0, "Nothing ended", "grants", "revoke", "--person", "mallory@bob.localhost")
	if !w.passes(rpt) {
		t.Fatal("somebody else's grant ended")
	}
	want(0, "Ended: 1 grant.", "grants", "revoke", grant)
	w.ends(t, rpt)
	want(0, "ended: revoked by the administrator", "grants", "show", grant)
	want(0, "ended", "grants", "list", "--all")
	for _, line := range []string{`"msg":"administration","action":"grant_revoked"`, `"reason":"revoked by the administrator"`} {
		if !w.logged(line) {
			t.Errorf("the log has no %s", line)
		}
	}
	again := w.rptFor(w.login("bob@bob.localhost", "bob-demo"))
	want(0, "Ended: 1 grant.", "resources", "revoke", resource)
	w.ends(t, again)
}

// What a user has at the provider is found and ended: the refresh token is dead, and
// he can log in again.
func TestAdministration_Sessions(t *testing.T) {
	w := example(t)
	uma := w.administer()
	w.await()
	want := func(code int, text string, args ...string) {
		t.Helper()
		expect(t, uma, code, text, args...)
	}
	want(0, "Nobody is logged in.", "sessions", "list")
	begin := func(user, password string) (refresh string) {
		t.Helper()
		a := w.redeemCode(w.challengeCode(user, password, "openid email offline_access"))
		if a.get("refresh_token") == "" {
			t.Fatalf("%d %s", a.status, a.text)
		}
		return a.get("refresh_token")
	}
	bob, mallory := begin("bob@bob.localhost", "bob-demo"), begin("mallory@bob.localhost", "mallory-demo")
	session := first(t, uma, "session_id", "sessions", "list", "--user", "bob@bob.localhost")
	want(0, "application", "sessions", "show", session)
	want(0, "Ended: 0 in browsers, 1 in applications.", "sessions", "revoke", session)
	if a := w.refresh(bob); a.get("error") != "invalid_grant" {
		t.Errorf("%d %s", a.status, a.text)
	}
	next := w.refresh(mallory)
	if next.status != http.StatusOK {
		t.Errorf("somebody else: %d %s", next.status, next.text)
	}
	want(1, "there is no such session", "sessions", "show", session)
	want(0, "in applications.", "sessions", "revoke", "MALLORY@bob.localhost")
	if a := w.refresh(next.get("refresh_token")); a.get("error") != "invalid_grant" {
		t.Errorf("%d %s", a.status, a.text)
	}
	want(1, "there is no such user", "sessions", "revoke", "carol@bob.localhost")
	want(2, "is not the id of a session", "sessions", "revoke", "bob")
	want(1, "no uma_sts has this issuer", "sessions", "list", "--issuer", "https://bob.example")
	if !w.logged(`"action":"sessions_revoked"`) {
		t.Error("the log does not tell")
	}
	begin("bob@bob.localhost", "bob-demo")
}

// remote is a Caddy process with an administration by certificates.
type remote struct {
	t             *testing.T
	local, remote string // addresses
	roots         *x509.CertPool
}

// startRemote permits: who shows viewer may look, getter with GET alone; blocker may
// block and nothing else; all may do everything.
func startRemote(t *testing.T, permitted map[string]tls.Certificate) *remote {
	t.Helper()
	w := &world{t: t, port: freePort(t), dir: t.TempDir()}
	t.Setenv("UMA_PORT", w.port)
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	w.adapt(string(text))
	r := &remote{t: t, local: "127.0.0.1:" + freePort(t), remote: "127.0.0.1:" + freePort(t)}
	access := []any{}
	for name, permissions := range map[string]any{
		"viewer":  []any{map[string]any{"paths": []string{"/uma/show"}, "methods": []string{"GET", "POST"}}},
		"getter":  []any{map[string]any{"paths": []string{"/uma/show/"}, "methods": []string{"GET"}}},
		"blocker": []any{map[string]any{"paths": []string{"/uma/change/as/block"}, "methods": []string{"POST"}}},
		"all":     nil,
	} {
		entry := map[string]any{"public_keys": []string{base64.StdEncoding.EncodeToString(permitted[name].Certificate[0])}}
		if permissions != nil {
			entry["permissions"] = permissions
		}
		access = append(access, entry)
	}
	w.config["admin"] = map[string]any{
		"listen": r.local, "config": map[string]any{"persist": false},
		"identity": map[string]any{"identifiers": []string{"admin.localhost"}, "issuers": []any{map[string]any{"module": "internal"}}},
		"remote":   map[string]any{"listen": r.remote, "access_control": access},
	}
	lendCertificates(t, filepath.Join(w.dir, "storage"))
	config, err := json.Marshal(w.config)
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "caddy.json"), config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.runNode(w.dir)
	r.roots = nodeRoots(t, filepath.Join(w.dir, "storage"))
	r.await(permitted["all"])
	return r
}

// nodeRoots is the CA of a node, as soon as there is one.
func nodeRoots(t *testing.T, storage string) *x509.CertPool {
	t.Helper()
	transport, ok := nodeClient(t, storage, "0").Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	return transport.TLSClientConfig.RootCAs
}

// ask sends a request as it is written; "" as certificate shows none.
func (r *remote) ask(c tls.Certificate, method, path, body string) (int, string, error) {
	r.t.Helper()
	config := &tls.Config{RootCAs: r.roots, ServerName: "admin.localhost", MinVersion: tls.VersionTLS12}
	if c.Certificate != nil {
		config.Certificates = []tls.Certificate{c}
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", r.remote, config)
	if err != nil {
		return 0, "", err
	}
	return rawRequest(conn, "Host: admin.localhost\r\n", method, path, body)
}

func rawRequest(conn net.Conn, headers, method, path, body string) (int, string, error) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	text := method + " " + path + " HTTP/1.0\r\n" + headers
	if body != "" {
		text += "Content-Type: application/json\r\n"
	}
	if _, err := io.WriteString(conn, text+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body); err != nil {
		return 0, "", err
	}
	data, err := io.ReadAll(conn)
	if err != nil {
		return 0, "", err
	}
	line, _, _ := strings.Cut(string(data), "\r\n")
	fields := strings.Fields(line)
	if len(fields) < 2 || len(fields[1]) != 3 {
		return 0, string(data), io.ErrUnexpectedEOF
	}
	status := int(fields[1][0]-'0')*100 + int(fields[1][1]-'0')*10 + int(fields[1][2]-'0')
	return status, string(data), nil
}

func (r *remote) await(c tls.Certificate) {
	r.t.Helper()
	for deadline := time.Now().Add(certificateWait); ; time.Sleep(50 * time.Millisecond) { // polling a real process
		status, text, err := r.ask(c, "GET", "/uma/show/as/blocks", "")
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d %s %v", status, text, err)
		}
	}
}

// Caddy's remote administration splits looking from changing, however a path is
// written; and its local one keeps web pages out of our routes, too.
func TestAdministration_Permissions(t *testing.T) {
	shown := map[string]tls.Certificate{}
	for _, name := range []string{"viewer", "getter", "blocker", "all", "stranger"} {
		shown[name] = certificate(t, name, nil)
	}
	r := startRemote(t, shown)
	const block = `{"who":"carol.example"}`
	want := func(who, method, path, body string, status int) {
		t.Helper()
		if got, text, err := r.ask(shown[who], method, path, body); err != nil || got != status {
			t.Errorf("%s %s %s: %d %v, want %d: %s", who, method, path, got, err, status, text)
		}
	}
	blocked := func() bool {
		t.Helper()
		_, text, err := r.ask(shown["all"], "GET", "/uma/show/as/blocks", "")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(text, "carol.example")
	}
	for _, path := range []string{"as/domains", "as/grants", "as/clients", "as/resource-servers", "as/decisions?limit=1", "sts/sessions", "keys"} {
		want("viewer", "GET", "/uma/show/"+path, "", 200)
		want("getter", "GET", "/uma/show/"+path, "", 200)
		want("blocker", "GET", "/uma/show/"+path, "", 403)
	}
	want("viewer", "POST", "/uma/show/as/grants/search", `{"person":"bob.localhost"}`, 200)
	want("getter", "POST", "/uma/show/as/grants/search", `{"person":"bob.localhost"}`, 403)
	want("viewer", "POST", "/uma/show/sts/sessions/search", `{"user":"bob@bob.localhost"}`, 200)
	want("viewer", "GET", "/config/", "", 403)

	for _, path := range []string{
		"/uma/change/as/block",
		"/uma/change/as/block/",
		"//uma/change/as/block",
		"/uma//change/as/block",
		"/uma/./change/as/block",
		"/uma/show/../change/as/block",
		"/uma/show/as/../../change/as/block",
		"/uma/show/%2e%2e/change/as/block",
		"/uma/show/as/%2e%2e/change/block",
		"/uma/show/as/%2e%2e/%2e%2e/change/as/block",
		"/uma/show/as/..%2fchange/block",
		"/uma/show/as/..%2f..%2fchange/as/block",
		"/uma/show%2f..%2fchange/as/block",
		"/uma/show/as/change/block",
		"/uma/show/as/block",
		"/uma/show/as//change/block",
		"/uma/show/as/;/../change/block",
		"/uma/show/as/%252e%252e/change/block",
		"/uma/show/as/\\..\\change\\block",
		"/UMA/change/as/block",
		"/uma/CHANGE/as/block",
		"/uma/showchange/as/block",
		"http://admin.localhost/uma/change/as/block",
	} {
		for _, who := range []string{"viewer", "getter"} {
			status, text, err := r.ask(shown[who], "POST", path, block)
			if err == nil && status < 300 || err != nil && !strings.Contains(err.Error(), "EOF") {
				t.Errorf("%s %s: %d %v %s", who, path, status, err, text)
			}
		}
	}
	want("viewer", "PUT", "/uma/change/as/block", block, 403)
	for _, who := range []string{"", "stranger"} {
		if status, _, err := r.ask(shown[who], "POST", "/uma/change/as/block", block); err == nil && status != 0 {
			t.Errorf("%q: %d", who, status)
		}
	}
	t.Run("a page in the administrator's browser", func(t *testing.T) {
		for headers, status := range map[string]int{
			"Host: " + r.local + "\r\nOrigin: https://evil.example\r\n": 403,
			"Host: " + r.local + "\r\nOrigin: null\r\n":                 400,
			"Host: " + r.local + "\r\nSec-Fetch-Mode: no-cors\r\n":      400,
			"Host: evil.example\r\n":                                    403,
		} {
			conn, err := net.DialTimeout("tcp", r.local, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got, text, err := rawRequest(conn, headers, "POST", "/uma/change/as/block", block); err != nil || got != status {
				t.Errorf("%q: %d %v, want %d: %s", headers, got, err, status, text)
			}
		}
	})
	if blocked() {
		t.Fatal("somebody changed what he may only look at")
	}
	want("blocker", "POST", "/uma/change/as/grants/revoke", `{"client_id":"app"}`, 403)
	want("blocker", "POST", "/uma/change/as/unblock", block, 403)
	want("blocker", "POST", "/uma/change/as/block", block, 200)
	if !blocked() {
		t.Error("who may change cannot")
	}
	want("all", "POST", "/uma/change/as/unblock", block, 200)
}
