package caddyrs

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// site is a whole Caddy configuration with a backend and an authorization

// server of the same process.

// newSite serves the body of a site; BACKEND stands for the backend.

// do sends a request; header holds name, value pairs.

// raw sends lines as they are and gives the status.

// bearer gives the Authorization header for do.

// protect is the directive with further lines. Limits outlive a configuration

// and so would be shared by tests.

const proxy = "\treverse_proxy BACKEND\n"

func TestCA_42_BackendIsReachedOnlyWithRPT(t *testing.T) {
	s := newSite(t, protect("\t\tscope get\n\t\tscope post")+proxy)
	resp, body := s.do("GET", "/x", "")
	if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `UMA as_uri="https://as.example", ticket="ticket-1"`) {
		t.Fatalf("answer = %d %v %s", resp.StatusCode, resp.Header, body)
	}
	for name, token := range map[string]string{
		"none": "", "garbage": "x", "other scope": s.as.rpt(resource, []string{"post"}, nil),
		"other RS": s.as.rpt(resource, []string{"get"}, map[string]any{"aud": "https://b.example"}),
	} {
		if resp, _ := s.do("GET", "/x", "", bearer(token)...); resp.StatusCode != 401 {
			t.Errorf("%s = %d, want 401", name, resp.StatusCode)
		}
	}
	if n := s.hitCount(); n != 0 {
		t.Fatalf("the backend was reached %d times", n)
	}
	resp, body = s.do("GET", "/x", "", bearer(s.as.rpt(resource, []string{"get"}, nil))...)
	if resp.StatusCode != http.StatusAccepted || body != "from the backend" || resp.Header.Get("X-Backend") != "yes" {
		t.Errorf("answer = %d %v %q, want the backend's", resp.StatusCode, resp.Header, body)
	}
	if s.as.asked[0] != "api" {
		t.Errorf("the authorization server was asked as %v, want api", s.as.asked)
	}
	for _, v := range s.as.context {
		if v != nil {
			t.Error("the authorization server saw the context of the request")
		}
	}
}

func TestCA_41_RequestIsUnchanged(t *testing.T) {
	s := newSite(t, protect("\t\tscope use *")+proxy)
	s.do("GET", "/", "")
	token := s.as.rpt(resource, []string{"use"}, nil)
	s.do("PATCH", "/a%2Fb/c;d=1/%C3%A4?q=%20&access_token=x", "the body", append(bearer(token), "X-Own", "1")...)
	r, body := s.lastHit()
	if r.Method != "PATCH" || r.RequestURI != "/a%2Fb/c;d=1/%C3%A4?q=%20&access_token=x" || body != "the body" || r.Header.Get("X-Own") != "1" {
		t.Errorf("backend got %s %s %q %v", r.Method, r.RequestURI, body, r.Header)
	}
	t.Run("SEC-20 credentials are not forwarded", func(t *testing.T) {
		s.do("GET", "/", "", append(bearer(token), "DPoP", "proof")...)
		r, _ := s.lastHit()
		if r.Header.Get("Authorization") != "" || r.Header.Get("DPoP") != "" {
			t.Errorf("header = %v, want neither Authorization nor DPoP", r.Header)
		}
	})
	t.Run("SEC-20 forward_authorization", func(t *testing.T) {
		s := newSite(t, protect("\t\tforward_authorization")+proxy)
		s.do("GET", "/", "")
		token := s.as.rpt(resource, []string{"get"}, nil)
		s.do("GET", "/", "", append(bearer(token), "DPoP", "proof")...)
		r, _ := s.lastHit()
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("DPoP") != "proof" {
			t.Errorf("header = %v, want both", r.Header)
		}
	})
}

func TestPlaceholders(t *testing.T) {
	s := newSite(t, protect("")+"\trespond \"{http.auth.user.id}|{http.auth.user.issuer}|{http.auth.user.client_id}|{http.auth.user.resource}|{http.auth.user.scopes}|{http.auth.user.decision_id}|{http.auth.user.email}|{http.auth.user.evil}\"\n")
	s.do("GET", "/", "")
	_, body := s.do("GET", "/", "", bearer(s.as.rpt(resource, []string{"get"}, map[string]any{
		"email": "bob@bob.example", "evil": "{env.PATH}",
	}))...)
	if want := "u-1|https://as.example|caddy-uma|https://api.example|get|d-1|bob@bob.example|{http.auth.user.evil}"; body != want {
		t.Errorf("body = %q, want %q", body, want)
	}
}

