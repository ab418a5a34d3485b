package integration_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// badBackend answers by the path: well, or as backends do that are ill.
func badBackend(t *testing.T) (addr string, hanging func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex
	hung := 0
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				if r.URL.Path == "/hang" {
					mu.Lock()
					hung++
					mu.Unlock()
				}
				misbehave(conn, r.URL.Path)
			}()
		}
	}()
	return listener.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return hung }
}

func misbehave(conn net.Conn, path string) {
	switch path {
	case "/closed":
	case "/garbage":
		_, _ = io.WriteString(conn, "\x00\x01\x02 not HTTP\r\n\r\n")
	case "/cut":
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe first few")
	case "/two-lengths":
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok")
	case "/hang":
		_, _ = io.Copy(io.Discard, conn)
	default:
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	}
}

// The backend behind uma_protect is slow, dies or speaks nonsense: who has an RPT
// sees that it is the backend, and nobody else notices.
func TestBackendFaults(t *testing.T) {
	addr, hanging := badBackend(t)
	w := example(t, `respond "Hello {http.auth.user.id}, this is the RS API"`, "reverse_proxy "+addr,
		"client_id api\n", "client_id api\n\t\trate_limit off\n")
	ticket, _ := w.challenged(http.MethodGet, "/")
	rpt := w.redeem(ticket, w.claimsToken(w.login("bob@bob.localhost", "bob-demo"), w.url("api", ""), ticket), nil).get("access_token")
	refusals := func(t *testing.T) {
		t.Helper()
		start := time.Now()
		for _, header := range []http.Header{nil, bearer(flip(rpt))} {
			if a := w.get(w.url("api", "/hang"), header); a.status != http.StatusUnauthorized {
				t.Errorf("without a good RPT: %d %s", a.status, a.text)
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("two refusals took %v", took)
		}
	}
	for path, want := range map[string]int{
		"/closed": http.StatusBadGateway, "/garbage": http.StatusBadGateway, "/two-lengths": http.StatusBadGateway, "/ok": http.StatusOK,
	} {
		if a := w.get(w.url("api", path), bearer(rpt)); a.status != want {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.text, want)
		}
		refusals(t)
	}
	t.Run("an answer that is cut", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url("api", "/cut"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = bearer(rpt)
		resp, err := w.client.Do(r)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Error("a part looks like the whole")
		}
		refusals(t)
	})
	t.Run("fifty that hang", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url("api", "/hang"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header = bearer(rpt)
				resp, err := w.client.Do(r)
				if err == nil {
					_ = resp.Body.Close()
				}
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
			})
		}
		for deadline := time.Now().Add(20 * time.Second); hanging() < 50 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond) // a real server
		}
		refusals(t)
		if a := w.get(w.url("api", "/ok"), bearer(rpt)); a.status != http.StatusOK {
			t.Errorf("another request: %d %s", a.status, a.text)
		}
		cancel()
		all.Wait()
	})
}
