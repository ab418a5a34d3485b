package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// cause is why there is no answer, and the cure.
type cause struct{ code, text, cure string }

// unanswered adds why a step has no answer, and tells whether that is so.
func (d *diagnosis) unanswered(s *discovery.Step) bool {
	if s.Response != nil {
		return false
	}
	c := causeOf(s)
	d.unreachable = slices.Contains([]string{"dns_down", "refused", "connect_timeout", "connect", "slow", "no_answer"}, c.code)
	d.add(s.Ask, levelProblem, c.code, c.cure, "%s", c.text)
	return true
}

// causeOf asks the explanations in turn: what our rules forbid, what the
// certificate says, what the network says, what the answer was.
func causeOf(s *discovery.Step) cause {
	for _, explain := range []func(*discovery.Step) (cause, bool){forbidden, badCertificate, noConnection, badBody} {
		if c, ok := explain(s); ok {
			return c
		}
	}
	return cause{"no_answer", fmt.Sprintf("there is no answer: %v", s.Cause), "ask the URL from another network, for instance with curl -v"}
}

// forbidden: the rules for hosts that a stranger named (CONFORMANCE SEC-05, SEC-07).
func forbidden(s *discovery.Step) (cause, bool) {
	if !errors.Is(s.Cause, outbound.ErrBlocked) {
		return cause{}, false
	}
	if len(s.Hops) == 0 {
		return forbiddenURL(s.URL), true
	}
	last := s.Hops[len(s.Hops)-1]
	if location := last.Header.Get("Location"); last.Status != 0 && location != "" {
		return forbiddenRedirect(s, last.URL, location), true
	}
	return forbiddenAddress(last), true
}

func forbiddenURL(raw string) cause {
	u, err := url.Parse(raw)
	if err == nil && u.Scheme == "https" && u.Port() != "" && u.Port() != "443" {
		return cause{
			"port", fmt.Sprintf("%s is at port %s, and an authorization server asks strangers at port 443 only", u.Host, u.Port()),
			"serve it at port 443; the administrator of an authorization server can permit the port by an entry: email_domain DOMAIN https://" + u.Host,
		}
	}
	return cause{"url", "the URL is none that an authorization server asks: " + raw, "use https://HOST/PATH with an ASCII host, without user name"}
}

func forbiddenRedirect(s *discovery.Step, from, location string) cause {
	to := location
	if base, err := url.Parse(from); err == nil {
		if u, err := base.Parse(location); err == nil {
			to = u.String()
		}
	}
	u, err := url.Parse(to)
	switch {
	case err == nil && u.Scheme == "http":
		return cause{"redirect_http", "the answer is a redirect to http: " + to, "redirect to https; a redirect that is built from the request must know that it came by https (X-Forwarded-Proto behind a proxy)"}
	case err == nil && u.Scheme == "https" && u.Port() != "" && u.Port() != "443":
		return cause{"redirect_port", "the answer is a redirect to another port than 443: " + to, "redirect to port 443"}
	case s.Ask != discovery.AskWebFinger:
		return cause{"redirect", "the answer is a redirect to " + to + ", which is followed for WebFinger only", "serve the document at this URL itself"}
	case err == nil && u.Scheme == "https" && len(s.Hops) > 3:
		return cause{"redirect_many", "there are more than three redirects, perhaps in a circle; the last one leads to " + to, "redirect to the last host at once"}
	}
	return cause{"redirect_odd", "the answer is a redirect to what is no https URL: " + to, "redirect to an https URL"}
}

func forbiddenAddress(h outbound.Hop) cause {
	host, addr := h.URL, netip.Addr{}
	if u, err := url.Parse(h.URL); err == nil {
		host = u.Hostname()
	}
	if len(h.Dialled) > 0 {
		addr = h.Dialled[0].Addr()
	}
	is := classOf(addr)
	if is == "public" {
		is = "reserved"
	}
	c := cause{
		"address", fmt.Sprintf("the name %s leads to the address %s, which is %s; an authorization server connects to public addresses only, so that nobody can make it call hosts of its own network", host, addr, is),
		"let public DNS give the public address; if it is right inside one network, the administrator of the authorization server there writes: email_domain DOMAIN https://" + host,
	}
	if isLocalhost(host) {
		c.cure = "for a try-out on one machine, write into the global options: uma { connect_to " + host + ":443 127.0.0.1:PORT }"
	}
	return c
}

func badCertificate(s *discovery.Step) (cause, bool) {
	host := lastHost(s)
	if e, ok := errors.AsType[x509.HostnameError](s.Cause); ok && e.Certificate != nil {
		return cause{
			"certificate_name", fmt.Sprintf("the certificate is not for %s but for %s", host, names(e.Certificate)),
			"get a certificate with the name " + host + "; in Caddy: a site with that name",
		}, true
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](s.Cause); ok {
		return invalidCertificate(e, host), true
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](s.Cause); ok {
		return unknownAuthority(s, e, host), true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](s.Cause); ok {
		return cause{"not_tls", "what listens at " + host + " does not speak TLS", "serve https there"}, true
	}
	if e, ok := errors.AsType[tls.AlertError](s.Cause); ok {
		return cause{"tls", fmt.Sprintf("%s ends the TLS handshake: %v", host, e), "look whether it has a certificate for this name, and TLS 1.2 or 1.3"}, true
	}
	return cause{}, false
}

