package integration_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// noLimits lets one machine do what many would.
func noLimits(edits ...string) []string {
	return append([]string{
		policyStart, "rate_limit token off\n\t\trate_limit ticket off\n\n\t\t" + policyStart,
		"# Whose addresses", "rate_limit exchange off\n\t\t# Whose addresses",
		apiClient, "\t\trate_limit off\n" + apiClient,
	}, edits...)
}

// backendLine is what example puts its backend in place of.
const backendLine = `respond "Hello {http.auth.user.id}, this is the RS API"`

// traffic is work that goes on while a test does something to Caddy.
type traffic struct {
	w      *world
	client *http.Client
	access string
	stop   context.CancelFunc
	wait   sync.WaitGroup

	flows, requests atomic.Int64
	mu              sync.Mutex
	failures        []error
}

// steadyLoad begins with so many clients that do the nine steps again and again, and
// as many that come with the RPT they have.
func (w *world) steadyLoad(clients int) *traffic {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &traffic{w: w, client: w.patient(), access: w.login("bob@bob.localhost", "bob-demo"), stop: cancel}
	for range clients {
		l.repeat(ctx, &l.flows, func(ctx context.Context) error { return l.call(ctx, l.newRQP()) })
		known := l.newRQP()
		l.repeat(ctx, &l.requests, func(ctx context.Context) error { return l.call(ctx, known) })
	}
	w.t.Cleanup(func() { l.end() })
	return l
}

// patient is a client that knocks again when a connection is reset before its TLS
// handshake is over. Caddy opens the new listener beside the old one; what the kernel has
// queued for the old one when that closes is reset, before anybody has read of it.
func (w *world) patient() *http.Client {
	client := w.newClient()
	transport, _ := client.Transport.(*http.Transport)
	config := transport.TLSClientConfig.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		config := config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
		for try := 0; ; try++ {
			conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, network, "127.0.0.1:"+w.port)
			if err == nil || try == 5 || !errors.Is(err, syscall.ECONNRESET) {
				return conn, err
			}
		}
	}
	return client
}

// repeat does something until the load ends. What is cut off by the end is no failure.
func (l *traffic) repeat(ctx context.Context, count *atomic.Int64, do func(context.Context) error) {
	l.wait.Go(func() {
		for ctx.Err() == nil {
			if err := do(context.WithoutCancel(ctx)); err != nil {
				l.failed(err)
				continue
			}
			count.Add(1)
		}
	})
}

func (l *traffic) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 20 {
		l.failures = append(l.failures, fmt.Errorf("after %d flows and %d requests: %w", l.flows.Load(), l.requests.Load(), err))
	}
}

// end gives what went wrong.
func (l *traffic) end() error {
	l.stop()
	l.wait.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.failures...)
}

// newRQP is a client that knows the user's access token and nothing else yet.
func (l *traffic) newRQP() *rqp.Client {
	client, err := rqp.New(rqp.Config{
		STS: l.w.url("bob", ""), HTTPClient: l.client, Network: rqp.Network{Localhost: true},
		AccessToken: func(context.Context) (string, error) { return l.access, nil },
	})
	if err != nil {
		panic(err)
	}
	return client
}

func (l *traffic) call(ctx context.Context, client *rqp.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.w.url("api", "/"), nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", res.StatusCode, body)
	}
	return err
}

// await waits until so much more was done.
func (l *traffic) await(flows, requests int64) {
	l.w.t.Helper()
	flows, requests = flows+l.flows.Load(), requests+l.requests.Load()
	for deadline := time.Now().Add(time.Minute); l.flows.Load() < flows || l.requests.Load() < requests; time.Sleep(5 * time.Millisecond) { // real requests
		if time.Now().After(deadline) {
			l.w.t.Fatalf("%d flows and %d requests: the load stands still: %v", l.flows.Load(), l.requests.Load(), l.end())
		}
	}
}

// again loads the configuration anew, as `caddy reload --force` does, and leaves the
// client's connections as they are.
func (w *world) again() {
	w.t.Helper()
	if err := caddy.Load(w.numbered(), true); err != nil {
		w.t.Fatal(err)
	}
}

