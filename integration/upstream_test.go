package integration_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const protectStart = "uma_protect https://as.localhost"

func TestSEC_21_ErrorRoutes(t *testing.T) {
	backend := errorBackend(t)
	w := example(t, "\ttls internal\n\t"+protectStart, "\ttls internal\n\thandle_errors {\n\t\treverse_proxy "+backend.Listener.Addr().String()+"\n\t}\n\t"+protectStart)
	for _, header := range []http.Header{nil, bearer("x"), {"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Version": {"13"}}} {
		if a := w.get(w.url("api", "/"), header); a.status != http.StatusUnauthorized {
			t.Errorf("%v: %d %s", header, a.status, a.text)
		}
	}
	if w.hits.Load() != 0 {
		t.Error("the backend was reached")
	}
}

// errorBackend is what handle_errors would proxy a refused request to.
func errorBackend(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("SEC-21: %s %s %v reached the backend of the error routes", r.Method, r.RequestURI, r.Header)
	}))
	t.Cleanup(server.Close)
	return server
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// raw sends a request line as it stands and gives status and body.
func (w *world) raw(host string, lines ...string) (int, string) {
	w.t.Helper()
	roots := w.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: host + ".localhost", NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(w.t.Context(), "tcp", "127.0.0.1:"+w.port)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	lines = append(lines, "Host: "+host+".localhost:"+w.port, "Connection: close", "", "")
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatalf("%q: %v", lines[0], err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestSEC_21_RawPaths(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "public/a.txt", "public")
	write(t, dir, "private/secret.txt", "the protected file")
	w := example(t,
		protectStart, "uma_protect /private/* https://as.localhost",
		`respond "Hello {http.auth.user.id}, this is the RS API"`, "root "+dir+"\n\tfile_server",
		"resource \"RS API\" {\n\t\t\tscope get #", "resource \"RS API\" /private/* {\n\t\t\tscope get #",
		"client_id api\n", "client_id api\n\t\trate_limit off\n")
	if status, body := w.raw("api", "GET /public/a.txt HTTP/1.1"); status != http.StatusOK || body != "public" {
		t.Fatalf("%d %s", status, body)
	}
	origin := w.url("api", "")
	for _, target := range []string{
		"/private/secret.txt", "//private/secret.txt", "/private//secret.txt", "/./private/secret.txt", "/public/../private/secret.txt",
		"/public/%2e%2e/private/secret.txt", "/public/..%2fprivate/secret.txt", "/public/%2e%2e%2fprivate%2fsecret.txt", "/private%2fsecret.txt",
		"/%70rivate/secret.txt", "/%2570rivate/secret.txt", "/private;x=1/secret.txt", "/;/private/secret.txt", "/private/secret.txt;x", "/private./secret.txt", "/PRIVATE/secret.txt",
		"/Private/Secret.txt", "/private/secret.txt.", "/private/secret.txt/", "/private/secret.txt%00", "/private%5csecret.txt", "/public\\..\\private\\secret.txt",
		"/private/./secret.txt", "/private/x/../secret.txt", "/../private/secret.txt", origin + "/private/secret.txt", origin + "/public/../private/secret.txt", origin + "//private/secret.txt",
		"HTTPS://API.localhost/private/secret.txt", "/private/secret.txt?x=/public/a.txt", "/private /secret.txt", "/\u00adprivate/secret.txt",
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			status, body := w.raw("api", method+" "+target+" HTTP/1.1")
			if strings.Contains(body, "protected") || method == "HEAD" && status == http.StatusOK {
				t.Errorf("%s %s: %d %s", method, target, status, body)
			}
		}
	}
}