func TestSEC_19_IdentityHeaders(t *testing.T) {
	s := newSite(t, protect("\t\theader_up X-Who {http.auth.user.email}\n\t\theader_up Remote-User {http.auth.user.id}\n\t\theader_up X-None {http.auth.user.name}")+proxy)
	s.do("GET", "/", "")
	token := s.as.rpt(resource, []string{"get"}, map[string]any{"email": "bob@bob.example", "name": "a\r\nX-Admin: 1"})
	spoofed := []string{
		"X-Who", "x", "X_Who", "x", "X.Who", "x", "Remote-User", "root", "Remote_User", "root", "REMOTE_USER", "root",
		"Remote-Email", "x", "Remote-Groups", "x", "Remote-Name", "x", "X-Forwarded-User", "x", "X_Forwarded_User", "x",
		"X-None", "x", "X-Original-URL", "/admin", "X-Rewrite-URL", "/admin", "X_Forwarded_Host", "evil.example",
		"X-Forwarded-Client-Cert", "x", "X-Ssl-Client-Verify", "SUCCESS", "Connection", "Remote-User, X-Who",
	}
	s.do("GET", "/", "", append(bearer(token), spoofed...)...)
	r, _ := s.lastHit()
	for i := 0; i < len(spoofed); i += 2 {
		name := http.CanonicalHeaderKey(spoofed[i])
		want := map[string]string{"X-Who": "bob@bob.example", "Remote-User": "u-1"}[name]
		if got := strings.Join(r.Header[name], ","); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if r.Header.Get("X-Admin") != "" {
		t.Error("a claim has become a header field of its own")
	}
}

func TestUG_11_ASDown(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	s.as.down = true
	resp, _ := s.do("GET", "/", "")
	if resp.StatusCode != 403 || resp.Header.Get("Warning") != `199 - "UMA Authorization Server Unreachable"` || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("answer = %d %v", resp.StatusCode, resp.Header)
	}
	if n := s.hitCount(); n != 0 {
		t.Errorf("the backend was reached %d times", n)
	}
}

func TestSEC_21_HandleErrorsNeverReachTheBackend(t *testing.T) {
	// The limit outlives a reload, so each run has settings of its own.
	s := newSite(t, protect(fmt.Sprintf("\t\trate_limit 1 1m\n\t\trealm %d", time.Now().UnixNano()))+proxy+"\thandle_errors {\n\t\treverse_proxy BACKEND\n\t}\n")
	for _, want := range []int{401, 429} {
		if resp, _ := s.do("GET", "/", "body", "Authorization", "Bearer x"); resp.StatusCode != want {
			t.Errorf("status = %d, want %d", resp.StatusCode, want)
		}
	}
	if resp, _ := s.do("POST", "/", "body"); resp.StatusCode != 403 {
		t.Errorf("POST = %d, want 403", resp.StatusCode)
	}
	if n := s.hitCount(); n != 0 {
		t.Errorf("the backend was reached %d times", n)
	}
}

func TestErrorsPass(t *testing.T) {
	s := newSite(t, protect("\t\terrors pass")+proxy+"\thandle_errors {\n\t\trespond \"page {err.status_code} [{http.request.header.Authorization}]\"\n\t}\n")
	resp, body := s.do("GET", "/", "", "Authorization", "Bearer x")
	if resp.StatusCode != 401 || body != "page 401 []" || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "UMA ") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer = %d %v %q", resp.StatusCode, resp.Header, body)
	}
	if n := s.hitCount(); n != 0 {
		t.Errorf("the backend was reached %d times", n)
	}
}

func TestOA_25_DocumentIsPublic(t *testing.T) {
	for name, matcher := range map[string]string{"all": "", "with a matcher": "/private/* "} {
		t.Run("OA-25 "+name, func(t *testing.T) {
			s := newSite(t, strings.Replace(protect(""), "uma_protect ", "uma_protect "+matcher, 1)+proxy)
			resp, body := s.do("GET", "/.well-known/oauth-protected-resource", "")
			if resp.StatusCode != 200 || !strings.Contains(body, `"resource":"https://api.example"`) || !strings.Contains(body, `"authorization_servers":["https://as.example"]`) {
				t.Errorf("answer = %d %s", resp.StatusCode, body)
			}
			if n := s.hitCount(); n != 0 {
				t.Errorf("the backend was reached %d times", n)
			}
			if len(s.as.names) != 0 {
				t.Errorf("registered = %v, want nothing yet", s.as.names)
			}
		})
	}
	s := newSite(t, protect("")+proxy)
	if resp, _ := s.do("GET", "/.well-known/oauth-protected-resource/other", ""); resp.StatusCode != 401 {
		t.Errorf("another document = %d, want 401", resp.StatusCode)
	}
}

