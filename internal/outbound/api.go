// Package outbound is how the project calls other hosts: a strict client for
// whatever an e-mail address or a stranger's document can steer, and a laxer
// one for hosts the administrator named.
package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
)

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
	// Resolve replaces DNS in tests; it gives the addresses that are dialled (checked all the same).
	Resolve func(ctx context.Context, host string) ([]string, error)
	Timeout time.Duration // in all, 5s
	Log     *zap.Logger
}

type Exception struct{ Roots *x509.CertPool }

// Strict is for strangers (SEC-05 to SEC-08).
type Strict struct{}

func NewStrict(cfg Config) *Strict { panic("later") }

type Request struct {
	URL       string
	Accept    string
	MaxBody   int64
	Redirects int // 0 to 3; https only, each hop checked, without exceptions
}

type Response struct {
	Status      int
	ContentType string // media type, lower case
	Body        []byte
	FinalURL    string
}

// Get does one GET. Errors: ErrBlocked (policy), ErrTemporary (timeout, connect, TLS, truncated,
// oversized; 408/425/429/5xx are returned as Response), both wrapped.
func (s *Strict) Get(ctx context.Context, r Request) (*Response, error) { panic("later") }

var (
	ErrBlocked   = errors.New("blocked by the rules for outbound requests")
	ErrTemporary = errors.New("temporary failure")
)

// NewNamed is the client for hosts that the administrator named: any address,
// ConnectTo and Roots apply, localhost and *.localhost are loopback, no proxy, timeouts, pooled, no redirects followed.
func NewNamed(cfg Config) *http.Client { panic("later") }
