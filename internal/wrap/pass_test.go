package wrap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// site is a server with the front before a provider.
func site(t *testing.T, op *fakeOP) *httptest.Server {
	t.Helper()
	f := newFront(t, nil)
	know(t, f, op)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.ServeHTTP(w, r, op); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func do(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func request1(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStreams: the first half of an answer arrives while the provider still waits
// for the second half of the request, at its token endpoint too once the form is
// there.
func TestStreams(t *testing.T) {
	op := newOP()
	op.serve = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != theirToken {
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		_, _ = io.WriteString(w, "first;")
		w.(http.Flusher).Flush()
		rest, _ := io.ReadAll(r.Body)
		_, _ = w.Write(rest)
	}
	s := site(t, op)
	read, write := io.Pipe()
	res := do(t, request1(t, http.MethodPost, s.URL+"/dex/stream", read))
	first := make([]byte, len("first;"))
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first;" {
		t.Fatalf("first half = %q, %v", first, err)
	}
	_, _ = io.WriteString(write, "second")
	_ = write.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "second" {
		t.Errorf("second half = %q, %v", rest, err)
	}
}

func TestPassesUntouched(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, "hello")
	_ = z.Close()
	op := newOP()
	op.serve = func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", `"v1"`)
		h.Set("X-Authorization", r.Header.Get("Authorization"))
		h.Set("X-Body", fmt.Sprint(r.ContentLength))
		h.Set("X-Encoding", r.Header.Get("Accept-Encoding"))
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Link", "</x>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Content-Encoding", "gzip")
		h.Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(packed.Bytes())
		h.Set("X-Sum", "abc")
	}
	s := site(t, op)
	for _, path := range []string{"/dex/other", theirToken, "/dex/.well-known/openid-configuration/x", theirKeys + "/x"} {
		r := request1(t, http.MethodPost, s.URL+path, strings.NewReader("a=b"))
		r.Header.Set("Content-Type", formType)
		r.Header.Set("Accept-Encoding", "gzip, zstd")
		r.SetBasicAuth("theirs", "s%c:ret")
		var hints []int
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil },
		}))
		res := do(t, r)
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusTeapot || !bytes.Equal(body, packed.Bytes()) {
			t.Errorf("%s: %d %q, %v", path, res.StatusCode, body, err)
		}
		if len(hints) != 1 || res.Trailer.Get("X-Sum") != "abc" || res.Header.Get("ETag") != `"v1"` {
			t.Errorf("%s: hints %v, trailer %v, header %v", path, hints, res.Trailer, res.Header)
		}
		if res.Header.Get("X-Authorization") != r.Header.Get("Authorization") || res.Header.Get("X-Body") != "3" ||
			res.Header.Get("X-Encoding") != "gzip, zstd" {
			t.Errorf("%s: the provider got other header fields: %v", path, res.Header)
		}
		r = request1(t, http.MethodHead, s.URL+path, nil)
		r.Header.Set("If-None-Match", `"v1"`)
		if res := do(t, r); res.StatusCode != http.StatusNotModified {
			t.Errorf("%s: HEAD with If-None-Match = %d, want 304", path, res.StatusCode)
		}
	}
}

// TestUpgrades: a connection that changes its protocol stays one.
func TestUpgrades(t *testing.T) {
	op := newOP()
	op.serve = func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + line)
		_ = rw.Flush()
	}
	s := site(t, op)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET /dex/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer = %v, %v", res, err)
	}
	_ = res.Body.Close()
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := reader.ReadString('\n'); err != nil || line != "echo hello\n" {
		t.Errorf("echo = %q, %v", line, err)
	}
}

// TestRequestTrailers: a body of unknown length keeps its trailers.
func TestRequestTrailers(t *testing.T) {
	op := newOP()
	op.serve = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %d %s", body, r.ContentLength, r.Trailer.Get("X-Sum"))
	}
	s := site(t, op)
	r := request1(t, http.MethodPost, s.URL+theirToken, io.MultiReader(strings.NewReader("a=b")))
	r.Header.Set("Content-Type", formType)
	r.Trailer = http.Header{"X-Sum": {"abc"}}
	body, err := io.ReadAll(do(t, r).Body)
	if err != nil || string(body) != "a=b -1 abc" {
		t.Errorf("the provider got %q, %v", body, err)
	}
}

// TestErrorsAreHandedOn: an error of the next handler is its own.
func TestErrorsAreHandedOn(t *testing.T) {
	f := newFront(t, merging("ES256"))
	know(t, f, newOP())
	down := next(func(http.ResponseWriter, *http.Request) error { return context.DeadlineExceeded })
	for _, r := range []*http.Request{
		post("/dex/x", formType, "a=b"), post(theirToken, formType, "a=b"),
		get(theirKeys), get("/dex/.well-known/openid-configuration"),
	} {
		w := httptest.NewRecorder()
		if err := f.ServeHTTP(w, r, down); !errors.Is(err, context.DeadlineExceeded) || w.Body.Len() > 0 {
			t.Errorf("%s: error %v, body %q", r.URL, err, w.Body)
		}
	}
}

func get(path string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "https://sso.bob.example"+path, nil)
}
