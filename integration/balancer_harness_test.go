package integration_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// clusterFile is the cluster example of GRAMMAR §7, with a provider for Bob beside it:
// TLS ends at the balancer, which is at 127.0.0.1 and has the port of the issuers.
const clusterFile = `{
	default_bind 127.0.0.1
	servers {
		trusted_proxies static 127.0.0.1/32
	}
	shutdown_delay 2s
	grace_period 5s
	uma {
		store postgres {env.UMA_TEST_DSN}
		keys store {env.UMA_TEST_KEK}
		trust_pool file {$UMA_TEST_CA}
		connect_to bob.localhost:443 127.0.0.1:{$UMA_PORT}
		connect_to bob.localhost:{$UMA_PORT} 127.0.0.1:{$UMA_PORT}
		connect_to as.localhost:{$UMA_PORT} 127.0.0.1:{$UMA_PORT}
	}
}

http://bob.localhost:{$UMA_BACK} {
	uma_sts https://bob.localhost:{$UMA_PORT} {
		email_domain bob.localhost
		provider {
			user bob@bob.localhost {$BOB_HASH}
		}
		client caddy-uma public {
			redirect_uri http://127.0.0.1/callback
			first_party
		}
		target https://api.localhost:{$UMA_PORT}
	}
}

http://as.localhost:{$UMA_BACK}, http://evil.localhost:{$UMA_BACK} {
	uma_server https://as.localhost:{$UMA_PORT} {
		resource_server api https://api.localhost:{$UMA_PORT} {env.UMA_TEST_SECRET}
		policy readers {
			resource "RS API"
			scopes get
			from bob@bob.localhost
		}
	}
}

http://api.localhost:{$UMA_BACK} {
	uma_protect https://as.localhost:{$UMA_PORT} {
		client_id api
		client_secret {env.UMA_TEST_SECRET}
		rate_limit 30 1h
		resource "RS API"
	}
	reverse_proxy BACKEND
}

http://127.0.0.1:{$UMA_HEALTH} {
	uma_health
}
`

// clientIP is the field by which a test tells the balancer who the client is, as its
// connection does elsewhere.
const clientIP = "X-Test-Client"

// backNode is a node as the balancer sees it.
type backNode struct {
	back, health string // ports
	up           atomic.Bool
}

// balancer ends TLS and spreads requests over the nodes that are healthy.
type balancer struct {
	nodes []*backNode
	turn  atomic.Int64
}

func (b *balancer) rewrite(p *httputil.ProxyRequest) {
	node := b.next()
	name, _, _ := strings.Cut(p.In.Host, ":") // the domain of an address comes without a port
	p.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + node.back})
	p.Out.Host = name + ":" + node.back
	ip := p.In.Header.Get(clientIP)
	if ip == "" {
		ip = "192.0.2.1"
	}
	p.Out.Header.Del(clientIP)
	p.Out.Header.Set("X-Forwarded-For", ip)
	p.Out.Header.Set("X-Forwarded-Proto", "https")
	for _, name := range []string{"X-Forwarded-Host", "Forwarded"} { // what this balancer does not replace
		if v, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = v
		}
	}
}

// next takes the nodes in turn; with none that is healthy the first must do.
func (b *balancer) next() *backNode {
	for range b.nodes {
		if n := b.nodes[int(b.turn.Add(1))%len(b.nodes)]; n.up.Load() {
			return n
		}
	}
	return b.nodes[0]
}

// watch asks the nodes how they are, until the test ends.
func (b *balancer) watch(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		for _, n := range b.nodes {
			res, err := client.Get("http://127.0.0.1:" + n.health + "/")
			if err == nil {
				_ = res.Body.Close()
			}
			n.up.Store(err == nil && res.StatusCode == http.StatusOK)
		}
		time.Sleep(20 * time.Millisecond) // polling a real server
	}
}

// start listens where the issuers say.
func (b *balancer) start(t *testing.T, port string, cert tls.Certificate) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:"+port, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: &httputil.ReverseProxy{Rewrite: b.rewrite, Transport: new(http.Transport), ErrorLog: log.New(io.Discard, "", 0)},
	}
	go func() { _ = server.Serve(listener) }()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = server.Close()
	})
}

