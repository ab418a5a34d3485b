package caddyrs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCA_48_UMAChallengesOfTheBackendAreRemoved(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	s.do("GET", "/", "")
	token := bearer(s.as.rpt(resource, []string{"get"}, nil))
	lines := []string{
		`UMA realm="x", as_uri="https://evil.example", ticket="t"`, `uma ticket="t"`, `Basic realm="b"`,
		`Digest realm="d", UMA ticket="t"`, `UMA ticket="unclosed`,
	}
	want := []string{`Basic realm="b"`, `Digest realm="d"`}
	for name, answer := range map[string]func(http.ResponseWriter){
		"status":  func(w http.ResponseWriter) { w.WriteHeader(401) },
		"body":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
		"flush":   func(w http.ResponseWriter) { w.(http.Flusher).Flush(); _, _ = io.WriteString(w, "x") },
		"nothing": func(http.ResponseWriter) {},
		"1xx first": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(401)
		},
	} {
		t.Run("CA-48 "+name, func(t *testing.T) {
			s.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Www-Authenticate"] = lines
				answer(w)
			}
			resp, _ := s.do("GET", "/", "", token...)
			if diff := cmp.Diff(want, resp.Header.Values("WWW-Authenticate")); diff != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("CA-48 in a 103", func(t *testing.T) {
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Www-Authenticate"] = lines
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(200)
		}
		var early []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			early = append(early, fmt.Sprint(code, h["Www-Authenticate"]))
			return nil
		}}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(token[0], token[1])
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if diff := cmp.Diff([]string{fmt.Sprint(103, want)}, early); diff != "" {
			t.Errorf("1xx (-want +got):\n%s", diff)
		}
	})
	t.Run("CA-48 in a trailer", func(t *testing.T) {
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "WWW-Authenticate")
			_, _ = io.WriteString(w, "x")
			w.Header().Set("WWW-Authenticate", lines[0])
		}
		resp, _ := s.do("GET", "/", "", token...)
		if got := resp.Trailer.Values("WWW-Authenticate"); len(got) != 0 {
			t.Errorf("trailer = %q, want none", got)
		}
	})
}

func TestSEC_21_UpgradesAreProtected(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nWWW-Authenticate: UMA ticket=\"t\"\r\n\r\n")
		_ = buf.Flush()
		line, _ := buf.ReadString('\n')
		_, _ = buf.WriteString("echo " + line)
		_ = buf.Flush()
	}
	if got := s.raw("GET / HTTP/1.1", "Host: x", "Upgrade: echo", "Connection: Upgrade"); got != 401 {
		t.Errorf("without an RPT = %d, want 401", got)
	}
	if n := s.hitCount(); n != 0 {
		t.Fatalf("the backend was reached %d times", n)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\nAuthorization: Bearer %s\r\n\r\n", s.as.rpt(resource, []string{"get"}, nil))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || resp.Header.Get("WWW-Authenticate") != "" {
		t.Fatalf("answer = %d %v", resp.StatusCode, resp.Header)
	}
	fmt.Fprintf(conn, "hello\n")
	if line, _ := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("line = %q", line)
	}
}
