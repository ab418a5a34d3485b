package integration_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A slowClient holds a connection open and sends as little as it can. It tells
// what it got at last.
type slowClient struct {
	name, host string
	first      string // what it sends at once
	drip       string // of this a byte in a while
}

func slowClients() []slowClient {
	post := "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\ngrant_type="
	return []slowClient{
		{"idle", "as.localhost", "", ""},
		{"slow header", "as.localhost", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "a"},
		{"slow body at the token endpoint", "as.localhost", fmt.Sprintf(post, "/uma/token", "as.localhost"), "a"},
		{"slow body at a protected path", "api.localhost", fmt.Sprintf(post, "/", "api.localhost"), "a"},
		{"slow reader", "as.localhost", strings.Repeat("GET /uma/jwks HTTP/1.1\r\nHost: as.localhost\r\n\r\n", 200), ""},
	}
}

// crowd are slow clients that are connected.
type crowd struct {
	mu    sync.Mutex
	conns []net.Conn
	stop  chan struct{}
	ended sync.Map // name → *atomic.Int64: connections that the server has closed
	all   sync.WaitGroup
}

// join connects n clients, a few at a time.
func (q *crowd) join(t *testing.T, port string, roots *tls.Config, n int, every time.Duration) (connected int) {
	t.Helper()
	kinds := slowClients()
	for _, k := range kinds {
		q.ended.Store(k.name, new(atomic.Int64))
	}
	places := make(chan struct{}, 32)
	var joining sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		joining.Go(func() {
			defer func() { <-places }()
			kind := kinds[i%len(kinds)]
			cfg := roots.Clone()
			cfg.ServerName, cfg.NextProtos = kind.host, []string{"http/1.1"}
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", "127.0.0.1:"+port, cfg)
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, kind.first)
			q.mu.Lock()
			q.conns = append(q.conns, conn)
			q.mu.Unlock()
			q.all.Go(func() { q.linger(conn, kind, every) })
		})
	}
	joining.Wait()
	return len(q.conns)
}

// linger drips until the server has enough, or the test.
func (q *crowd) linger(conn net.Conn, kind slowClient, every time.Duration) {
	gone := make(chan struct{})
	if kind.name != "slow reader" {
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			close(gone)
		}()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-q.stop:
			return
		case <-gone:
			if n, ok := q.ended.Load(kind.name); ok {
				n.(*atomic.Int64).Add(1)
			}
			return
		case <-tick.C:
			if kind.drip != "" {
				_, _ = io.WriteString(conn, kind.drip)
			}
		}
	}
}

func (q *crowd) endedBy(name string) int64 {
	n, _ := q.ended.Load(name)
	return n.(*atomic.Int64).Load()
}

func (q *crowd) leave() {
	close(q.stop)
	for _, conn := range q.conns {
		_ = conn.Close()
	}
	q.all.Wait()
}

// goroutines asks the child's admin endpoint.
func (c *child) goroutines(admin string) int {
	c.t.Helper()
	resp, err := (&http.Client{Transport: new(http.Transport)}).Get("http://" + admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	line, _ := bufio.NewReader(resp.Body).ReadString('\n')
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "goroutine profile: total ")))
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	return n
}

// memory is the resident memory of the child in KiB.
func (c *child) memory() int {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// median is that of a legitimate flow, the nine steps by hand.
func (c *child) median(t *testing.T, access string, n int) time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		c.opens(t, c.flow(t, access))
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[n/2]
}

// Hundreds of clients (UMA_TEST_SLOW_CLIENTS: thousands) hold connections by
// sending and reading slowly. Legitimate flows go on, what a slow client costs is
// bounded, slow bodies at our endpoints are ended, and when all have gone nothing
// of them is left.
func TestSlowClients(t *testing.T) {
	n := 500
	if text := os.Getenv("UMA_TEST_SLOW_CLIENTS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	c := prepareChild(t, unlimited()...)
	lendCertificates(t, c.disk+"/storage")
	admin := "127.0.0.1:" + freePort(t)
	c.config["admin"] = map[string]any{"listen": admin}
	c.start()
	c.await()
	access := c.login("bob@bob.localhost", "bob-demo")
	before := c.median(t, access, 40)
	idle, memory := c.goroutines(admin), c.memory()

	q := &crowd{stop: make(chan struct{})}
	roots := c.client.Transport.(*http.Transport).TLSClientConfig
	start := time.Now()
	connected := q.join(t, c.port, roots, n, 2*time.Second)
	joined := time.Since(start)
	if connected < n*99/100 {
		t.Errorf("%d of %d could connect", connected, n)
	}
	during := c.median(t, access, 40)
	busy, held := c.goroutines(admin), c.memory()
	t.Logf("%d slow clients in %v: %d goroutines (before: %d), %d KiB resident (before: %d), %.1f KiB a client",
		connected, joined.Round(time.Millisecond), busy, idle, held, memory, float64(held-memory)/float64(connected))
	t.Logf("a flow of nine steps: %v before, %v among them", before.Round(10*time.Microsecond), during.Round(10*time.Microsecond))
	if perClient := float64(busy-idle) / float64(connected); perClient > 4 {
		t.Errorf("%.1f goroutines a client", perClient)
	}
	if perClient := (held - memory) / connected; perClient > 400*memoryFactor {
		t.Errorf("%d KiB a client", perClient)
	}
	// The bodies that do not come are given up, whatever Caddy is set to.
	each := int64(connected / 5)
	for deadline := time.Now().Add(60 * time.Second); q.endedBy("slow body at the token endpoint") < each; time.Sleep(200 * time.Millisecond) { // a real process
		if time.Now().After(deadline) {
			t.Errorf("after a minute %d of %d slow bodies at the token endpoint are ended", q.endedBy("slow body at the token endpoint"), each)
			break
		}
	}
	for _, k := range slowClients() {
		t.Logf("%v after the start the server had closed %d of %d: %s", time.Since(start).Round(time.Second), q.endedBy(k.name), each, k.name)
	}
	q.leave()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) { // a real process
		left := c.goroutines(admin)
		if left <= idle+20 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines are left, %d before", left, idle)
			break
		}
	}
	t.Logf("when all have gone: %d goroutines, %d KiB resident", c.goroutines(admin), c.memory())
	c.lives(t)
	c.opens(t, c.flow(t, access))
}
