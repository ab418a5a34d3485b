package caddyrs

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const who = "\t\tresource all\n\t\tscope use *\n\t\theader_up X-Who {http.auth.user.id}\n\t\theader_up X-Mail {http.auth.user.email}"

// TestSEC_19_Trailers: a field that is removed at the head must not come at the
// end of the body, declared or not.
func TestSEC_19_Trailers(t *testing.T) {
	f := newFront(t, protect(who)+proxy)
	(&wire1{address: f.address}).send(t, wired{method: "GET", target: "/", host: "x"})
	token := f.bearer("all", "use")
	for name, declared := range map[string]string{
		"declared": "X-Sum, Remote-User, X_Who, X-Who, Authorization", "one declared": "X-Sum", "none declared": "",
	} {
		w := &wire1{address: f.address}
		lines := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + token[0] + ": " + token[1] + "\r\n"
		if declared != "" {
			lines += "Trailer: " + declared + "\r\n"
		}
		lines += "\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nRemote-User: root\r\nX_Who: root\r\nX-Who: root\r\nAuthorization: Bearer x\r\n\r\n"
		if a := w.raw(t, []byte(lines)); a.status != 202 {
			t.Errorf("%s = %d, want 202", name, a.status)
		}
		w.close()
		for _, h := range f.backend.taken() {
			for field := range h.trailer {
				if lookAlike(field) != "x-sum" {
					t.Errorf("%s: the backend got the trailer %v", name, h.trailer)
				}
			}
			if got := h.header.Values("X-Who"); len(got) != 1 || got[0] != "u-1" {
				t.Errorf("%s: X-Who = %q", name, got)
			}
		}
	}
	t.Run("SEC-19 HTTP 2", func(t *testing.T) {
		w := &wire2{address: f.address}
		defer w.close()
		w.dial(t)
		stream, err := w.write(wired{method: "POST", target: "/", host: "x", header: append([]string{"trailer", "x-sum"}, token...), body: "x", open: true})
		if err != nil {
			t.Fatal(err)
		}
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for _, name := range []string{"x-sum", "remote-user", "x-who"} {
			_ = enc.WriteField(hpack.HeaderField{Name: name, Value: "root"})
		}
		_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		if a, err := w.read(stream); err != nil || a.status != 202 {
			t.Errorf("answer = %+v, %v", a, err)
		}
		for _, h := range f.backend.taken() {
			if h.trailer.Get("Remote-User") != "" || h.trailer.Get("X-Who") != "" {
				t.Errorf("the backend got the trailer %v", h.trailer)
			}
		}
	})
}

// TestSEC_19_Spoofing: no protocol brings a field that says who the user is.
func TestSEC_19_Spoofing(t *testing.T) {
	f := newFront(t, protect(who)+proxy)
	(&wire1{address: f.address}).send(t, wired{method: "GET", target: "/", host: "x"})
	for protocol, w := range wires(f.address) {
		for _, field := range []string{
			"X-Who", "x-who", "X_Who", "X.Who", "X~Who", "X!Who", "Remote-User", "REMOTE_USER", "Remote-Groups", "X-Forwarded-User", "X-Forwarded-Email",
			"X-Auth-Request-User", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-Uri",
			"X-Original-Method", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme",
			"Front-End-Https", "X-Url-Scheme", "X-Script-Name", "X-Envoy-Original-Path", "X-Original-Host", "X-Host", "X-HTTP-Host-Override",
			"X-Client-Cert", "X-Ssl-Client-Verify", "Client-Cert",
		} {
			header := append(f.bearer("all", "use"), field, "root", field, "root")
			a := w.send(t, wired{method: "GET", target: "/", host: "x", header: header})
			for _, h := range f.backend.taken() {
				for name, values := range h.header {
					if strings.Contains(strings.Join(values, ","), "root") {
						t.Errorf("%s: %s reached the backend as %s: %q", protocol, field, name, values)
					}
				}
				if got := h.header.Values("X-Who"); len(got) != 1 || got[0] != "u-1" {
					t.Errorf("%s, %s: X-Who = %q", protocol, field, got)
				}
			}
			if a.status != 202 && !strings.ContainsAny(field, "!~") {
				t.Errorf("%s, %s = %d, want 202", protocol, field, a.status)
			}
		}
		w.close()
	}
}

// TestSEC_19_Values: what cannot stand in a header field is absent.
func TestSEC_19_Values(t *testing.T) {
	f := newFront(t, protect(who)+proxy)
	w := &wire1{address: f.address}
	w.send(t, wired{method: "GET", target: "/", host: "x"})
	for value, want := range map[string]string{
		"bob@bob.example": "bob@bob.example", "": "", "a\r\nX-Who: root": "", "a\nb": "", "a\x00b": "", "a\tb": "", "a\x7fb": "", "a\u0085b": "",
		"{http.auth.user.id}": "", "{env.PATH}": "", "a}b": "", "é": "é", strings.Repeat("a", 1025): "", strings.Repeat("a", 1024): strings.Repeat("a", 1024),
		" ": "",
	} {
		token := f.as.rpt("all", []string{"use"}, map[string]any{"email": value})
		header := append(bearer(token), "X-Mail", "root@root.example")
		if a := w.send(t, wired{method: "GET", target: "/", host: "x", header: header}); a.status != 202 {
			t.Errorf("%q = %d", value, a.status)
		}
		for _, h := range f.backend.taken() {
			if got := strings.Join(h.header.Values("X-Mail"), "|"); got != want {
				t.Errorf("%q: X-Mail = %q, want %q", value, got, want)
			}
		}
	}
	for name, value := range map[string]any{"number": 1, "list": []string{"a"}, "object": map[string]string{"a": "b"}, "nothing": nil} {
		token := f.as.rpt("all", []string{"use"}, map[string]any{"email": value})
		w.send(t, wired{method: "GET", target: "/", host: "x", header: append(bearer(token), "X-Mail", "root@root.example")})
		for _, h := range f.backend.taken() {
			if got, there := h.header["X-Mail"]; there {
				t.Errorf("%s: X-Mail = %q, want none", name, got)
			}
		}
	}
}
