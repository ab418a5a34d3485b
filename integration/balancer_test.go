package integration_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestBalancer(t *testing.T) {
	w := newBalanced(t)
	https := http.Header{"X-Forwarded-Proto": {"https"}}
	paths := map[string]string{"as": "/.well-known/uma2-configuration", "bob": "/.well-known/openid-configuration", "api": "/"}
	t.Run("SEC-24 who may say that it was TLS", func(t *testing.T) {
		good := map[string]int{"as": 200, "bob": 200, "api": 401}
		for host, path := range paths {
			for name, tc := range map[string]struct {
				from   string
				header http.Header
				want   int
			}{
				"a trusted proxy":                 {"127.0.0.1", https, good[host]},
				"nobody says it":                  {"127.0.0.1", nil, 403},
				"http":                            {"127.0.0.1", http.Header{"X-Forwarded-Proto": {"http"}}, 403},
				"twice":                           {"127.0.0.1", http.Header{"X-Forwarded-Proto": {"https", "https"}}, 403},
				"twice, the first one says http":  {"127.0.0.1", http.Header{"X-Forwarded-Proto": {"http", "https"}}, 403},
				"a list":                          {"127.0.0.1", http.Header{"X-Forwarded-Proto": {"https, http"}}, 403},
				"odd":                             {"127.0.0.1", http.Header{"X-Forwarded-Proto": {"https\t;x"}}, 403},
				"in Forwarded":                    {"127.0.0.1", http.Header{"Forwarded": {"proto=https"}}, 403},
				"with an underscore":              {"127.0.0.1", http.Header{"X_forwarded_proto": {"https"}}, 403},
				"somebody else":                   {"127.0.0.2", https, 403},
				"somebody else, for a trusted IP": {"127.0.0.2", http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"127.0.0.1"}}, 403},
			} {
				if a := w.direct(0, tc.from, host, path, tc.header); a.status != tc.want || a.status == 403 && a.header.Get("WWW-Authenticate") != "" {
					t.Errorf("SEC-24 %s %s: %d %s, want %d", host, name, a.status, a.text, tc.want)
				}
			}
		}
		text, err := os.ReadFile(filepath.Join(w.dir, "log"))
		for _, why := range []string{"not among trusted_proxies", "says nothing about TLS", "sent X-Forwarded-Proto twice"} {
			if n := strings.Count(string(text), why); err != nil || n != 3 { // once for each of three handlers
				t.Errorf("%d lines %q, %v", n, why, err)
			}
		}
	})
	t.Run("SEC-24 what is published is https and not from the request", func(t *testing.T) {
		for _, header := range []http.Header{nil, {"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example;proto=http"}}} {
			for host, path := range map[string]string{
				"as": paths["as"], "evil": paths["as"], "bob": paths["bob"], "api": "/.well-known/oauth-protected-resource",
			} {
				a := w.get(w.url(host, path), header)
				if a.status != 200 || strings.Contains(a.text, "http://") || strings.Contains(a.text, "evil") || !strings.Contains(a.text, "https://as.localhost:"+w.port) && host != "bob" {
					t.Errorf("%s: %d %s", host, a.status, a.text)
				}
			}
			a := w.get(w.url("api", "/"), header)
			if got := a.header.Get("WWW-Authenticate"); a.status != 401 || strings.Contains(got, "http://") || strings.Contains(got, "evil") {
				t.Errorf("%d %s", a.status, got)
			}
		}
	})
	t.Run("CA-43 the nine steps", func(t *testing.T) {
		for range 4 { // each step at one node or the other
			if ok := w.askAsBob(); ok.status != http.StatusOK {
				t.Errorf("%d %s", ok.status, ok.text)
			}
		}
	})
	t.Run("DP-03 the htu of a proof is the URL that the client called", func(t *testing.T) {
		res, err := w.provingRQP(w.client.Transport).Do(w.newRequest(w.url("api", "/photos?size=large")))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("SEC-16 the pages of the provider", func(t *testing.T) {
		browser := *w.client
		browser.Jar, _ = cookiejar.New(nil)
		res, err := browser.Do(w.pageRequest(w.loginPage("http://127.0.0.1:7777/callback"), nil))
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || len(res.Cookies()) == 0 {
			t.Fatalf("%d %v %s", res.StatusCode, res.Header, page)
		}
		for _, c := range res.Cookies() {
			if !c.Secure || !strings.HasPrefix(c.Name, "__Host-") {
				t.Errorf("cookie %v", c)
			}
		}
	})
	t.Run("SEC-24 the client's address is the one that the balancer tells", func(t *testing.T) {
		ask := func(header http.Header) int {
			return w.direct(0, "127.0.0.1", "api", "/", header).status
		}
		as := func(ip string) http.Header {
			return http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {ip}}
		}
		status := 0
		for range 31 {
			status = ask(as("203.0.113.7"))
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("after 31 requests of one address: %d, want 429", status)
		}
		if got := ask(as("203.0.114.7")); got != http.StatusUnauthorized {
			t.Errorf("another address: %d, want 401", got)
		}
	})
}

// TestBalancer_Shutdown: a node that is told to stop says so to the balancer, serves
// for shutdown_delay what still comes, and no request is lost.
func TestBalancer_Shutdown(t *testing.T) {
	w := newBalanced(t)
	if ok := w.askAsBob(); ok.status != http.StatusOK {
		t.Fatalf("%d %s", ok.status, ok.text)
	}
	var asked, lost atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			asked.Add(1)
			res, err := w.client.Get(w.url("as", "/.well-known/uma2-configuration"))
			if err != nil {
				lost.Add(1)
				continue
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				lost.Add(1)
			}
		}
	}()
	ended := make(chan struct{})
	go func() { defer close(ended); w.stopNode() }()
	w.awaitNodes(true, false)
	select {
	case <-ended:
		t.Error("the node is gone at once")
	default: // shutdown_delay passes
	}
	if a := w.direct(1, "127.0.0.1", "as", "/.well-known/uma2-configuration", http.Header{"X-Forwarded-Proto": {"https"}}); a.status != http.StatusOK {
		t.Errorf("the node does not serve while it waits: %d %s", a.status, a.text)
	}
	<-ended
	cancel()
	<-done
	if lost.Load() > 0 || asked.Load() < 10 {
		t.Errorf("%d of %d requests were lost", lost.Load(), asked.Load())
	}
	t.Run("CA-43 the other node goes on", func(t *testing.T) {
		if ok := w.askAsBob(); ok.status != http.StatusOK {
			t.Errorf("%d %s", ok.status, ok.text)
		}
	})
}
