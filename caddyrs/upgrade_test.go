package caddyrs

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
)

// echo is a WebSocket backend as far as a proxy can tell: after the upgrade it
// says each line again.
func echo(t *testing.T) (address string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.Method != "GET" || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Authorization") != "" || r.Header.Get("X-Who") != "u-1" {
			t.Errorf("backend got %s %v", r.Method, r.Header)
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = buf.Flush()
		for {
			line, err := buf.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = buf.WriteString("echo " + line)
			_ = buf.Flush()
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), hits
}

func newEcho(t *testing.T) (*front, *atomic.Int64, []string) {
	t.Helper()
	address, hits := echo(t)
	f := newFront(t, protect("\t\tresource all\n\t\tscope get\n\t\tscope use *\n\t\theader_up X-Who {http.auth.user.id}")+"\treverse_proxy "+address+"\n")
	(&wire1{address: f.address}).send(t, wired{method: "GET", target: "/", host: "x"})
	return f, hits, f.bearer("all", "get")
}

func TestSEC_21_WebSocket(t *testing.T) {
	f, hits, token := newEcho(t)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version", "13"}
	w := &wire1{address: f.address}
	for name, header := range map[string][]string{"none": nil, "other scope": f.bearer("all", "use"), "forged": {"Authorization", "Bearer x"}} {
		if a := w.send(t, wired{method: "GET", target: "/", host: "x", header: append(header, upgrade...)}); a.status != 401 {
			t.Errorf("%s = %d, want 401", name, a.status)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Fatalf("the backend was reached %d times", n)
	}
	conn := dialTLS(t, f.address, "http/1.1")
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n%s: %s\r\n", token[0], token[1])
	for i := 0; i < len(upgrade); i += 2 {
		fmt.Fprintf(conn, "%s: %s\r\n", upgrade[i], upgrade[i+1])
	}
	fmt.Fprint(conn, "\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("answer = %+v, %v, want 101", resp, err)
	}
	for i := range 3 {
		fmt.Fprintf(conn, "%d\n", i)
		if line, _ := in.ReadString('\n'); line != fmt.Sprintf("echo %d\n", i) {
			t.Errorf("line = %q", line)
		}
	}
}

// TestSEC_21_WebSocketOverHTTP3 is RFC 9220.
func TestSEC_21_WebSocketOverHTTP3(t *testing.T) {
	f, hits, token := newEcho(t)
	w := &wire3{address: f.address}
	defer w.close()
	connect := wired{method: "CONNECT", protocol: "websocket", target: "/", host: "x", header: []string{"sec-websocket-version", "13"}}
	for name, header := range map[string][]string{"none": nil, "other scope": f.bearer("all", "use"), "forged": {"Authorization", "Bearer x"}} {
		q := connect
		q.header = append(header, q.header...)
		if a := w.send(t, q); a.status != 401 {
			t.Errorf("%s = %d, want 401", name, a.status)
		}
	}
	for _, protocol := range []string{"connect-udp", "h2c", "WebSocket"} { // no GET comes of them
		q := connect
		q.protocol, q.header = protocol, f.bearer("all", "get", "use")
		if a := w.send(t, q); a.status != 400 {
			t.Errorf("%s = %d, want 400", protocol, a.status)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Fatalf("the backend was reached %d times", n)
	}
	connect.header, connect.open = append(connect.header, token...), true
	stream, err := w.write(t, connect)
	if err != nil {
		t.Fatal(err)
	}
	in := quicvarint.NewReader(stream)
	frame := func() (uint64, string) {
		kind, _ := quicvarint.Read(in)
		size, err := quicvarint.Read(in)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, size)
		_, _ = io.ReadFull(in, text)
		return kind, string(text)
	}
	if kind, block := frame(); kind != h3Headers {
		t.Fatalf("frame %d", kind)
	} else if status, _ := h3Status([]byte(block)); status != 200 {
		t.Fatalf("status = %d, want 200", status)
	}
	for i := range 3 {
		_, _ = stream.Write(h3Frame(h3Data, fmt.Appendf(nil, "%d\n", i)))
		if _, text := frame(); text != fmt.Sprintf("echo %d\n", i) {
			t.Errorf("data = %q", text)
		}
	}
}

// TestSEC_21_WebSocketOverHTTP2 is RFC 8441. Go's server reads at its start
// whether to offer it, so the test starts itself again.
func TestSEC_21_WebSocketOverHTTP2(t *testing.T) {
	const setting = "http2xconnect=1"
	if !strings.Contains(os.Getenv("GODEBUG"), setting) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // this test
		cmd.Env = append(os.Environ(), "GODEBUG="+setting)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	f, hits, token := newEcho(t)
	w := &wire2{address: f.address}
	defer w.close()
	connect := wired{method: "CONNECT", protocol: "websocket", target: "/", host: "x", header: []string{"sec-websocket-version", "13"}}
	for name, header := range map[string][]string{"none": nil, "other scope": f.bearer("all", "use"), "forged": {"Authorization", "Bearer x"}} {
		q := connect
		q.header = append(header, q.header...)
		if a := w.send(t, q); a.status != 401 {
			t.Errorf("%s = %d, want 401", name, a.status)
		}
	}
	for _, protocol := range []string{"connect-udp", "h2c", "WebSocket"} {
		q := connect
		q.protocol, q.header = protocol, f.bearer("all", "get", "use")
		if a := w.send(t, q); a.status != 400 {
			t.Errorf("%s = %d, want 400", protocol, a.status)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Fatalf("the backend was reached %d times", n)
	}
	connect.header, connect.open = append(connect.header, token...), true
	if w.conn == nil {
		w.dial(t)
	}
	stream, err := w.write(connect)
	if err != nil {
		t.Fatal(err)
	}
	status, sent := "", 0
	for got := ""; sent < 3 || !strings.HasSuffix(got, "echo 2\n"); {
		frame, err := w.framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			status = frame.PseudoValue("status")
		case *http2.DataFrame:
			got += string(frame.Data())
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatalf("%v after %q", frame, got)
		}
		if status == "200" && sent < 3 && strings.Count(got, "\n") == sent {
			_ = w.framer.WriteData(stream, false, fmt.Appendf(nil, "%d\n", sent))
			sent++
		}
	}
}

// TestCA_42_EventsAreNotHeldBack: an event reaches the client while the backend
// has not finished.
func TestCA_42_EventsAreNotHeldBack(t *testing.T) {
	finish := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-finish:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "data: 2\n\n")
	}))
	t.Cleanup(backend.Close)
	f := newFront(t, protect("\t\tresource all")+"\treverse_proxy "+strings.TrimPrefix(backend.URL, "http://")+"\n")
	(&wire1{address: f.address}).send(t, wired{method: "GET", target: "/", host: "x"})
	token := f.bearer("all", "get")
	client := &http.Client{Timeout: wireTimeout, Transport: &http.Transport{TLSClientConfig: clientTLS("http/1.1")}}
	t.Cleanup(client.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+f.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(token[0], token[1])
	started := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, _ := in.ReadString('\n'); line != "data: 1\n" || time.Since(started) > wireTimeout/2 {
		t.Fatalf("first line = %q after %s", line, time.Since(started))
	}
	close(finish)
	if rest, _ := io.ReadAll(in); string(rest) != "\ndata: 2\n\n" {
		t.Errorf("rest = %q", rest)
	}
}
