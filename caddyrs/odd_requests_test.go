package caddyrs

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// everyMethod is a site whose scope covers all methods, so that nothing but the
// request itself is a reason to refuse it.
const everyMethod = "\t\tresource all\n\t\tscope use *"

func (f *front) bearer(resource string, scopes ...string) []string {
	return bearer(f.as.rpt(resource, scopes, nil))
}

// TestSEC_21_NoRPTNoHit: whatever the request, nothing reaches the backend.
func TestSEC_21_NoRPTNoHit(t *testing.T) {
	f := newFront(t, protect(everyMethod)+proxy)
	websocket := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version", "13"}
	for protocol, w := range wires(f.address) {
		w.send(t, wired{method: "GET", target: "/", host: "x"})
		forged := f.bearer("all", "get")
		forged[1] = forged[1][:len(forged[1])-4] + "AAAA"
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X", "get"} {
			for name, q := range map[string]wired{
				"bare": {}, "body": {body: "x"}, "forged": {header: forged}, "basic": {header: []string{"Authorization", "Basic eDp4"}},
				"cookie":  {header: []string{"Cookie", "access_token=" + strings.TrimPrefix(f.bearer("all", "use")[1], "Bearer ")}},
				"proxy":   {header: []string{"Proxy-Authorization", f.bearer("all", "use")[1]}},
				"upgrade": {header: websocket}, "h2c": {header: []string{"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"}},
				"expect": {header: []string{"Expect", "100-continue"}, body: "x"},
				"query":  {target: "/?access_token=" + strings.TrimPrefix(f.bearer("all", "use")[1], "Bearer ")},
				"form":   {header: []string{"Content-Type", "application/x-www-form-urlencoded"}, body: "access_token=" + strings.TrimPrefix(f.bearer("all", "use")[1], "Bearer ")},
			} {
				q.method, q.host = method, "x"
				if q.target == "" {
					q.target = "/"
				}
				if a := w.send(t, q); a.status != 0 && (a.status < 400 || a.status > 499) {
					t.Errorf("%s %s %s = %d, want a refusal", protocol, method, name, a.status)
				}
			}
		}
		w.close()
		for _, h := range f.backend.taken() {
			t.Errorf("%s: %s reached the backend", protocol, h.line)
		}
	}
}

// TestSEC_21_OtherMethodsAndTargets: a good RPT for one method opens no other.
func TestSEC_21_OtherMethodsAndTargets(t *testing.T) {
	f := newFront(t, protect("\t\tresource all\n\t\tscope get\n\t\tscope post")+proxy)
	for protocol, w := range wires(f.address) {
		w.send(t, wired{method: "GET", target: "/", host: "x"})
		get, post := f.bearer("all", "get"), f.bearer("all", "post")
		for name, q := range map[string]wired{
			"POST with get":         {method: "POST", header: get},
			"GET with post":         {method: "GET", header: post},
			"DELETE with both":      {method: "DELETE", header: f.bearer("all", "get", "post")},
			"lower case":            {method: "post", header: post},
			"override":              {method: "GET", header: append([]string{"X-HTTP-Method-Override", "DELETE"}, get...)},
			"override of POST":      {method: "POST", header: append([]string{"X-HTTP-Method-Override", "DELETE"}, post...), body: "x"},
			"override, second line": {method: "POST", header: append([]string{"X-HTTP-Method", "POST", "X-HTTP-Method", "PUT"}, post...), body: "x"},
			"override, list":        {method: "POST", header: append([]string{"X-Method-Override", "POST, PUT"}, post...), body: "x"},
			"two tokens":            {method: "GET", header: append(get, get...)},
			"token and basic":       {method: "GET", header: append([]string{"Authorization", "Basic eDp4"}, get...)},
			"CONNECT":               {method: "CONNECT", target: "x:443", header: get},
			"CONNECT with a path":   {method: "CONNECT", target: "/", protocol: "h2c", header: get},
			"connect-udp":           {method: "CONNECT", target: "/.well-known/masque/udp/127.0.0.1/53/", protocol: "connect-udp", header: get},
			"GET with a protocol":   {method: "GET", target: "/", protocol: "websocket", header: post},
			"asterisk":              {method: "OPTIONS", target: "*", header: get},
			"asterisk, GET":         {method: "GET", target: "*", header: get},
			"authority":             {method: "GET", target: "x:443", header: get},
		} {
			q.host = "x"
			if q.target == "" {
				q.target = "/"
			}
			a := w.send(t, q) // net/http answers OPTIONS * by itself
			if a.status != 0 && (a.status < 400 || a.status > 499) && name != "asterisk" {
				t.Errorf("%s %s = %d, want a refusal", protocol, name, a.status)
			}
			for _, h := range f.backend.taken() {
				t.Errorf("%s %s: %s reached the backend", protocol, name, h.line)
			}
		}
		for name, q := range map[string]wired{
			"GET": {method: "GET", header: get}, "HEAD": {method: "HEAD", header: get},
			"the same method": {method: "POST", header: append([]string{"X-HTTP-Method-Override", "post"}, post...), body: "x"},
			"a long target":   {method: "GET", target: "/" + strings.Repeat("a", 8000), header: get},
		} {
			q.host = "x"
			if q.target == "" {
				q.target = "/"
			}
			if a := w.send(t, q); a.status != 202 || len(f.backend.taken()) != 1 {
				t.Errorf("%s %s = %d, want 202", protocol, name, a.status)
			}
		}
		if a := w.send(t, wired{method: "GET", target: "/" + strings.Repeat("a", 2<<20), host: "x", header: get}); a.status == 202 || len(f.backend.taken()) != 0 {
			t.Errorf("%s: a target of 2 MiB = %d", protocol, a.status)
		}
		w.close()
	}
}

