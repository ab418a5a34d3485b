package caddyrs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

var errOdd = errors.New("odd")

func TestExamineSays(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: syscall.ECONNREFUSED}
	for _, tc := range []struct {
		name string
		x    rs.Examined
		want []string // level, check, and parts of what, cause and cure
	}{
		{"metadata", rs.Examined{Step: rs.StepMetadata}, []string{"ok authorization_server"}},
		{
			"another issuer",
			rs.Examined{Step: rs.StepMetadata, Err: errOdd, Status: 0, Ours: "https://as.example", Theirs: "https://as.example/"},
			[]string{"failure authorization_server", "another issuer", "'https://as.example'", "'https://as.example/'", "uma_protect https://as.example/"},
		},
		{
			"the issuer of a stranger",
			rs.Examined{Step: rs.StepMetadata, Err: errOdd, Ours: "https://as.example", Theirs: "https://evil.example"},
			[]string{"failure authorization_server", "'https://evil.example'", "look who answers at https://as.example"},
		},
		{
			"no credentials",
			rs.Examined{Step: rs.StepMetadata, Err: fmt.Errorf("x: %w", errNoLocalAS), Unanswered: true},
			[]string{"failure authorization_server", "no credentials", "client_secret", "{ local }"},
		},
		{"nothing there", rs.Examined{Step: rs.StepMetadata, Err: errOdd, Status: 404}, []string{"failure authorization_server", "no authorization server at " + issuer, "404", "slash and path"}},
		{"in trouble", rs.Examined{Step: rs.StepMetadata, Err: errOdd, Status: 503}, []string{"failure authorization_server", "in trouble", "503", "log"}},
		{"a page", rs.Examined{Step: rs.StepMetadata, Err: errOdd, Status: 302}, []string{"failure authorization_server", "302", "which site"}},
		{"down", rs.Examined{Step: rs.StepMetadata, Err: refused, Unanswered: true}, []string{"failure authorization_server", "cannot be reached", "nothing listens at 10.0.0.1:443", "start it"}},
		{"slow", rs.Examined{Step: rs.StepMetadata, Err: context.DeadlineExceeded, Unanswered: true}, []string{"failure authorization_server", "cannot be reached", "in time", "firewall"}},
		{"unreadable", rs.Examined{Step: rs.StepMetadata, Err: errOdd}, []string{"failure authorization_server", "odd"}},
		{"keys", rs.Examined{Step: rs.StepKeys}, []string{"ok keys"}},
		{"no keys", rs.Examined{Step: rs.StepKeys, Err: errOdd, Status: 500}, []string{"failure keys", "RPTs cannot be checked", "500", "jwks_uri"}},
		{"credentials", rs.Examined{Step: rs.StepPAT}, []string{"ok credentials", "'api'"}},
		{
			"a wrong secret",
			rs.Examined{Step: rs.StepPAT, Err: errOdd, Status: 401, Code: "invalid_client"},
			[]string{"failure credentials", "refuses the credentials of 'api'", "401 invalid_client", "compare client_id and client_secret", "'resource_server api'"},
		},
		{"a client alone", rs.Examined{Step: rs.StepPAT, Err: errOdd, Status: 400, Code: "unauthorized_client"}, []string{"failure credentials", "unauthorized_client", "not only a client"}},
		{"too often", rs.Examined{Step: rs.StepPAT, Err: errOdd, Status: 429}, []string{"warning credentials", "at the moment", "429", "again"}},
		{"no store", rs.Examined{Step: rs.StepPAT, Err: errOdd, Status: 503}, []string{"failure credentials", "503", "store"}},
		{"token endpoint down", rs.Examined{Step: rs.StepPAT, Err: refused, Unanswered: true}, []string{"failure credentials", "nothing listens"}},
		{"resource_uri", rs.Examined{Step: rs.StepURI}, []string{"ok resource_uri"}},
		{
			"another resource_uri",
			rs.Examined{Step: rs.StepURI, Err: errOdd, Ours: "https://a.example", Theirs: "https://b.example"},
			[]string{"failure resource_uri", "differs", "'https://a.example'", "'https://b.example'", "same on both sides"},
		},
		{"no resource_uri", rs.Examined{Step: rs.StepURI, Err: errOdd}, []string{"failure resource_uri", "nobody knows", "resource_uri https://"}},
		{"resources", rs.Examined{Step: rs.StepResources}, []string{"ok resources"}},
		{
			"one not accepted",
			rs.Examined{Step: rs.StepResources, Err: errOdd, Status: 400, Code: "invalid_request", Names: []string{"photos", ""}},
			[]string{"failure resources", "not accepted: photos", "400 invalid_request", "resources diff"},
		},
		{"none", rs.Examined{Step: rs.StepResources, Err: errOdd, Status: 503}, []string{"failure resources", "not registered", "503"}},
		{"no answer", rs.Examined{Step: rs.StepResources, Err: refused, Unanswered: true}, []string{"failure resources", "nothing listens"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := finding.List{Subject: "x"}
			say(&l, tc.x, issuer, "api", time.Minute)
			if len(l.All) != 1 {
				t.Fatalf("%+v", l.All)
			}
			f := l.All[0]
			text := fmt.Sprintf("%s %s\n%s\n%s\n%s", f.Level, f.Check, f.What, f.Cause, f.Cure)
			for _, part := range tc.want {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not in %s", part, text)
				}
			}
			if strings.Contains(f.Cure, "evil") {
				t.Error(f.Cure)
			}
			if well := f.Level == finding.OK; well != (f.Cause == "") || well != (f.Cure == "") {
				t.Errorf("cause and cure: %+v", f)
			}
		})
	}
}

