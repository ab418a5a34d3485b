package caddyrs

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestSEC_21_Files: what stands behind the protection may be Caddy itself, which
// reads paths by its own rules.
func TestSEC_21_Files(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"admin/x": "the secret", "x/y": "public", "index.php": "the front controller"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	guarded := strings.Replace(protect("\t\tresource admin"), "uma_protect ", "uma_protect /admin/* ", 1)
	for name, site := range map[string]string{
		"file_server": "\troot " + root + "\n\tfile_server\n",
		"try_files":   "\troot " + root + "\n\troute {\n\t\ttry_files {path} {path}/index.php /index.php\n\t\tfile_server\n\t}\n",
		"browse":      "\troot " + root + "\n\tfile_server browse\n",
		"respond":     "\thandle /admin/* {\n\t\trespond \"the secret\"\n\t}\n\trespond public\n",
		"strip":       "\troot " + root + "/admin\n\thandle_path /admin/* {\n\t\tfile_server\n\t}\n\trespond public\n",
	} {
		t.Run("SEC-21 "+name, func(t *testing.T) {
			f := newFront(t, guarded+site)
			for protocol, w := range wires(f.address) {
				w.send(t, wired{method: "GET", target: "/admin/x", host: "x"})
				token := f.bearer("admin", "get")
				if a := w.send(t, wired{method: "GET", target: "/admin/x", host: "x", header: token}); a.body != "the secret" {
					t.Errorf("%s: with an RPT = %d %q", protocol, a.status, a.body)
				}
				for _, target := range corpus(t, "targets.txt") {
					if a := w.send(t, wired{method: "GET", target: target, host: "x"}); strings.Contains(a.body, "the secret") {
						t.Errorf("%s: %q without an RPT gives the secret", protocol, target)
					}
				}
				w.close()
			}
		})
	}
}

// TestSEC_23_Exposed: a page sees what it needs for the dance, in each refusal.
func TestSEC_23_Exposed(t *testing.T) {
	s := newSite(t, protect("\t\tcors https://app.example")+proxy)
	want := []string{"WWW-Authenticate", "Warning", "DPoP-Nonce"}
	check := func(name string, header http.Header) {
		t.Helper()
		for _, field := range want {
			if !strings.Contains(strings.Join(header.Values("Access-Control-Expose-Headers"), ","), field) {
				t.Errorf("%s: %s is not exposed: %v", name, field, header)
			}
		}
		if header.Get("Access-Control-Allow-Credentials") != "" || header.Get("Vary") == "" {
			t.Errorf("%s: header = %v", name, header)
		}
	}
	origin := []string{"Origin", "https://app.example"}
	resp, _ := s.do("GET", "/", "", origin...)
	check("401", resp.Header)
	resp, _ = s.do("DELETE", "/", "", origin...)
	check("403", resp.Header)
	resp, _ = s.do("GET", "/", "", append(bearer(s.as.rpt(resource, []string{"get"}, nil)), origin...)...)
	check("the backend's answer", resp.Header)
	s.as.down = true
	resp, _ = s.do("GET", "/", "", origin...)
	check(resp.Header.Get("Warning"), resp.Header)
	resp, _ = s.do("GET", "/", "", "Origin", "https://evil.example")
	if resp.Header.Get("Access-Control-Expose-Headers") != "" {
		t.Errorf("a stranger: header = %v", resp.Header)
	}
}

// TestUG_65_Head: the refusal of HEAD has the head of that of GET and no body.
func TestUG_65_Head(t *testing.T) {
	f := newFront(t, protect("\t\tresource \"secret diary\"\n\t\tscope get\n\t\tscope read-all POST\n\t\towner alice")+proxy)
	for protocol, client := range clients(t) {
		for _, accept := range []string{"application/json", "text/html"} {
			get, err := client.Do(f.request(t, "GET", nil, "Accept", accept))
			if err != nil {
				t.Fatal(protocol, err)
			}
			head, err := client.Do(f.request(t, "HEAD", nil, "Accept", accept))
			if err != nil {
				t.Fatal(protocol, err)
			}
			_ = get.Body.Close()
			_ = head.Body.Close()
			if head.StatusCode != 401 || head.ContentLength != get.ContentLength || head.ContentLength <= 0 {
				t.Errorf("%s: HEAD = %d with %s bytes, GET has %s", protocol, head.StatusCode,
					strconv.FormatInt(head.ContentLength, 10), strconv.FormatInt(get.ContentLength, 10))
			}
			for name, values := range head.Header {
				for _, word := range []string{"diary", "alice", "read-all"} {
					if strings.Contains(strings.Join(values, " "), word) {
						t.Errorf("%s: %s tells of %q: %q", protocol, name, word, values)
					}
				}
			}
		}
	}
}
