package caddyuma

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/uma"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// maxExamined is how many entries of email_domain are looked up in one examination.
const maxExamined = 20

// examineClaims: a name that is misspelt in a condition denies, and nothing else says
// so.
func examineClaims(l *finding.List, unseen []uma.Unseen) {
	for _, u := range unseen {
		l.Warn("claims", "policy '"+u.Policy+"' looks at claims that nobody brought: "+strings.Join(u.Claims[:min(len(u.Claims), 10)], ", "),
			fmt.Sprintf("of whom it speaks came, since the configuration was loaded: %d, and nobody with such a claim", u.Asked),
			"compare the names with those that the provider gives (release at uma_sts); caddy uma explain shows those of one decision")
	}
}

// registerExamines makes the server known to `caddy uma doctor`.
func (h *Handler) registerExamines(app *umaapp.App, providers discovery.Config) {
	list := func() finding.List { return finding.List{Subject: umaapp.Directive("as", h.Issuer)} }
	app.RegisterExamine(func(ctx context.Context) []finding.Finding {
		l := list()
		client := outbound.NewNamed(app.Outbound())
		defer client.CloseIdleConnections()
		examinePublished(ctx, &l, client, h.Issuer)
		return l.All
	})
	app.RegisterExamine(func(ctx context.Context) []finding.Finding {
		l := list()
		h.examineWritten(&l)
		h.examineDomains(ctx, &l, providers)
		return l.All
	})
}

// maxMetadata bounds what is read of our own metadata.
const maxMetadata = 64 << 10

// examinePublished asks for our own metadata as a client does: something else may
// answer at our issuer, such as another site, or a directive before uma_server.
func examinePublished(ctx context.Context, l *finding.List, client *http.Client, issuer string) {
	const check = "published"
	text, status, err := readMetadata(ctx, client, issuer)
	var m oauth.Metadata
	switch {
	case err != nil:
		cause, cure := finding.Network(err)
		l.Warn(check, "from this machine clients would not reach this server at its issuer", cause,
			cure+"; if only this machine cannot see it, all is well")
	case status != http.StatusOK:
		l.Fail(check, "clients do not find this server at its issuer", fmt.Sprintf("its metadata are answered by %d", status),
			"put uma_server into the site of its issuer, before what answers there; look whether a load balancer leads here")
	case oauth.DecodeObject(text, &m) != nil || m.Issuer != issuer:
		l.Fail(check, "something else answers at the issuer of this server", "its metadata say '"+m.Issuer+"'",
			"look which site or server answers at "+issuer)
	default:
		l.OK(check, "its metadata can be read at its issuer")
	}
}

func readMetadata(ctx context.Context, client *http.Client, issuer string) (text []byte, status int, err error) {
	u, err := oauth.ParseIssuer(issuer)
	if err != nil {
		return nil, 0, err
	}
	path, _ := oauth.WellKnownPaths(u, oauth.WellKnownUMA2)
	at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	return text, resp.StatusCode, err
}

// examineWritten says of the configuration what is allowed and perhaps not meant.
func (h *Handler) examineWritten(l *finding.List) {
	if len(h.Policies) == 0 {
		l.Warn("policies", "nobody is let in", "there is no policy", "write a policy")
	}
	for i := range h.EmailDomains {
		e := &h.EmailDomains[i]
		if hostport, err := e.hostport(); err == nil && hostport != "" {
			umaapp.ExamineLocal(l, "email_domain "+strings.Join(e.Domains, " "), hostport)
		}
	}
}

// hostport is that of the base URL; "" = there is none.
func (e *EmailDomain) hostport() (string, error) {
	if e.BaseURL == "" {
		return "", nil
	}
	u, err := oauth.ParseIssuer(e.BaseURL)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// examineDomains looks somebody up of each domain that has an entry of its own with a
// base URL. Nobody is called like that.
func (h *Handler) examineDomains(ctx context.Context, l *finding.List, cfg discovery.Config) {
	done := 0
	for _, e := range h.EmailDomains {
		if e.BaseURL == "" || e.Deny {
			continue
		}
		for _, domain := range e.Domains {
			if strings.HasPrefix(domain, "*") { // nobody knows one of them
				continue
			}
			if done++; done > maxExamined {
				l.Warn("email_domain", "not all entries of email_domain were looked at", "there are many", "caddy uma explain says of one person why he is not let in")
				return
			}
			examineDomain(ctx, l, cfg, strings.ToLower(domain), e.BaseURL)
			if ctx.Err() != nil {
				l.Warn("email_domain", "not all entries of email_domain were looked at", "there was no time left", "again in a minute")
				return
			}
		}
	}
}

func examineDomain(ctx context.Context, l *finding.List, cfg discovery.Config, domain, base string) {
	const check = "email_domain"
	report, err := discovery.Examine(ctx, cfg, discovery.Nobody(domain))
	if err == nil {
		err = report.Err
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		l.OK(check, "people of %s come from %s", domain, report.Found.Issuer)
		return
	}
	cause, cure := discovery.Reason(err), "look whether "+base+" is the provider of "+domain+", and answers"
	if n := len(report.Steps); n > 0 && report.Steps[n-1].Response == nil && !errors.Is(report.Steps[n-1].Cause, outbound.ErrBlocked) {
		cause, cure = finding.Network(report.Steps[n-1].Cause)
	}
	if cause == "" {
		cause = err.Error()
	}
	l.Fail(check, "the provider of "+domain+" is not found, so nobody of it is let in", cause, cure)
}

// providers are the settings of the look-up of providers, for examinations: they
// remember nothing.
func (h *Handler) providers(client *outbound.Strict, domains []discovery.Domain) discovery.Config {
	return discovery.Config{Client: client, Domains: domains, NoDocument: h.NoDomainDocument, Now: time.Now}
}
