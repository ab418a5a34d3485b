package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-uma/caddy-uma"
)

// asCaddy makes the test binary a Caddy: tests of real processes start it again.
const asCaddy = "UMA_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	caddy.RegisterModule(new(guest))
	if os.Getenv(asCaddy) != "" {
		mountTinyDisk()
		caddycmd.Main()
		return
	}
	http.DefaultTransport = noNetwork{} // what is not told where to go goes nowhere
	code := m.Run()
	for _, dir := range leftovers {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

type noNetwork struct{}

func (noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("the test called %s by the default transport", r.URL.Host)
}

// world is one Caddy with the three roles and a client that trusts its CA.
type world struct {
	t      *testing.T
	port   string
	dir    string
	text   string // the Caddyfile
	config map[string]any
	loads  int // how often a configuration was loaded
	client *http.Client
	hits   *atomic.Int64 // requests that reached the backend
	asked  int           // how often rqp wanted the user's access token
	seen   credentials   // what must not be in the log

	names    map[string]string // hosts that are not called NAME.localhost
	nodeDirs []string          // of further processes
}

// example reads Caddyfile.example, with a port of this test and, instead of its
// respond line, a backend that counts its hits.
func example(t *testing.T, edits ...string) *world {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	backend := w.backend()
	pairs := append(slices.Clone(edits), // first: at the same place they win
		`respond "Hello {http.auth.user.id}, this is the RS API"`, "reverse_proxy "+backend+" {\n\t\theader_up X-User {http.auth.user.id}\n\t}")
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			t.Fatalf("Caddyfile.example has no %q", pairs[i])
		}
	}
	input := strings.NewReplacer(pairs...).Replace(string(text))
	t.Setenv("UMA_PORT", w.port)
	w.load(input)
	return w
}

// backend is what uma_protect protects. It says what reached it.
func (w *world) backend() string {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hits.Add(1)
		rw.Header().Add("WWW-Authenticate", `UMA as_uri="https://evil.example", ticket="x"`)
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"method": r.Method, "uri": r.RequestURI, "body": string(body), "header": r.Header,
		})
	})}
	go func() { _ = server.Serve(listener) }()
	w.t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// load adapts a Caddyfile, keeps everything in the test's directory, and starts
// it. One Caddy per process: these tests do not run in parallel.
func (w *world) load(input string) {
	w.t.Helper()
	w.adapt(input)
	w.t.Cleanup(w.searchLog) // when Caddy has stopped
	lendCertificates(w.t, filepath.Join(w.dir, "storage"))
	w.reload()
	w.t.Cleanup(w.stop)
	w.client = w.newClient()
	w.await()
}

func (w *world) stop() {
	if err := caddy.Stop(); err != nil {
		w.t.Error(err)
	}
}

// edit changes the Caddyfile and reloads.
func (w *world) edit(pairs ...string) {
	w.t.Helper()
	text := w.text
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			w.t.Fatalf("the Caddyfile has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	w.adapt(text)
	w.reload()
	w.await()
}

// adapt makes the configuration of a Caddyfile.
func (w *world) adapt(input string) {
	w.t.Helper()
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.text, w.config = input, nil
	if err := json.Unmarshal(body, &w.config); err != nil {
		w.t.Fatal(err)
	}
	w.config["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	w.config["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(w.dir, "storage")}
	w.config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
		"level":   "DEBUG",
		"writer":  map[string]any{"output": "file", "filename": filepath.Join(w.dir, "log")},
		"encoder": map[string]any{"format": "uma_filter"},
	}}}
	apps, _ := w.config["apps"].(map[string]any)
	logAccess(apps)
	automate(apps)
	uma, _ := apps["uma"].(map[string]any)
	if uma == nil {
		uma = map[string]any{}
		apps["uma"] = uma
	}
	if uma["store"] == nil {
		uma["store"] = map[string]any{"module": "bolt", "path": filepath.Join(w.dir, "uma.db")}
	}
}

// logAccess gives every site an access log.
func logAccess(apps map[string]any) {
	web, _ := apps["http"].(map[string]any)
	servers, _ := web["servers"].(map[string]any)
	for _, server := range servers {
		if server, ok := server.(map[string]any); ok && server["logs"] == nil {
			server["logs"] = map[string]any{}
		}
	}
}

// reload loads the configuration again, by force.
func (w *world) reload() {
	w.t.Helper()
	if err := caddy.Load(w.numbered(), true); err != nil {
		w.t.Fatal(err)
	}
	if w.client != nil { // a connection of before, busy or not, would still be served as before
		w.client.CloseIdleConnections()
		w.client = w.newClient()
	}
}

// numbered is the configuration with a page that tells how often it was loaded.
func (w *world) numbered() []byte {
	w.t.Helper()
	w.loads++
	text, err := json.Marshal(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		w.t.Fatal(err)
	}
	page := map[string]any{
		"match":    []any{map[string]any{"path": []string{loadsPage}}},
		"handle":   []any{map[string]any{"handler": "static_response", "body": strconv.Itoa(w.loads)}},
		"terminal": true,
	}
	apps, _ := config["apps"].(map[string]any)
	web, _ := apps["http"].(map[string]any)
	servers, _ := web["servers"].(map[string]any)
	for _, server := range servers {
		if server, ok := server.(map[string]any); ok {
			routes, _ := server["routes"].([]any)
			server["routes"] = append([]any{page}, routes...)
		}
	}
	text, err = json.Marshal(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

const loadsPage = "/.test/loads"

// newClient dials loopback for every host and trusts the internal CA alone. The
// root is there as soon as the configuration is loaded.
func (w *world) newClient() *http.Client {
	w.t.Helper()
	pem, err := os.ReadFile(filepath.Join(w.dir, "storage", "pki", "authorities", "local", "root.crt"))
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+w.port)
		},
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// certificateWait is how long a certificate may take: Caddy tries again after a
// minute when making one has failed, as it does now and then on a busy machine.
const certificateWait = 100 * time.Second

// await waits for the certificates, which are made asynchronously after load, and
// until the servers of the configuration before have let go of the port: for a
// moment new connections may still get to them.
func (w *world) await() {
	w.t.Helper()
	deadline := time.Now().Add(certificateWait)
	for _, host := range []string{"as", "bob", "api"} {
		for good := 0; good < 4; {
			err := w.answers(host)
			if good++; err == nil {
				continue
			}
			good = 0
			if time.Now().After(deadline) {
				w.t.Fatalf("%s does not answer: %v", host, err)
			}
			time.Sleep(20 * time.Millisecond) // polling a real server: there is no clock to inject
		}
	}
	// The configuration before may have accepted these connections in its last
	// moment, and would serve what comes over them.
	w.client.CloseIdleConnections()
}

// answers asks, on a connection of its own, which configuration serves a host.
func (w *world) answers(host string) error {
	client := w.newClient()
	defer client.CloseIdleConnections()
	res, err := client.Get(w.url(host, loadsPage))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && string(body) != strconv.Itoa(w.loads) {
		err = fmt.Errorf("answered by configuration %q, not %d", body, w.loads)
	}
	return err
}

func (w *world) url(host, path string) string {
	if name := w.names[host]; name != "" {
		return "https://" + name + path
	}
	return "https://" + host + ".localhost:" + w.port + path
}

// freePort gives a port that was free a moment ago. Issuers have it in their
// names, so it must be known before Caddy starts.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