// TestReloadsUnderLoad: reloads while clients do the nine steps and use their RPTs
// lose no request, no ticket and no goroutine.
func TestReloadsUnderLoad(t *testing.T) {
	const reloads = 200
	// Without reverse_proxy: its connections that are busy when Caddy closes idle ones
	// stay for two minutes.
	w := example(t, noLimits(backendLine, "respond hello")...)
	ticket, _ := w.challenged(http.MethodGet, "/")
	w.client.CloseIdleConnections()
	few := settled()
	l := w.steadyLoad(2)
	l.await(2, 2)
	tickets := 0.0
	for range reloads {
		w.again()
		l.await(1, 1)
		now := counter(t, "caddy_uma_tickets_total")
		if now < tickets {
			t.Errorf("the counter of tickets went from %v back to %v", tickets, now)
		}
		tickets = now
	}
	if err := l.end(); err != nil {
		t.Error(err)
	}
	if tickets < reloads {
		t.Errorf("%v tickets were counted, of more than %d", tickets, reloads)
	}
	fallen(t, few+6, l.client)
	t.Logf("%d reloads, %d flows, %d requests; %d goroutines before, %d after", reloads, l.flows.Load(), l.requests.Load(), few, runtime.NumGoroutine())
	w.client = w.newClient()
	claims := w.claimsToken(l.access, w.url("api", ""), ticket)
	if a := w.redeem(ticket, claims, nil); a.status != http.StatusOK {
		t.Errorf("the ticket from before is lost: %d %s", a.status, a.text)
	}
}

// counter reads a counter without labels where the metrics page of Caddy does.
func counter(t *testing.T, name string) float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// TestBrokenReload: a configuration that cannot be loaded leaves the old one serving.
func TestBrokenReload(t *testing.T) {
	w := example(t, noLimits()...)
	l := w.steadyLoad(1)
	for name, broken := range map[string]func(config map[string]any){
		"a module that is none": func(config map[string]any) {
			apps, _ := config["apps"].(map[string]any)
			apps["uma"].(map[string]any)["store"] = map[string]any{"module": "nowhere"}
		},
		"a setting that is refused": func(config map[string]any) {
			apps, _ := config["apps"].(map[string]any)
			apps["uma"].(map[string]any)["algorithm"] = "HS256"
		},
		"a port that cannot be had": func(config map[string]any) {
			apps, _ := config["apps"].(map[string]any)
			servers, _ := apps["http"].(map[string]any)["servers"].(map[string]any)
			servers["zz"] = map[string]any{"listen": []any{"192.0.2.1:" + w.port}} // an address that no machine has
		},
	} {
		l.await(1, 1)
		if err := caddy.Load(brokenBy(t, w, broken), true); err == nil {
			t.Errorf("%s: it was loaded", name)
		}
		l.await(2, 2)
	}
	if err := l.end(); err != nil {
		t.Error(err)
	}
}

func brokenBy(t *testing.T, w *world, broken func(map[string]any)) []byte {
	t.Helper()
	config := map[string]any{}
	if err := json.Unmarshal(w.numbered(), &config); err != nil {
		t.Fatal(err)
	}
	broken(config)
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestValidateBesideARunningServer: `caddy validate` beside a server that runs on the
// same folders leaves all of them as they are.
func TestValidateBesideARunningServer(t *testing.T) {
	p := startProcess(t)
	p.awaitCertificates("https://api.localhost:" + p.port + "/")
	before := tree(t, p.storage)
	for range 2 {
		if out, errs, code := p.run("", "validate", "--config", "../Caddyfile.example"); code != 0 {
			t.Fatalf("exit %d\n%s\n%s", code, out, errs)
		}
	}
	if diff := cmp.Diff(before, tree(t, p.storage)); diff != "" {
		t.Errorf("validate changed files:\n%s", diff)
	}
	t.Run("and says what is wrong", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		text := "https://as.localhost {\n\ttls internal\n\tuma_server https://as.localhost {\n\t\tpolicy p {\n\t\t}\n\t}\n}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := p.run("", "validate", "--adapter", "caddyfile", "--config", file); code == 0 || !strings.Contains(errs, "policy 'p'") {
			t.Errorf("exit %d\n%s", code, errs)
		}
	})
}

// tree tells of each file its size and when it was written; of those that the running
// server writes by itself only that they are there.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files[path] = fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
