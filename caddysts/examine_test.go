package caddysts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

// one gives the only finding, and looks for parts of its texts.
func one(t *testing.T, l finding.List, want ...string) {
	t.Helper()
	if len(l.All) != 1 {
		t.Fatalf("%+v", l.All)
	}
	f := l.All[0]
	text := fmt.Sprintf("%s %s\n%s\n%s\n%s", f.Level, f.Check, f.What, f.Cause, f.Cure)
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %s", part, text)
		}
	}
	if well := f.Level == finding.OK; well != (f.Cause == "") || well != (f.Cure == "") {
		t.Errorf("cause and cure: %+v", f)
	}
}

// The e-mail domains of the service, as an authorization server finds them.
func TestExamineDomain(t *testing.T) {
	const issuer = "https://bob.example"
	for _, tc := range []struct {
		name string
		do   func(*fakeop.OP)
		dns  map[string][]string
		want []string
	}{
		{"here", func(*fakeop.OP) {}, nil, []string{"ok webfinger", "addresses of bob.example lead here"}},
		{
			"to another issuer", func(op *fakeop.OP) {
				op.Link(func(string) (string, bool) { return "https://sts.bob.example", true })
				op.Edit(func(doc map[string]any) { doc["issuer"] = "https://sts.bob.example" })
			}, nil,
			[]string{"failure webfinger", "another issuer", "'https://sts.bob.example'", "redir /.well-known/webfinger https://bob.example{uri}"},
		},
		{"an error", func(op *fakeop.OP) { op.Misbehave(fakeop.WebFinger, fakeop.Status(500)) }, nil, []string{"failure webfinger", "do not lead here", "caddy uma doctor somebody@bob.example"}},
		{"no DNS", func(*fakeop.OP) {}, map[string][]string{}, []string{"failure webfinger", "cannot connect", "caddy uma doctor"}},
		{
			"a private address", func(*fakeop.OP) {},
			map[string][]string{"bob.example": {"10.0.0.7"}},
			[]string{"warning webfinger", "from here nobody can tell", "private address", "public DNS"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			op.Link(func(string) (string, bool) { return issuer, true })
			op.Edit(func(doc map[string]any) {
				doc["issuer"], doc["grant_types_supported"] = issuer, []string{oauth.GrantTokenExchange}
			})
			tc.do(op)
			cfg := outbound.Config{ConnectTo: op.ConnectTo("bob.example", "sts.bob.example"), Roots: op.Roots}
			if tc.dns != nil {
				cfg.ConnectTo = nil
				cfg.Resolve = func(_ context.Context, host string) ([]string, error) {
					if list := tc.dns[host]; list != nil {
						return list, nil
					}
					return nil, &net.DNSError{Name: host, IsNotFound: true}
				}
			}
			l := finding.List{}
			examineDomain(t.Context(), &l, discovery.Config{Client: outbound.NewStrict(cfg), Now: time.Now}, "bob.example", issuer)
			one(t, l, tc.want...)
		})
	}
}

// What is said when there is no time is nothing.
func TestExamineDomainTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := finding.List{}
	examineDomain(ctx, &l, discovery.Config{Client: outbound.NewStrict(outbound.Config{}), Now: time.Now}, "bob.example", "https://bob.example")
	if len(l.All) != 0 {
		t.Errorf("%+v", l.All)
	}
}

func TestExamineUpstreamSays(t *testing.T) {
	const issuer = "https://op.example/realms/staff"
	odd := errors.New("odd")
	for _, tc := range []struct {
		name string
		x    upstream.Examined
		want []string
	}{
		{"well", upstream.Examined{}, []string{"ok provider", issuer}},
		{"another issuer", upstream.Examined{Step: upstream.StepMetadata, Err: odd, Status: 200, Theirs: "https://op.example"}, []string{"failure provider", "another issuer", "'https://op.example'", "exactly"}},
		{"wrong secret", upstream.Examined{Step: upstream.StepCredentials, Err: odd, Status: http.StatusUnauthorized}, []string{"failure provider", "refuses our credentials", "401", "client_secret"}},
		{"away", upstream.Examined{Step: upstream.StepMetadata, Err: context.DeadlineExceeded, Unanswered: true}, []string{"failure provider", "cannot be reached (metadata)", "in time"}},
		{"nothing there", upstream.Examined{Step: upstream.StepMetadata, Err: odd, Status: 404}, []string{"failure provider", "has no metadata", "404", "path"}},
		{"odd", upstream.Examined{Step: upstream.StepKeys, Err: odd, Status: 200}, []string{"failure provider", "(keys)", "odd", "log"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.x.Issuer = issuer
			l := finding.List{}
			sayUpstream(&l, tc.x, time.Minute)
			one(t, l, tc.want...)
		})
	}
}

func TestWraps(t *testing.T) {
	if !(&Handler{Wrap: new(Upstream)}).Wraps() || (&Handler{}).Wraps() {
		t.Error("Wraps does not look at wrap")
	}
}
