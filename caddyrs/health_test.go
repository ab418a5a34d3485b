package caddyrs

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// healthOf asks uma_health of a site that has it at /health.
func (s *site) health() (int, map[string]string) {
	s.t.Helper()
	resp, body := s.do("GET", "/health", "")
	var answer struct {
		Checks []struct{ Check, Status, Reason string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		s.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	got := map[string]string{}
	for _, c := range answer.Checks {
		got[c.Check] = c.Status + " " + c.Reason
	}
	return resp.StatusCode, got
}

// A resource server alone: no store is opened for it, and an authorization server that
// is away takes no node out, unless that is wanted.
func TestHealth(t *testing.T) {
	const unreachable = " the authorization server cannot be reached"
	for lines, want := range map[string]struct {
		status int
		checks string
	}{"": {200, "warn" + unreachable}, " {\n\t\tfail authorization_server\n\t}": {503, "fail" + unreachable}} {
		s := newSite(t, "\tuma_health /health"+lines+"\n"+protect("")+proxy)
		status, got := s.health()
		if status != 200 || got["authorization_server"] != "pass " || got["status_list"] != "pass " || len(got) != 2 {
			t.Errorf("%d %v", status, got)
		}
		s = newSite(t, "\tuma_health /health"+lines+"\n"+protect("")+proxy)
		s.as.down = true
		if status, got := s.health(); status != want.status || got["authorization_server"] != want.checks {
			t.Errorf("%q: %d %v, want %d %s", lines, status, got, want.status, want.checks)
		}
	}
}

// SEC-24: over plain HTTP neither a challenge nor the backend answers, with a good RPT
// or without; the health, and requests that are not protected, do.
func TestSEC_24_PlainHTTP(t *testing.T) {
	hits := 0
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	t.Cleanup(backend.Close)
	s := newSite(t, "\t@private path /private/*\n\tuma_health /health\n"+
		"\tuma_protect @private "+issuer+" {\n\t\tclient_id api\n\t\trate_limit off\n\t}\n\treverse_proxy "+backend.Listener.Addr().String()+"\n")
	s.do("GET", "/private/x", "") // registers the resource
	rpt := s.as.rpt(resource, []string{"get"}, nil)
	for _, tc := range []struct {
		name, path string
		plain      bool
		header     []string
		status     int
		hits       int
	}{
		{"SEC-24 over TLS with an RPT", "/private/x", false, bearer(rpt), 200, 1},
		{"SEC-24 over TLS without", "/private/x", false, nil, 401, 0},
		{"SEC-24 plain with an RPT", "/private/x", true, bearer(rpt), 403, 0},
		{"SEC-24 plain without", "/private/x", true, nil, 403, 0},
		{"SEC-24 a stranger says https", "/private/x", true, append(bearer(rpt), "X-Forwarded-Proto", "https"), 403, 0},
		{"SEC-24 plain and not protected", "/x", true, nil, 200, 1},
		{"SEC-24 plain health", "/health", true, nil, 200, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hits = 0
			header := tc.header
			if tc.plain {
				header = append(header, plainRequest, "1")
			}
			resp, body := s.do("GET", tc.path, "", header...)
			if resp.StatusCode != tc.status || hits != tc.hits {
				t.Errorf("%d, %d hits, want %d, %d: %s", resp.StatusCode, hits, tc.status, tc.hits, body)
			}
			if tc.status == 403 && (resp.Header.Get("WWW-Authenticate") != "" || resp.Header.Get("Cache-Control") != "no-store") {
				t.Errorf("header %v", resp.Header)
			}
		})
	}
	if s.as.tickets != 2 {
		t.Errorf("%d tickets, want those of the two requests over TLS", s.as.tickets)
	}
}