func TestExamineClock(t *testing.T) {
	now := time.Unix(1_800_000_000, 999)
	for skew, want := range map[time.Duration]finding.Level{
		0: finding.OK, -5 * time.Second: finding.OK, 11 * time.Second: finding.Warning, -60 * time.Second: finding.Warning, 61 * time.Second: finding.Failure, -time.Hour: finding.Failure,
	} {
		l := finding.List{}
		say(&l, rs.Examined{Step: rs.StepMetadata, Date: now.Truncate(time.Second).Add(skew), At: now}, issuer, "api", time.Minute)
		if len(l.All) != 2 || l.All[1].Level != want {
			t.Errorf("%v: %+v, want %s", skew, l.All, want)
		}
	}
}

// The group goes the whole way, with each of its servers.
func TestExamineGroup(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	var got []string
	for _, f := range s.examine("uma_protect api at " + issuer) {
		got = append(got, string(f.Level)+" "+f.Check)
	}
	if text := strings.Join(got, ", "); text != "ok authorization_server, ok keys, ok credentials, ok resource_uri, ok resources" {
		t.Error(text)
	}
	s = newSite(t, protect("")+proxy)
	s.as.down = true
	if got := s.examine("uma_protect api at " + issuer); len(got) != 1 || got[0].Level != finding.Failure || !strings.Contains(got[0].Cause, "500") {
		t.Errorf("%+v", got)
	}
}

// A group of many does not use up how often its client may ask for PATs.
func TestExamineManyOfAGroup(t *testing.T) {
	var blocks strings.Builder
	for i := range 25 {
		_, _ = fmt.Fprintf(&blocks, "\thandle /%d/* {\n%s%s\t}\n", i, protect(fmt.Sprintf("\t\tresource r%d", i)), proxy)
	}
	s := newSite(t, blocks.String())
	subject := "uma_protect api at " + issuer
	s.examine(subject) // each gets what requests go by
	s.as.mu.Lock()
	s.as.pats = 0
	s.as.mu.Unlock()
	if all := s.examine(subject); len(all) != 5 || finding.Worst(all) != finding.OK {
		t.Errorf("%+v", all)
	}
	s.as.mu.Lock()
	defer s.as.mu.Unlock()
	if s.as.pats != maxAsked {
		t.Errorf("%d PATs, want %d", s.as.pats, maxAsked)
	}
}

// examine gives what is found about one subject.
func (s *site) examine(subject string) []finding.Finding {
	s.t.Helper()
	all, ok := s.app.Examine(s.t.Context())
	if !ok {
		s.t.Fatal("somebody else examines")
	}
	return slices.DeleteFunc(all, func(f finding.Finding) bool { return f.Subject != subject })
}

// Requests that did not come by TLS were seen, or not.
func TestExamineHTTPS(t *testing.T) {
	s := newSite(t, protect("")+proxy)
	s.do("GET", "/", "")
	if all := s.examine("uma_protect api at " + issuer); slices.ContainsFunc(all, isHTTPS) {
		t.Errorf("%+v", all)
	}
	s.do("GET", "/", "", plainRequest, "1")
	all := s.examine("uma_protect api at " + issuer)
	i := slices.IndexFunc(all, isHTTPS)
	if i < 0 || all[i].Level != finding.Warning || !strings.Contains(all[i].Cure, "trusted_proxies") {
		t.Errorf("%+v", all)
	}
}

func isHTTPS(f finding.Finding) bool { return f.Check == "https" }

func TestProtects(t *testing.T) {
	for text, want := range map[string]bool{"": true, metadataOff: true, metadataOnly: false, metadataKeys: false} {
		if got := (&Handler{Metadata: text}).Protects(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
