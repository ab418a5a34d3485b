package caddyuma

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// says compares what was found: for each finding its parts.
func says(t *testing.T, all []finding.Finding, want ...[]string) {
	t.Helper()
	if len(all) != len(want) {
		t.Fatalf("%+v, want %d", all, len(want))
	}
	for i, f := range all {
		text := fmt.Sprintf("%s %s\n%s\n%s\n%s", f.Level, f.Check, f.What, f.Cause, f.Cure)
		for _, part := range want[i] {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in %s", part, text)
			}
		}
		if well := f.Level == finding.OK; well != (f.Cause == "") || well != (f.Cure == "") {
			t.Errorf("cause and cure: %+v", f)
		}
	}
}

const wellKnownUMA2 = "/.well-known/uma2-configuration"

func TestExaminePublished(t *testing.T) {
	const at = "https://bob.example" // the host of the fake server
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		to     string
		want   []string
	}{
		{"well", fakeop.JSON("application/json", map[string]any{"issuer": at}), "", []string{"ok published"}},
		{"another server", fakeop.JSON("application/json", map[string]any{"issuer": "https://other.example"}), "", []string{"failure published", "something else answers", "'https://other.example'"}},
		{"a page", fakeop.HTML(), "", []string{"failure published", "something else answers", "which site"}},
		{"nothing", fakeop.Status(404), "", []string{"failure published", "do not find this server", "404", "before what answers there"}},
		{"a redirect", fakeop.RedirectTo("https://x.example/"), "", []string{"failure published", "302"}},
		{"away", nil, "127.0.0.1:1", []string{"warning published", "nothing listens", "only this machine"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			op.Misbehave(wellKnownUMA2, tc.answer)
			cfg := outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots}
			if tc.to != "" {
				cfg.ConnectTo = map[string]string{"bob.example:443": tc.to}
			}
			l := finding.List{}
			examinePublished(t.Context(), &l, outbound.NewNamed(cfg), at)
			says(t, l.All, tc.want)
		})
	}
}

func TestExamineWritten(t *testing.T) {
	l := finding.List{}
	h := &Handler{EmailDomains: []EmailDomain{
		{Domains: []string{"a.example"}, BaseURL: "https://127.0.0.1:8443"},
		{Domains: []string{"b.example"}, BaseURL: "https://op.example"},
		{Domains: []string{"c.example"}, Deny: true},
	}}
	h.examineWritten(&l)
	says(t, l.All, []string{"warning policies", "nobody is let in"}, []string{"warning exceptions", "email_domain a.example", "127.0.0.1:8443", "left over"})
	l = finding.List{}
	(&Handler{Policies: []Policy{{Name: "x"}}}).examineWritten(&l)
	says(t, l.All)
}

func TestExamineDomains(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Edit(func(doc map[string]any) { doc["grant_types_supported"] = []string{oauth.GrantTokenExchange} })
	entry := func(domains ...string) EmailDomain {
		return EmailDomain{Domains: domains, BaseURL: op.Issuer}
	}
	const away = "https://away.example"
	h := &Handler{EmailDomains: []EmailDomain{
		entry("corp.example", "*.corp.example", "*"),
		{Domains: []string{"bad.example"}, Deny: true},
		{Domains: []string{"plain.example"}},
		{Domains: []string{"away.example"}, BaseURL: away},
	}}
	var domains []discovery.Domain
	for _, e := range h.EmailDomains {
		for _, pattern := range e.Domains {
			domains = append(domains, discovery.Domain{Pattern: pattern, BaseURL: e.BaseURL, Deny: e.Deny})
		}
	}
	cfg := h.providers(outbound.NewStrict(outbound.Config{
		ConnectTo: map[string]string{"bob.example:443": op.Addr, "away.example:443": "127.0.0.1:1"}, Roots: op.Roots, Timeout: 2 * time.Second,
	}), domains)
	l := finding.List{}
	h.examineDomains(t.Context(), &l, cfg)
	says(t, l.All, []string{"ok email_domain", "people of corp.example come from " + op.Issuer},
		[]string{"failure email_domain", "provider of away.example", "nothing listens", "connect_to"})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l = finding.List{}
	h.examineDomains(ctx, &l, cfg)
	says(t, l.All, []string{"warning email_domain", "not all", "no time left"})
}

func TestExamineManyDomains(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	h := &Handler{}
	var domains []discovery.Domain
	for i := range maxExamined + 1 {
		domain := fmt.Sprintf("d%d.example", i)
		h.EmailDomains = append(h.EmailDomains, EmailDomain{Domains: []string{domain}, BaseURL: op.Issuer})
		domains = append(domains, discovery.Domain{Pattern: domain, BaseURL: op.Issuer})
	}
	l := finding.List{}
	h.examineDomains(t.Context(), &l, h.providers(outbound.NewStrict(outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots}), domains))
	if n := len(l.All); n != maxExamined+1 || l.All[n-1].Level != finding.Warning || !strings.Contains(l.All[n-1].What, "not all") {
		t.Errorf("%d findings, the last one %+v", n, l.All[n-1])
	}
}
