// Package outbound is how the project calls other hosts: a strict client for
// whatever an e-mail address or a stranger's document can steer, and a laxer
// one for hosts the administrator named.
//
// The strict client connects to public addresses at port 443 only. The check is
// made on the address that is dialled, after every look-up and on every hop, so
// a name that changes its address between two look-ups gains nothing
// (CONFORMANCE SEC-05, SEC-06). An exception belongs to one host:port of the
// first request: the same address under another name stays blocked, and behind
// a redirect there are no exceptions at all (SEC-29).
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// Config is what both clients are made of. The zero Config is usable.
type Config struct {
	// ConnectTo: exactly this host:port is dialled at addr:port, and only for
	// it that address and port are permitted (A42).
	ConnectTo map[string]string
	// Exceptions lift the address and port rules for exactly these host:ports;
	// not after a redirect, not for another name (SEC-29). nil Roots = Config.Roots.
	Exceptions map[string]Exception
	// Roots are the CAs for host:ports in ConnectTo, Exceptions and for the named client;
	// nil = system. Strangers are always checked by the system's CAs.
	Roots *x509.CertPool
	// Certificates are ours, for servers that ask the named client for one (RFC 8705 §2).
	// Strangers see none.
	Certificates []tls.Certificate
	// Resolve replaces DNS in tests; it gives the addresses that are dialled (checked all the same).
	Resolve func(ctx context.Context, host string) ([]string, error)
	// DNS asks other name servers than the system's, where Resolve is not set; for
	// tests of their faults.
	DNS *net.Resolver
	// Timeout is for a whole request with its redirects, 5s. One hop may take
	// three fifths of it.
	Timeout time.Duration
	// Begin, if set, is told of each request that is sent; what it gives, if not nil,
	// is called when there is an answer (else the status is 0).
	Begin func(ctx context.Context, host string) (end func(status int, err error))
	// Log is told, at debug, what the strict client does not do.
	Log *zap.Logger
}

// Exception is what is different for one host:port.
type Exception struct {
	// Roots are the only CAs for it; nil = Config.Roots.
	Roots *x509.CertPool
}

// Request is one GET of the strict client.
type Request struct {
	URL    string
	Accept string
	// MaxBody is the largest body, 64 KiB by default.
	MaxBody int64
	// Redirects is how many are followed, 0 to 3; https only, each hop checked,
	// without exceptions.
	Redirects int
	// NoExceptions leaves Config.Exceptions aside: the URL came from somebody
	// for whom they are not meant.
	NoExceptions bool
	// Admit, if set, is asked for each address right before it is dialled, after
	// the rules; done, if not nil, is called when the hop is over. Its error is
	// found in that of Get.
	Admit func(addr netip.Addr) (done func(), err error)
	// Watch, if set, is told of each hop when it is over. What is refused before
	// anything is asked is none.
	Watch func(Hop)
}

// Response is the answer to a GET. The body is read for a 2xx only.
type Response struct {
	Status      int
	ContentType string // media type, lower case
	Body        []byte
	FinalURL    string
}

// What can go wrong. ErrConnect comes together with ErrTemporary.
var (
	ErrBlocked   = errors.New("blocked by the rules for outbound requests")
	ErrTemporary = errors.New("temporary failure")
	ErrConnect   = errors.New("cannot connect")
)

// What is wrong with a body, together with ErrTemporary.
var (
	ErrEncoded  = errors.New("compressed without being asked")
	ErrTooLarge = errors.New("body is too large")
	ErrUnframed = errors.New("body without a length")
)

// Limits of every answer (SEC-08).
const (
	defaultTimeout = 5 * time.Second
	defaultBody    = 64 << 10
	maxHeader      = 32 << 10
	maxRedirects   = 3
	userAgent      = "caddy-uma"
)

// begin tells Begin.
func (c Config) begin(ctx context.Context, host string) func(status int, err error) {
	if c.Begin != nil {
		if end := c.Begin(ctx, host); end != nil {
			return end
		}
	}
	return func(int, error) {}
}

// log is never nil.
func (c Config) log() *zap.Logger {
	if c.Log != nil {
		return c.Log
	}
	return zap.NewNop()
}

func (c Config) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return defaultTimeout
}