func invalidCertificate(e x509.CertificateInvalidError, host string) cause {
	whose := names(e.Cert)
	if e.Reason == x509.Expired && time.Now().Before(e.Cert.NotBefore) {
		return cause{"certificate_early", fmt.Sprintf("the certificate of %s (for %s) is not valid before %s", host, whose, e.Cert.NotBefore.UTC().Format(time.DateTime)), "look at the clocks of both machines"}
	}
	if e.Reason == x509.Expired {
		return cause{"certificate_expired", fmt.Sprintf("the certificate of %s (for %s) has expired on %s", host, whose, e.Cert.NotAfter.UTC().Format(time.DateOnly)), "renew it; Caddy does that by itself"}
	}
	return cause{"certificate", fmt.Sprintf("the certificate of %s (for %s) is not acceptable: %v", host, whose, e), "get one of a public CA"}
}

func unknownAuthority(s *discovery.Step, e x509.UnknownAuthorityError, host string) cause {
	cure := "get a certificate of a public CA, as Caddy does by itself; the administrator of an authorization server can trust another CA for one domain: email_domain DOMAIN https://" + host + " { trust_pool file CA.pem }"
	leaf := e.Cert
	if v, ok := errors.AsType[*tls.CertificateVerificationError](s.Cause); ok && len(v.UnverifiedCertificates) > 0 {
		leaf = v.UnverifiedCertificates[0]
	}
	switch {
	case leaf == nil:
		return cause{"certificate_authority", "the certificate of " + host + " is of a CA that nobody knows", cure}
	case leaf.Issuer.String() == leaf.Subject.String():
		return cause{"certificate_self_signed", fmt.Sprintf("the certificate of %s (for %s) is signed by itself", host, names(leaf)), cure}
	}
	return cause{"certificate_authority", fmt.Sprintf("the certificate of %s (for %s) is of '%s', which is no public CA, or the server leaves out the certificates in between", host, names(leaf), leaf.Issuer), cure}
}

// names are those of a certificate.
func names(c *x509.Certificate) string {
	if c == nil {
		return "nobody"
	}
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) > 5 {
		list = append(list[:5], "…")
	}
	if len(list) == 0 {
		return "'" + c.Subject.String() + "', without a host name"
	}
	return strings.Join(list, ", ")
}

func noConnection(s *discovery.Step) (cause, bool) {
	host := lastHost(s)
	if e, ok := errors.AsType[*net.DNSError](s.Cause); ok {
		if e.IsNotFound {
			return cause{"dns", "there is no host " + host + " in DNS", "make an A or AAAA record for it: the host is asked that stands behind the @ of the address, or that WebFinger names"}, true
		}
		return cause{"dns_down", "DNS does not answer for " + host, "look at the name servers of the domain, and at the network here"}, true
	}
	late := errors.Is(s.Cause, context.DeadlineExceeded) || errors.Is(s.Cause, os.ErrDeadlineExceeded)
	if e, ok := errors.AsType[net.Error](s.Cause); ok {
		late = late || e.Timeout()
	}
	connecting := errors.Is(s.Cause, outbound.ErrConnect)
	switch {
	case errors.Is(s.Cause, syscall.ECONNREFUSED):
		return cause{"refused", "nothing listens at " + host + " (" + dialled(s) + ")", "start the web server there, or correct DNS; IPv6 counts, too: remove an AAAA record that leads nowhere"}, true
	case late && connecting:
		return cause{"connect_timeout", "no connection to " + host + " (" + dialled(s) + ") within 3 s", "open port 443 in the firewall, or correct DNS"}, true
	case late:
		return cause{"slow", host + " does not answer in time: a request may take 3 s, 5 s with redirects", "make it answer faster; a file or a redirect is best"}, true
	case connecting:
		return cause{"connect", fmt.Sprintf("no connection to %s: %v", host, s.Cause), "look whether the host has https at port 443"}, true
	}
	return cause{}, false
}

func badBody(s *discovery.Step) (cause, bool) {
	switch {
	case errors.Is(s.Cause, outbound.ErrTooLarge):
		return cause{"too_large", "the answer is too large: 64 KiB are read, 256 KiB of a key set", "answer with the document alone"}, true
	case errors.Is(s.Cause, outbound.ErrEncoded):
		return cause{"compressed", "the answer is compressed, which nobody asked for", "compress only what has Accept-Encoding in the request"}, true
	case errors.Is(s.Cause, outbound.ErrUnframed):
		return cause{"no_length", "the answer has neither Content-Length nor chunks, so nobody can tell whether it is whole", "answer with HTTP/1.1 and a Content-Length"}, true
	}
	return cause{}, false
}

// lastHost is the host that was asked last.
func lastHost(s *discovery.Step) string {
	raw := s.URL
	if n := len(s.Hops); n > 0 {
		raw = s.Hops[n-1].URL
	}
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}

func dialled(s *discovery.Step) string {
	var list []string
	if n := len(s.Hops); n > 0 {
		for _, addr := range s.Hops[n-1].Dialled {
			list = append(list, addr.String())
		}
	}
	return strings.Join(list, ", ")
}
