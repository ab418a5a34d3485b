package oauth_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// slowServer reads the bodies of requests with patience d and says what became
// of each.
func slowServer(t *testing.T, d time.Duration, answer func(http.ResponseWriter, *http.Request, []byte, error)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer oauth.BoundBody(w, r, d)()
		body, err := oauth.ReadBody(r, 100)
		answer(w, r, body, err)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func writeAnswer(w http.ResponseWriter, _ *http.Request, body []byte, err error) {
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	_, _ = w.Write(body)
}

// A body that does not come is given up, by HTTP/1.1 and by HTTP/2, and the client
// is told; whoever sends it in time notices nothing.
func TestSEC_18_BodyThatDoesNotCome(t *testing.T) {
	server := slowServer(t, 100*time.Millisecond, writeAnswer)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run("SEC-18 "+proto, func(t *testing.T) {
			client := server.Client()
			transport := client.Transport.(*http.Transport).Clone()
			t.Cleanup(transport.CloseIdleConnections)
			if transport.ForceAttemptHTTP2 = proto == "HTTP/2.0"; !transport.ForceAttemptHTTP2 {
				transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
				transport.TLSClientConfig.NextProtos = nil
			}
			client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
			body, send := io.Pipe()
			t.Cleanup(func() { _ = send.Close() })
			go func() { _, _ = io.WriteString(send, "grant_type=") }() // and no more
			start := time.Now()
			resp, err := client.Post(server.URL, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout || resp.Proto != proto || !strings.Contains(string(text), "took too long") {
				t.Errorf("%s %d %s", resp.Proto, resp.StatusCode, text)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			resp, err = client.Post(server.URL, "text/plain", strings.NewReader("whole"))
			if err != nil {
				t.Fatal(err)
			}
			text, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(text) != "whole" {
				t.Errorf("%d %s", resp.StatusCode, text)
			}
		})
	}
}

// What was read in time leaves the connection as it is: the handler may take
// longer, its context stays, and the next request comes over the same connection.
func TestSEC_18_BodyInTime(t *testing.T) {
	const d = 50 * time.Millisecond
	server := slowServer(t, d, func(w http.ResponseWriter, r *http.Request, body []byte, err error) {
		select {
		case <-r.Context().Done():
			err = r.Context().Err()
		case <-time.After(4 * d): // a real server has a real clock
		}
		writeAnswer(w, r, body, err)
	})
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for i := range 3 {
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || string(text) != "ab" {
			t.Errorf("request %d: %d %s", i, resp.StatusCode, text)
		}
	}
}

// A server that sets deadlines of its own takes ours back: the next byte is the last.
func TestSEC_18_ServerWithDeadlinesOfItsOwn(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", iotest.OneByteReader(strings.NewReader("abc")))
	late := make(chan struct{})
	defer oauth.BoundBody(noDeadlines{httptest.NewRecorder(), sync.OnceFunc(func() { close(late) })}, r, time.Nanosecond)()
	<-late
	if body, err := oauth.ReadBody(r, 100); oauth.AsError(err).Status != http.StatusRequestTimeout {
		t.Errorf("%s, %v", body, err)
	}
}

type noDeadlines struct {
	http.ResponseWriter
	asked func()
}

func (w noDeadlines) SetReadDeadline(time.Time) error {
	w.asked()
	return nil
}

// A handler that is done before its body: the clock stops, and nothing is set on a
// connection that has gone on.
func TestSEC_18_BodyThatNobodyReads(t *testing.T) {
	rec, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("x"))
	done := oauth.BoundBody(rec, r, time.Hour)
	done()
	done()
	if body, err := oauth.ReadBody(r, 100); err != nil || string(body) != "x" {
		t.Errorf("a writer without deadlines: %s, %v", body, err)
	}
	none := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	oauth.BoundBody(rec, none, time.Nanosecond)()
	if _, err := oauth.ReadBody(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 101))), 100); oauth.AsError(err).Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%v", err)
	}
	if got := oauth.Unread(errors.New("reset")); got.Status != http.StatusBadRequest {
		t.Errorf("%v", got)
	}
}

// TestSEC_18_EmptyBodyThatIsCounted: an access log wraps each body, also the one that is
// not there. The connection's context, which later requests share, goes on.
func TestSEC_18_EmptyBodyThatIsCounted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(r.Body)
		oauth.BoundBody(w, r, time.Hour)()
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable)
		case <-time.After(50 * time.Millisecond): // a real server has a real clock
		}
	}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error("the context has ended")
	}
}