func TestOneEngineForAllRoutes(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	s.do("GET", "/.well-known/oauth-protected-resource", "")
	s.do("GET", "/", "")
	if len(s.as.names) != 1 {
		t.Errorf("registered = %v, want one", s.as.names)
	}
}

func TestGroup_MostSpecificPathWins(t *testing.T) {
	s := newSite(t, "\tuma_protect "+issuer+" {\n\t\tclient_id api\n\t\tresource all\n\t\trate_limit off\n\t}\n"+
		"\tuma_protect /b/* "+issuer+" {\n\t\tclient_id api\n\t\tresource b\n\t\trate_limit off\n\t}\n"+proxy)
	s.do("GET", "/", "")
	s.do("GET", "/b/x", "")
	all, b := s.as.rpt("all", []string{"get"}, nil), s.as.rpt("b", []string{"get"}, nil)
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/x", all, 202},
		{"/x", b, 401},
		{"/b/x", b, 202},
		{"/b/x", all, 401},
		{"/b/..%2fx", b, 401},
	} {
		if resp, _ := s.do("GET", c.path, "", bearer(c.token)...); resp.StatusCode != c.want && (c.want != 401 || resp.StatusCode != 400) {
			t.Errorf("%s = %d, want %d", c.path, resp.StatusCode, c.want)
		}
	}
}

func TestSEC_23_CORS(t *testing.T) {
	s := newSite(t, protect("\t\tcors https://app.example\n\t\tscope get\n\t\tscope post")+proxy)
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "Content-Type, bad name"}
	resp, _ := s.do("OPTIONS", "/", "", append(preflight, "Origin", "https://app.example")...)
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		resp.Header.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST" ||
		resp.Header.Get("Access-Control-Allow-Headers") != "Authorization, DPoP, Content-Type" {
		t.Errorf("preflight = %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := s.do("OPTIONS", "/", "", append(preflight, "Origin", "https://evil.example")...); resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of a stranger = %d %v", resp.StatusCode, resp.Header)
	}
	if n := s.as.minted(); n != 0 {
		t.Errorf("tickets = %d, want 0", n)
	}
	resp, _ = s.do("GET", "/", "", "Origin", "https://app.example")
	if resp.StatusCode != 401 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("refusal = %d %v", resp.StatusCode, resp.Header)
	}
	token := bearer(s.as.rpt(resource, []string{"get"}, nil))
	resp, _ = s.do("GET", "/", "", append(token, "Origin", "https://app.example")...)
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("answer = %d %v", resp.StatusCode, resp.Header)
	}
	resp, _ = s.do("GET", "/", "", "Origin", "https://evil.example")
	if resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("refusal to a stranger = %v", resp.Header)
	}
}

func TestSEC_23_CORSPass(t *testing.T) {
	s := newSite(t, protect("\t\tcors pass")+proxy)
	preflight := []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}
	resp, _ := s.do("OPTIONS", "/", "", append(preflight, "Remote-User", "root", "Authorization", "Basic x")...)
	r, _ := s.lastHit()
	if resp.StatusCode != 202 || r.Header.Get("Remote-User") != "" || r.Header.Get("Authorization") != "" {
		t.Errorf("preflight = %d, backend got %v", resp.StatusCode, r.Header)
	}
	hits := s.hitCount()
	for name, extra := range map[string][]string{
		"override":       append(preflight, "X-HTTP-Method-Override", "DELETE"),
		"no preflight":   {"Origin", "https://app.example"},
		"without origin": {"Access-Control-Request-Method", "POST"},
	} {
		if resp, _ := s.do("OPTIONS", "/", "", extra...); resp.StatusCode < 400 {
			t.Errorf("%s = %d", name, resp.StatusCode)
		}
	}
	if resp, _ := s.do("OPTIONS", "/", "body", preflight...); resp.StatusCode != 400 {
		t.Errorf("with a body = %d, want 400", resp.StatusCode)
	}
	if n := s.hitCount(); n != hits || s.as.minted() != 0 {
		t.Errorf("backend %d times, tickets %d; want %d and 0", n, s.as.minted(), hits)
	}
}
