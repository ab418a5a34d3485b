package finding_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

func TestNetwork(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: err}
	}
	cert := &x509.Certificate{}
	for _, tc := range []struct {
		err         error
		cause, cure string
	}{
		{dial(syscall.ECONNREFUSED), "nothing listens at 192.0.2.1:443", "start it"},
		{dial(syscall.EHOSTUNREACH), "there is no way to it at 192.0.2.1:443", "firewall"},
		{dial(os.ErrDeadlineExceeded), "does not answer in time at 192.0.2.1:443", "overloaded"},
		{context.DeadlineExceeded, "does not answer in time", "overloaded"},
		{&net.DNSError{Name: "as.example", IsNotFound: true}, "no host as.example", "connect_to"},
		{&net.DNSError{Name: "as.example", IsTimeout: true}, "DNS does not answer for as.example", "name servers"},
		{x509.HostnameError{Certificate: cert, Host: "as.example"}, "not for as.example", "that name"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: cert}}, "CA that is not trusted", "trust_internal_ca"},
		{x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired}, "expired", "clocks"},
		{x509.CertificateInvalidError{Cert: cert, Reason: x509.TooManyIntermediates}, "not acceptable", "trust_pool"},
		{tls.AlertError(80), "ends the TLS handshake", "certificate for this name"},
		{tls.RecordHeaderError{}, "does not speak TLS", "port"},
		{errors.New("unexpected EOF"), "no whole answer: unexpected EOF", "curl"},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("calling: %w", &url.Error{Op: "Get", URL: "https://as.example/secret", Err: tc.err})} {
			cause, cure := finding.Network(err)
			if !strings.Contains(cause, tc.cause) || !strings.Contains(cure, tc.cure) || strings.Contains(cause+cure, "secret") {
				t.Errorf("%v: %q, %q; want %q, %q", err, cause, cure, tc.cause, tc.cure)
			}
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Unix(1_800_000_000, 5)
	for _, tc := range []struct {
		date time.Time
		want []string
	}{
		{time.Time{}, nil},
		{now, []string{"ok the clock of it agrees with ours"}},
		{now.Add(30 * time.Second), []string{"warning the clock of it is 30s ahead of ours"}},
		{now.Add(-2 * time.Minute), []string{"failure the clock of it is 2m0s behind ours"}},
	} {
		l := finding.List{}
		l.Clock("it", tc.date.Truncate(time.Second), now, time.Minute)
		var got []string
		for _, f := range l.All {
			got = append(got, string(f.Level)+" "+f.What)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSortAndWorst(t *testing.T) {
	b, a := finding.List{Subject: "b"}, finding.List{Subject: "a"}
	b.OK("x", "second")
	b.Warn("x", "third", "c", "d")
	b.OK("x", "second")
	a.OK("x", "first")
	all := finding.Sort(append(b.All, a.All...))
	var got []string
	for _, f := range all {
		got = append(got, f.Subject+" "+f.What)
	}
	if diff := cmp.Diff([]string{"a first", "b second", "b third"}, got); diff != "" {
		t.Error(diff)
	}
	fail := finding.List{}
	fail.Fail("x", "y", "c", "d")
	for want, list := range map[finding.Level][]finding.Finding{finding.OK: a.All, finding.Warning: all, finding.Failure: append(fail.All, all...)} {
		if got := finding.Worst(list); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
