package caddysts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/sites"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

// maxExamined is how many e-mail domains are looked up in one examination.
const maxExamined = 20

// Wraps tells whether a provider must stand behind the handler (see package sites).
func (h *Handler) Wraps() bool { return h.Wrap != nil }

// registerExamines makes the service known to `caddy uma doctor`.
func (h *Handler) registerExamines(app *umaapp.App) error {
	domains, err := h.emailDomains()
	if err != nil {
		return err
	}
	subject := umaapp.Directive("sts", h.Issuer)
	out := app.Outbound()
	out.Log = h.log
	strangers := discovery.Config{Client: outbound.NewStrict(out), Now: time.Now}
	app.RegisterExamine(func(ctx context.Context) []finding.Finding {
		l := finding.List{Subject: subject}
		done := 0
		for ; done < min(len(domains), maxExamined) && ctx.Err() == nil; done++ {
			examineDomain(ctx, &l, strangers, domains[done], h.Issuer)
		}
		if done < len(domains) || ctx.Err() != nil {
			l.Warn("webfinger", "not all e-mail domains were looked up", "there are many, or they are slow", "caddy uma doctor ADDRESS looks at one")
		}
		return l.All
	})
	return nil
}

// examineDomain looks somebody of the domain up as an authorization server does that
// has no entry for it. Nobody is called like that; the answer is the same for all.
func examineDomain(ctx context.Context, l *finding.List, cfg discovery.Config, domain, issuer string) {
	const check = "webfinger"
	who := discovery.Nobody(domain)
	report, err := discovery.Examine(ctx, cfg, who)
	if err == nil {
		err = report.Err
	}
	if ctx.Err() != nil { // what was found may be due to that alone
		return
	}
	more := "caddy uma doctor somebody@" + domain + " says what is wrong, step by step"
	switch {
	case err == nil && report.Found.Issuer != issuer:
		l.Fail(check, "addresses of "+domain+" lead to another issuer, so claims tokens of this one are refused", "found was '"+report.Found.Issuer+"'",
			"let WebFinger of "+domain+" name '"+issuer+"': redir /.well-known/webfinger "+origin(issuer)+"{uri}; or remove 'email_domain "+domain+"'")
	case err == nil:
		l.OK(check, "addresses of %s lead here", domain)
	case fromHere(report):
		l.Warn(check, "from here nobody can tell whether addresses of "+domain+" lead here", "its name leads to a loopback or private address from this machine, which authorization servers do not ask",
			"if public DNS gives a public address all is well; "+more+" from elsewhere")
	default:
		l.Fail(check, "addresses of "+domain+" do not lead here, so authorization servers without an entry for the domain let nobody of it in", why(err), more)
	}
}

// fromHere tells whether our own rules ended the look-up at an address.
func fromHere(r discovery.Report) bool {
	n := len(r.Steps)
	if n == 0 || !errors.Is(r.Steps[n-1].Cause, outbound.ErrBlocked) {
		return false
	}
	hops := r.Steps[n-1].Hops
	return len(hops) > 0 && hops[len(hops)-1].Status == 0
}

// why is the reason of a look-up that failed, in our words.
func why(err error) string {
	if text := discovery.Reason(err); text != "" {
		return text
	}
	return err.Error()
}

// examineUpstream is for `caddy uma doctor`: the way to a provider.
func examineUpstream(app *umaapp.App, self string, u *upstream.Upstream, leeway time.Duration) {
	app.RegisterExamine(func(ctx context.Context) []finding.Finding {
		l := finding.List{Subject: umaapp.Directive("sts", self)}
		sayUpstream(&l, u.Examine(ctx), leeway)
		return l.All
	})
}

func sayUpstream(l *finding.List, x upstream.Examined, leeway time.Duration) {
	const check = "provider"
	l.Clock(x.Issuer, x.Date, x.At, leeway)
	switch {
	case x.Step == "":
		l.OK(check, "the provider %s answers, and takes what it is asked", x.Issuer)
	case x.Theirs != "":
		l.Fail(check, "the provider "+x.Issuer+" has another issuer, so no token of it is taken", "its metadata say '"+x.Theirs+"'",
			"write the issuer exactly as the provider does")
	case x.Step == upstream.StepCredentials && (x.Status == http.StatusUnauthorized || x.Status == http.StatusForbidden):
		l.Fail(check, "the provider "+x.Issuer+" refuses our credentials at its introspection endpoint", fmt.Sprintf("it answers %d", x.Status),
			"compare client_id and client_secret (or the key) with what the provider has, and whether this client may introspect")
	case x.Unanswered:
		cause, cure := finding.Network(x.Err)
		l.Fail(check, "the provider "+x.Issuer+" cannot be reached ("+x.Step+")", cause, cure)
	case x.Status == http.StatusNotFound:
		l.Fail(check, "the provider "+x.Issuer+" has no "+x.Step, "it answers 404", "compare the issuer with that of the provider, often it has a path")
	default:
		l.Fail(check, "the provider "+x.Issuer+" is of no use as it is ("+x.Step+")", x.Err.Error(), "look into its log, and at its metadata")
	}
}

var _ sites.Wrapper = (*Handler)(nil)
