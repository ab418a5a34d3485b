package caddyrs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// clients speak one protocol each.
func clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	h1 := &http.Transport{TLSClientConfig: clientTLS("http/1.1"), ExpectContinueTimeout: wireTimeout}
	h2 := &http.Transport{TLSClientConfig: clientTLS("h2"), ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: clientTLS("h3")}
	t.Cleanup(func() { h1.CloseIdleConnections(); h2.CloseIdleConnections(); _ = h3.Close() })
	all := map[string]*http.Client{}
	for name, transport := range map[string]http.RoundTripper{"HTTP/1.1": h1, "HTTP/2.0": h2, "HTTP/3.0": h3} {
		all[name] = &http.Client{Transport: transport, Timeout: wireTimeout}
	}
	return all
}

// newProtected is a front with a backend of the test.
func newProtected(t *testing.T, backend http.HandlerFunc, lines string) (f *front, token []string) {
	t.Helper()
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	f = newFront(t, protect(everyMethod)+"\treverse_proxy "+strings.TrimPrefix(server.URL, "http://")+lines+"\n")
	(&wire1{address: f.address}).send(t, wired{method: "GET", target: "/", host: "x"})
	return f, f.bearer("all", "use")
}

func (f *front) request(t *testing.T, method string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+f.address+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// TestCA_41_BodiesAreStreamed: the backend has read the first part of a body
// before the client sends the second, and all of it arrives.
func TestCA_41_BodiesAreStreamed(t *testing.T) {
	first := make(chan struct{}, 1)
	f, token := newProtected(t, func(w http.ResponseWriter, r *http.Request) {
		sum, part := sha256.New(), make([]byte, 5)
		if _, err := io.ReadFull(r.Body, part); err != nil {
			t.Error(err)
		}
		first <- struct{}{}
		_, _ = sum.Write(part)
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %v %x", n+5, err, sum.Sum(nil))
	}, "")
	rest := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	for protocol, client := range clients(t) {
		body, write := io.Pipe()
		go func() {
			_, _ = io.WriteString(write, "first")
			select {
			case <-first:
			case <-time.After(wireTimeout):
				t.Errorf("%s: the body is held back", protocol)
			}
			_, _ = write.Write(rest)
			_ = write.Close()
		}()
		resp, err := client.Do(f.request(t, "POST", body, token...))
		if err != nil {
			t.Fatal(protocol, err)
		}
		got, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		want := fmt.Sprintf("%d <nil> %x", len(rest)+5, sha256.Sum256(append([]byte("first"), rest...)))
		if resp.Proto != protocol || string(got) != want {
			t.Errorf("%s: %s %s, want %s", protocol, resp.Proto, got, want)
		}
	}
}

// TestCA_41_EarlyAnswers: the backend may answer before it has read the body. (Over
// HTTP/1.1 Go's server answers when it has the body.)
func TestCA_41_EarlyAnswers(t *testing.T) {
	f, token := newProtected(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // else the backend waits for the body, too
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}, "")
	w := &wire2{address: f.address}
	defer w.close()
	a := w.send(t, wired{method: "POST", target: "/", host: "x", header: token, body: "the beginning", open: true})
	if a.status != http.StatusRequestEntityTooLarge || a.body != "too much\n" {
		t.Errorf("answer = %d %q", a.status, a.body)
	}
}

// TestCA_41_Expect: who waits for 100 gets it with an RPT; without one the
// request is refused and does not reach the backend, with its body or without.
func TestCA_41_Expect(t *testing.T) {
	hits := 0
	f, token := newProtected(t, func(w http.ResponseWriter, r *http.Request) { hits++; _, _ = io.Copy(w, r.Body) }, "")
	head := "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
	w := &wire1{address: f.address}
	if a := w.raw(t, []byte(head+"\r\nhello")); a.status != 401 || hits != 0 {
		t.Errorf("without an RPT = %d after %d hits, want 401", a.status, hits)
	}
	w.close()
	conn := dialTLS(t, f.address, "http/1.1")
	defer conn.Close()
	fmt.Fprintf(conn, "%s%s: %s\r\n\r\n", head, token[0], token[1])
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 100 {
		t.Fatalf("first answer = %+v, %v, want 100", resp, err)
	}
	fmt.Fprint(conn, "hello")
	for resp.StatusCode == 100 { // the backend's may come, too
		if resp, err = http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "hello" || hits != 1 {
		t.Errorf("answer = %d %q after %d hits", resp.StatusCode, body, hits)
	}
}

// TestCA_41_Retries: of two upstreams one is down; reverse_proxy finds the other,
// and the body and what is set for the backend arrive there once.
func TestCA_41_Retries(t *testing.T) {
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = down.Close()
	for name, lines := range map[string]string{"streamed": "", "buffered": "\t\trequest_buffers 4k\n"} {
		t.Run("CA-41 "+name, func(t *testing.T) {
			var bodies []string
			got := make(chan string, 100)
			f, token := newProtected(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- r.Header.Get("X-Who") + " " + r.Header.Get("Authorization") + " " + string(body)
				w.WriteHeader(http.StatusAccepted)
			}, " "+down.Addr().String()+" {\n\t\tlb_policy round_robin\n\t\tlb_try_duration 5s\n\t\tlb_try_interval 10ms\n"+lines+"\t\theader_up X-Who {http.auth.user.id}\n\t}")
			for _, client := range clients(t) {
				for i := range 4 {
					body := fmt.Sprintf("body %d", i)
					resp, err := client.Do(f.request(t, "POST", strings.NewReader(body), token...))
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					if resp.StatusCode != http.StatusAccepted {
						t.Errorf("status = %d, want 202", resp.StatusCode)
					}
					bodies = append(bodies, "u-1  "+body)
				}
			}
			close(got)
			for _, want := range bodies {
				if hit := <-got; hit != want {
					t.Errorf("backend got %q, want %q", hit, want)
				}
			}
			if hit, more := <-got; more {
				t.Errorf("backend got %q besides", hit)
			}
		})
	}
}