// TestSEC_21_Smuggling: a body that the backend could take for a second request,
// or a head that two programs read in two ways.
func TestSEC_21_Smuggling(t *testing.T) {
	f := newFront(t, protect("\t\tresource admin /admin/*\n\t\tresource rest\n\t\tscope use *")+proxy)
	w := &wire1{address: f.address}
	w.send(t, wired{method: "GET", target: "/", host: "x"})
	token := "Authorization: " + f.bearer("rest", "use")[1] + "\r\n"
	second := "GET /admin/x HTTP/1.1\r\nHost: x\r\n\r\n"
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(second), second)
	for name, request := range map[string]string{
		"both lengths":        "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"lengths differ":      "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + second,
		"length list":         "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 0, 40\r\n\r\n" + second,
		"length +":            "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: +40\r\n\r\n" + second,
		"length 0x":           "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 0x10\r\n\r\n" + second,
		"length with a space": "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length : 40\r\n\r\n" + second,
		"negative":            "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: -1\r\n\r\n" + second,
		"xchunked":            "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: xchunked\r\n\r\n" + chunked,
		"chunked twice":       "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked,
		"gzip, chunked":       "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked,
		"tab chunked":         "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n\r\n" + chunked,
		"vertical tab":        "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: \vchunked\r\n\r\n" + chunked,
		"folded":              "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunked,
		"bare LF":             "POST /x HTTP/1.1\nHost: x\n" + strings.ReplaceAll(token, "\r", "") + "Content-Length: 0\n\n" + second,
		"bare CR":             "POST /x HTTP/1.1\r\nHost: x\r\nX: a\rGET /admin/x HTTP/1.1\r\n" + token + "\r\n",
		"NUL":                 "POST /x HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n" + token + "\r\n",
		"bad chunk":           "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nabcde\r\n0\r\n\r\n" + second,
		"chunk overflow":      "POST /x HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n" + second,
		"two hosts":           "GET /x HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + token + "\r\n",
		"no host":             "GET /x HTTP/1.1\r\n" + token + "\r\n",
		"space in the line":   "GET /x /admin/x HTTP/1.1\r\nHost: x\r\n" + token + "\r\n",
		"two versions":        "GET /admin/x HTTP/1.1 HTTP/1.1\r\nHost: x\r\n" + token + "\r\n",
		"version 1.2":         "GET /admin/x HTTP/1.2\r\nHost: x\r\n" + token + "\r\n",
		"version 0.9":         "GET /admin/x\r\n\r\n",
		"version 1.0":         "GET /admin/x HTTP/1.0\r\n" + token + "\r\n",
		"space before a name": "GET /x HTTP/1.1\r\n Host: x\r\n" + token + "\r\n",
		"space in a name":     "GET /x HTTP/1.1\r\nHost: x\r\nX-HTTP Method: DELETE\r\n" + token + "\r\n",
		"body of GET":         fmt.Sprintf("GET /x HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", token, len(second), second),
		"body of an upgrade":  fmt.Sprintf("GET /x HTTP/1.1\r\nHost: x\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n%s", token, len(second), second),
		"pipelined":           "GET /x HTTP/1.1\r\nHost: x\r\n" + token + "\r\n" + second,
		"PRI":                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"h2c":                 "GET /x HTTP/1.1\r\nHost: x\r\n" + token + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n" + second,
	} {
		w.raw(t, []byte(request))
		w.close()
		for _, h := range f.backend.taken() {
			if !strings.Contains(h.line, " /x HTTP/1.1") || h.more != 0 || h.header == nil {
				t.Errorf("%s: the backend got %q and %d bytes more", name, h.line, h.more)
			}
		}
	}
}