// serverCertificate is one of itself, for hosts below localhost.
func serverCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "balancer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"as.localhost", "bob.localhost", "api.localhost", "evil.localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// balanced is two nodes behind a balancer: a Caddy in this process, and one that can
// be stopped. The client of the world speaks to the balancer.
type balanced struct {
	*world
	balancer *balancer
	stopNode func()
}

func newBalanced(t *testing.T) *balanced {
	t.Helper()
	server := pgtest.New(t)
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	cert := serverCertificate(t)
	write(t, w.dir, "ca.pem", pemOf(cert))
	for name, value := range map[string]string{
		"UMA_TEST_DSN": server.DSN(), "UMA_TEST_KEK": "the-secret-of-this-cluster-0123456789-0123456789",
		"UMA_TEST_SECRET": otherSecret, "UMA_TEST_CA": filepath.Join(w.dir, "ca.pem"), "UMA_PORT": w.port,
		"BOB_HASH": bobHash(t),
	} {
		t.Setenv(name, value)
	}
	text := strings.ReplaceAll(clusterFile, "BACKEND", w.backend())
	b := &balanced{world: w, balancer: &balancer{nodes: []*backNode{{}, {}}}}
	for _, n := range b.balancer.nodes {
		n.back, n.health = freePort(t), freePort(t)
	}
	t.Cleanup(w.searchLog) // when Caddy has stopped
	b.useNode(t, 0)
	w.adapt(text)
	w.reload()
	t.Cleanup(w.stop)
	b.useNode(t, 1)
	b.stopNode = w.startNode(text)
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	w.client = balancerClient(t, roots, w.port)
	b.balancer.start(t, w.port, cert)
	b.awaitNodes(true, true)
	b.awaitTickets()
	return b
}

// awaitTickets waits until both nodes know that the authorization server can be asked:
// they were asked how they are before there was a balancer to reach it through, and
// remember that for a second.
func (b *balanced) awaitTickets() {
	b.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for good := 0; good < 2; {
		if b.request(http.MethodGet, b.url("api", "/"), "", nil).status == http.StatusUnauthorized {
			good++
			continue
		}
		if time.Now().After(deadline) {
			b.t.Fatal("the authorization server cannot be asked")
		}
		time.Sleep(20 * time.Millisecond) // polling real processes
	}
}

// useNode sets the ports that the Caddyfile takes.
func (b *balanced) useNode(t *testing.T, i int) {
	t.Helper()
	t.Setenv("UMA_BACK", b.balancer.nodes[i].back)
	t.Setenv("UMA_HEALTH", b.balancer.nodes[i].health)
}

// bobHash is that of the example.
func bobHash(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "{$BOB_HASH:")
	hash, _, found := strings.Cut(rest, "}")
	if !found {
		t.Fatal("no hash in Caddyfile.example")
	}
	return hash
}

// startNode starts the Caddyfile in a process, and gives its end.
func (w *world) startNode(text string) (stop func()) {
	w.t.Helper()
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		w.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(body, &config); err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	config["admin"] = map[string]any{"disabled": true}
	config["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(dir, "storage")}
	if body, err = json.Marshal(config); err != nil {
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
	stop = func() {
		if cmd.ProcessState != nil {
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the node: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

func balancerClient(t *testing.T, roots *x509.CertPool, port string) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
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

// awaitNodes waits until the balancer sees the nodes like this.
func (b *balanced) awaitNodes(want ...bool) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) { // polling real processes
		same := true
		for i, n := range b.balancer.nodes {
			same = same && n.up.Load() == want[i]
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the nodes do not become %v", want)
		}
	}
}

// direct asks a node past the balancer, from an address of loopback. Nil header values
// are left out.
func (b *balanced) direct(i int, from, host, path string, header http.Header) answer {
	b.t.Helper()
	node := b.balancer.nodes[i]
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		return d.DialContext(ctx, network, "127.0.0.1:"+node.back)
	}}
	other := *b.world
	other.client = &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: b.client.CheckRedirect}
	other.port = node.back
	return other.get("http://"+host+".localhost:"+node.back+path, header)
}
