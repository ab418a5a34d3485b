package caddyrs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

func TestProvision_Errors(t *testing.T) {
	const head = "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp:// {\n"
	for _, c := range []struct{ name, lines, want string }{
		{"unset variable", "\t\tclient_secret {env.UMA_TEST_NOT_SET}", "uma_protect: client_secret is empty: environment variable UMA_TEST_NOT_SET is not set"},
		{"request placeholder", "\t\tclient_secret {file.secret}", "client_secret: '{file.secret}' is a request placeholder inside a site; use an absolute path: {file./path/to/secret}"},
		{"demo secret", "\t\tclient_secret example-only-change-me-0000000000", "client_secret is the one of the example"},
		{"short secret", "\t\tclient_secret short", "client_secret is shorter than 32 characters"},
		{"no such CA file", "\t\ttrust_pool file /nowhere/ca.pem", "trust_pool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tryProvision(t, head+protect(c.lines)+"\trespond x\n}\n")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %s", err, c.want)
			}
		})
	}
	secret := "\t\tclient_secret {file." + filepath.Join(t.TempDir(), "s") + "}"
	if _, err := tryProvision(t, head+protect(secret)+"\trespond x\n}\n"); err == nil {
		t.Error("a secret file that is absent is accepted")
	}
}

func TestCleanup_ReturnsWhatWasTaken(t *testing.T) {
	h := new(Handler)
	key := limiterKey{t.Name(), "tickets"}
	built := 0
	for range 2 {
		if _, err := h.take(key, func() (caddy.Destructor, error) { built++; return limiter{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n, there := pool.References(key); built != 1 || !there || n != 2 {
		t.Errorf("built %d times, references = %d %v", built, n, there)
	}
	if err := h.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if _, there := pool.References(key); there {
		t.Error("the entry is still there")
	}
	if err := h.Cleanup(); err != nil {
		t.Errorf("a second Cleanup = %v", err)
	}
}

func TestTransport_NoSecretNoNetwork(t *testing.T) {
	s := newSite(t, strings.Replace(protect(""), issuer, "https://elsewhere.example", 1)+proxy)
	resp, _ := s.do("GET", "/", "")
	if resp.StatusCode != 403 || resp.Header.Get("Warning") == "" || len(s.as.asked) != 0 {
		t.Errorf("answer = %d %v after %v", resp.StatusCode, resp.Header, s.as.asked)
	}
}

func TestHandOver_IsBounded(t *testing.T) {
	r := httptest.NewRequest("GET", "https://as.example/x?y=1", nil)
	resp := handOver(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/x?y=1" || r.Host != "as.example" {
			t.Errorf("request = %s %s", r.Host, r.RequestURI)
		}
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("X-A", "1")
		w.WriteHeader(201)
		w.Header().Set("X-A", "2")
		if _, err := w.Write(make([]byte, maxRecorded+1)); err == nil {
			t.Error("an endless answer is kept")
		}
	}), r)
	defer resp.Body.Close()
	if resp.StatusCode != 201 || resp.Header.Get("X-A") != "1" {
		t.Errorf("answer = %d %v", resp.StatusCode, resp.Header)
	}
	if handedOver(rs.CallToken) || handedOver(rs.CallRegistration) || !handedOver(rs.CallPermission) {
		t.Error("a call with a secret is handed over")
	}
}

// TestOA_13_LargestStatusListInTheProcess: the engine reads it over the network, too.
func TestOA_13_LargestStatusListInTheProcess(t *testing.T) {
	resp := handOver(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write(make([]byte, statuslist.MaxToken)); err != nil {
			t.Error(err)
		}
	}), httptest.NewRequest("GET", "https://as.example/status/1", nil))
	_ = resp.Body.Close()
	if resp.ContentLength != statuslist.MaxToken {
		t.Errorf("%d bytes, want %d", resp.ContentLength, statuslist.MaxToken)
	}
}

// TestUF_20_ReloadDuplicatesNothing: two configurations with one authorization
// server, one after the other.
func TestUF_20_ReloadDuplicatesNothing(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	s.do("GET", "/", "")
	again := newSite(t, protect("")+proxy)
	again.as.names = append(again.as.names, s.as.names...)
	again.do("GET", "/", "")
	if len(again.as.names) != 1 {
		t.Errorf("registered = %v, want one", again.as.names)
	}
}

// TestUF_20_TwoDirectivesOneResource start at once with the same client id.
func TestUF_20_TwoDirectivesOneResource(t *testing.T) {
	var body strings.Builder
	for i := range 4 {
		fmt.Fprintf(&body, "\tuma_protect /%d/* %s {\n\t\tclient_id api\n\t\trate_limit off\n\t\trealm r%d\n\t}\n", i, issuer, i)
	}
	s := newSite(t, body.String()+proxy)
	done := make(chan int)
	for i := range 4 {
		go func() {
			resp, err := http.Get(fmt.Sprintf("%s/%d/x", s.url, i))
			if err != nil {
				t.Error(err)
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
	}
	for range 4 {
		if got := <-done; got != 401 {
			t.Errorf("status = %d, want 401", got)
		}
	}
	if len(s.as.names) != 1 {
		t.Errorf("registered = %v, want one", s.as.names)
	}
}
