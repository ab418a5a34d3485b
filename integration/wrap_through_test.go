package integration_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// passing is a provider that shows whether its answers pass as they are.
func passing(t *testing.T, issuer func() string, step chan struct{}) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/op/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer(), "token_endpoint": issuer() + "/token", "jwks_uri": issuer() + "/jwks"})
	})
	mux.HandleFunc("/op/stream", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		_ = http.NewResponseController(w).Flush()
		select { // the rest comes only when the first line has arrived
		case <-step:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "two\n")
	})
	mux.HandleFunc("/op/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		user, _, _ := r.BasicAuth()
		_, _ = fmt.Fprintf(w, "page of %s", user)
	})
	mux.HandleFunc("/op/upload", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, _ := io.Copy(h, r.Body)
		_, _ = fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
	})
	mux.HandleFunc("/op/token", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %d %s", r.Method, r.ContentLength, body)
	})
	mux.HandleFunc("/op/socket", func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = buf.Flush()
		line, _ := buf.ReadString('\n')
		_, _ = buf.WriteString("echo " + line)
		_ = buf.Flush()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// TestA28_WrapThroughReverseProxy: what is not ours passes Caddy's reverse_proxy
// as if we were not there: streams, conditional requests, large bodies, Basic,
// upgrades, HTTP/2 and 1.1, other grants.
func TestA28_WrapThroughReverseProxy(t *testing.T) {
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	step := make(chan struct{})
	op := passing(t, func() string { return w.url("bob", "/op") }, step)
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "\t\t# Its users.")
	_, after, _ := strings.Cut(rest, "\t\t# Which resource servers")
	t.Setenv("UMA_PORT", w.port)
	w.load(strings.NewReplacer(
		"uma_sts https://bob.localhost:{$UMA_PORT:8443} {", "uma_sts https://bob.localhost:{$UMA_PORT:8443}/claims {",
		"release name groups\n\t\t}\n\t}\n}", "release name groups\n\t\t}\n\t}\n\treverse_proxy "+op.Listener.Addr().String()+"\n}",
	).Replace(before + "wrap https://bob.localhost:{$UMA_PORT:8443}/op\n\t\tclient caddy-uma public\n\t\t# Which resource servers" + after))

	t.Run("stream", func(t *testing.T) {
		res, err := w.client.Get(w.url("bob", "/op/stream"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		lines := bufio.NewReader(res.Body)
		if first, err := lines.ReadString('\n'); first != "one\n" {
			t.Fatalf("%q, %v", first, err)
		}
		close(step)
		if second, err := lines.ReadString('\n'); second != "two\n" || res.ProtoMajor != 2 {
			t.Errorf("%q, %v, %s", second, err, res.Proto)
		}
	})
	t.Run("page", func(t *testing.T) {
		basic := func(r *http.Request) { r.SetBasicAuth("somebody of theirs", "x") }
		r := w.pageRequest(w.url("bob", "/op/page"), nil)
		basic(r)
		if a := w.do(r); a.text != "page of somebody of theirs" || a.header.Get("ETag") != `"v1"` {
			t.Errorf("%d %v %s", a.status, a.header, a.text)
		}
		if a := w.get(w.url("bob", "/op/page"), http.Header{"If-None-Match": {`"v1"`}}); a.status != http.StatusNotModified {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := w.request(http.MethodHead, w.url("bob", "/op/page"), "", nil); a.status != http.StatusOK || a.text != "" || a.header.Get("ETag") == "" {
			t.Errorf("HEAD: %d %v", a.status, a.header)
		}
	})
	t.Run("upload", func(t *testing.T) {
		body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
		a := w.request(http.MethodPut, w.url("bob", "/op/upload"), string(body), nil)
		if want := fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)); a.text != want {
			t.Errorf("%d %.100s, want %s", a.status, a.text, want)
		}
	})
	t.Run("token endpoint", func(t *testing.T) {
		form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		const code = "grant_type=authorization_code&code=abc%2Fdef&x=1&x=2"
		if a := w.request(http.MethodPost, w.url("bob", "/op/token"), code, form); a.text != fmt.Sprintf("POST %d %s", len(code), code) {
			t.Errorf("%d %s", a.status, a.text)
		}
		const exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&client_id=caddy-uma"
		if a := w.request(http.MethodPost, w.url("bob", "/op/token"), exchange, form); a.status != http.StatusBadRequest || a.get("error") != "invalid_request" {
			t.Errorf("the exchange is not ours: %d %s", a.status, a.text)
		}
		status, body := w.raw("bob", "POST /op/token HTTP/1.1", "Host: bob.localhost:"+w.port, "Connection: close",
			"Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked", "", "a", "grant_type", "5", "=code", "0", "", "")
		if status != http.StatusOK || !strings.Contains(body, "grant_type=code") {
			t.Errorf("chunked: %d %s", status, body)
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		if got := w.upgraded("bob", "/op/socket", "hello\n"); got != "echo hello\n" {
			t.Errorf("%q", got)
		}
	})
}

// upgraded leaves HTTP, sends a line and gives the one that comes back.
func (w *world) upgraded(host, path, line string) string {
	w.t.Helper()
	roots := w.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: host + ".localhost", NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(w.t.Context(), "tcp", "127.0.0.1:"+w.port)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s.localhost:%s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", path, host, w.port)
	answer := bufio.NewReader(conn)
	res, err := http.ReadResponse(answer, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.WriteString(conn, line)
	back, _ := answer.ReadString('\n')
	return back
}