// TestSEC_21_PseudoHeaders: fields that HTTP/2 and 3 do not allow.
func TestSEC_21_PseudoHeaders(t *testing.T) {
	f := newFront(t, protect("\t\tresource admin /admin/*\n\t\tresource rest")+proxy)
	for protocol, w := range wires(f.address) {
		if protocol == "HTTP 1.1" {
			w.close()
			continue
		}
		w.send(t, wired{method: "GET", target: "/", host: "x"})
		token := f.bearer("rest", "get")
		for name, header := range map[string][]string{
			"second path":       {":path", "/admin/x"},
			"second method":     {":method", "DELETE"},
			"second authority":  {":authority", "y"},
			"status":            {":status", "200"},
			"unknown":           {":x", "y"},
			"late":              {"a", "b", ":path", "/admin/x"},
			"protocol":          {":protocol", "websocket"},
			"connection":        {"connection", "x-who"},
			"transfer-encoding": {"transfer-encoding", "chunked"},
			"upgrade":           {"upgrade", "websocket"},
			"te":                {"te", "gzip"},
			"line break":        {"x", "a\r\nx-http-method: DELETE"},
			"line break, name":  {"x\r\ny", "a"},
			"space, name":       {"x y", "a"},
			"host":              {"host", "y"},
			"length":            {"content-length", "5"},
		} {
			w.send(t, wired{method: "GET", target: "/x", host: "x", header: append(header, token...)})
			for _, h := range f.backend.taken() {
				if h.line != "GET /x HTTP/1.1" || h.more != 0 || h.header == nil || h.header.Get("X-Http-Method") != "" {
					t.Errorf("%s, %s: the backend got %q %v", protocol, name, h.line, h.header)
				}
			}
		}
		for name, q := range map[string]wired{
			"no path":          {method: "GET", target: "", host: "x"},
			"path with a line": {method: "GET", target: "/x HTTP/1.1\r\nHost: x\r\n\r\nGET /admin/x", host: "x"},
			"path with spaces": {method: "GET", target: "/x /admin/x", host: "x"},
			"method and path":  {method: "GET /admin/x HTTP/1.1\r\nx:", target: "/x", host: "x"},
			"host and path":    {method: "GET", target: "/x", host: "x/admin/x?"},
			"host with a line": {method: "GET", target: "/x", host: "x\r\nX-HTTP-Method: DELETE"},
		} {
			q.header = token
			w.send(t, q)
			for _, h := range f.backend.taken() {
				if h.line != "GET /x HTTP/1.1" && h.line != "GET /x%20/admin/x HTTP/1.1" || h.header == nil || h.header.Get("X-Http-Method") != "" {
					t.Errorf("%s, %s: the backend got %q %v", protocol, name, h.line, h.header)
				}
			}
		}
		w.close()
	}
}

// TestSEC_21_UnderscoresOfMethods: Caddy drops names with _ by default; where an
// administrator lets them in they are read as backends do.
func TestSEC_21_UnderscoresOfMethods(t *testing.T) {
	for name := range map[string]bool{"X_HTTP_Method_Override": true, "X.Method.Override": true, "x~http~method": true} {
		r := requestWith(false, http.Header{http.CanonicalHeaderKey(name): {"DELETE"}})
		if unclear(r) == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}
