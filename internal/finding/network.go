package finding

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Network is why a host that the administrator named does not answer, and the cure.
func Network(err error) (cause, cure string) {
	for _, explain := range []func(error) (string, string){certificate, name, connection} {
		if cause, cure = explain(err); cause != "" {
			return cause, cure
		}
	}
	return "no whole answer: " + last(err), "ask its URL from this machine, for instance with curl -v, and look into its log"
}

const trustCure = "give it a certificate of a CA that this machine trusts, or name its CA: trust_pool, or trust_internal_ca for Caddy's own"

func certificate(err error) (cause, cure string) {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is not for " + e.Host, "give it a certificate with that name; in Caddy: a site of that name"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "its certificate has expired or is not valid yet", "look at its certificate, and at the clocks of both machines"
		}
		return "its certificate is not acceptable", trustCure
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is of a CA that is not trusted here", trustCure
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "what listens there does not speak TLS", "serve https there, or correct the port"
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return fmt.Sprintf("it ends the TLS handshake (%v)", e), "look whether it has a certificate for this name yet"
	}
	return "", ""
}

func name(err error) (cause, cure string) {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return "", ""
	case e.IsNotFound:
		return "there is no host " + e.Name + " in DNS", "correct the name in the configuration, or make an A or AAAA record; without DNS: connect_to"
	}
	return "DNS does not answer for " + e.Name, "look at the name servers that this machine asks"
}

func connection(err error) (cause, cure string) {
	at := ""
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" && e.Addr != nil {
		at = " at " + e.Addr.String()
	}
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	if e, ok := errors.AsType[net.Error](err); ok {
		late = late || e.Timeout()
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens" + at, "start it, or correct DNS or connect_to"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way to it" + at, "look at the routes and the firewall of this machine"
	case late:
		return "it does not answer in time" + at, "look whether it is overloaded, or a firewall is between"
	}
	return "", ""
}

// last is the innermost text of an error: those around it name what was asked.
func last(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// What clocks may differ by before somebody is told.
const drift = 10 * time.Second

// Clock compares the Date of an answer with our clock; leeway is what is tolerated
// where tokens are checked. The zero date is that of an answer without one.
func (l *List) Clock(whose string, date, now time.Time, leeway time.Duration) {
	if date.IsZero() {
		return
	}
	skew := date.Sub(now.Truncate(time.Second))
	way := "ahead of"
	if skew < 0 {
		skew, way = -skew, "behind"
	}
	what := fmt.Sprintf("the clock of %s is %v %s ours", whose, skew.Round(time.Second), way)
	const cure = "let both machines set their clocks by NTP"
	switch {
	case skew > leeway:
		l.Fail("clock", what, fmt.Sprintf("tokens are refused beyond a leeway of %v", leeway), cure)
	case skew > drift:
		l.Warn("clock", what, fmt.Sprintf("tokens are refused beyond a leeway of %v", leeway), cure)
	default:
		l.OK("clock", "the clock of %s agrees with ours", whose)
	}
}

// Exception warns of an entry of the configuration that lets outbound requests reach
// this machine or a private network (home): right in a test, a hole when left over.
func (l *List) Exception(entry, address string, home bool) {
	if home {
		l.Warn("exceptions", entry+" lets outbound requests reach "+address, "it is a loopback or private address", "remove the entry if it is left over from a test")
	}
}
