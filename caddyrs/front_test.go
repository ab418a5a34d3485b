package caddyrs

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// front is a running Caddy with all its protocols, the authorization server in
// the process and a backend that records what reaches it, byte by byte.
type front struct {
	as      *fakeAS
	address string
	backend *recorder1
}

// newFront serves the body of a site; BACKEND stands for the backend. There is
// one Caddy per process, so these tests do not run in parallel.
func newFront(t *testing.T, body string) *front {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir)
	f := &front{as: newAS(t), address: freeAddress(t), backend: newRecorder1(t)}
	_, port, _ := net.SplitHostPort(f.address)
	// The app is there also where no directive asks for it: it cannot come later.
	text := "{\n\tuma {\n\t}\n\tadmin off\n\tpersist_config off\n\tgrace_period 1ms\n\tskip_install_trust\n\tauto_https off\n\tstorage file_system " + dir +
		"\n\tlog {\n\t\toutput discard\n\t}\n}\nhttps://:" + port + " {\n\tbind 127.0.0.1\n\ttls " + filepath.Join(dir, "cert.pem") + " " + filepath.Join(dir, "key.pem") + "\n" +
		strings.ReplaceAll(body, "BACKEND", f.backend.address) + "\n}\n"
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(adapted, cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Run(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	app, err := umaapp.Get(caddy.ActiveContext())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.RegisterAS(issuer, []byte("1"), f.as); err != nil {
		t.Fatal(err)
	}
	return f
}

// freeAddress is free for TCP and UDP.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp", l.Addr().String())
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"x"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// hit is a request at the backend, as it was written.
type hit struct {
	line    string // the request line
	header  http.Header
	body    string
	trailer http.Header
	more    int // bytes after the message
}

func (h hit) target() string {
	_, rest, _ := strings.Cut(h.line, " ")
	i := strings.LastIndex(rest, " ")
	return rest[:max(0, i)]
}

// recorder1 is an HTTP/1.1 backend without the checks of net/http: what it would
// refuse has reached it all the same.
type recorder1 struct {
	address string
	mu      sync.Mutex
	hits    []hit
}

func newRecorder1(t *testing.T) *recorder1 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder1{address: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *recorder1) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	h := hit{line: strings.TrimRight(line, "\r\n")}
	// What stands in the line is kept; net/http reads the rest of the message.
	rest := bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\n"), in))
	if req, err := http.ReadRequest(rest); err == nil {
		body, _ := io.ReadAll(req.Body)
		h.header, h.body, h.more, h.trailer = req.Header, string(body), rest.Buffered(), req.Trailer
	}
	r.mu.Lock()
	r.hits = append(r.hits, h)
	r.mu.Unlock()
	_, _ = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

// taken gives the hits since the last time.
func (r *recorder1) taken() []hit {
	r.mu.Lock()
	defer r.mu.Unlock()
	hits := slices.Clone(r.hits)
	r.hits = nil
	return hits
}
