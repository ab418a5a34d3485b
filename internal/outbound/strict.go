package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Strict is for strangers (SEC-05 to SEC-08). It keeps no connection: two
// requests never share one, so no request can use what was permitted for
// another.
type Strict struct {
	table   table
	timeout time.Duration
	begin   func(ctx context.Context, host string) (end func(status int, err error))
	log     *zap.Logger
}

// NewStrict makes the client for strangers. It does no I/O.
func NewStrict(cfg Config) *Strict {
	guarded := dialer{guard: newGuard(), resolve: cfg.Resolve, dns: cfg.DNS, timeout: hop(cfg.timeout())}
	return &Strict{table: newTable(cfg, route{dialer: guarded}), timeout: cfg.timeout(), begin: cfg.begin, log: cfg.log()}
}

// Get does one GET. Errors: ErrBlocked (policy), ErrTemporary (timeout, connect, TLS, truncated,
// oversized; 408/425/429/5xx are returned as Response), both wrapped.
func (s *Strict) Get(ctx context.Context, r Request) (*Response, error) {
	resp, err := s.get(ctx, r)
	if errors.Is(err, ErrBlocked) {
		s.log.Debug("outbound request not made", zap.Error(err))
	}
	return resp, err
}

func (s *Strict) get(ctx context.Context, r Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, blocked("not a URL")
	}
	next, found, err := s.start(u, !r.NoExceptions)
	if err != nil {
		return nil, err
	}
	for left := min(max(r.Redirects, 0), maxRedirects); ; left-- {
		resp, location, err := s.hop(ctx, found, next, r)
		if err != nil || location == "" {
			return resp, err
		}
		if left == 0 {
			return nil, blocked("too many redirects")
		}
		if next, err = redirected(next, location); err != nil {
			return nil, err
		}
		found = s.table.rest // SEC-29: no exception survives a redirect
	}
}

// start checks the first URL and finds its route: port 443, or an entry.
func (s *Strict) start(u *url.URL, exceptions bool) (*url.URL, route, error) {
	if err := check(u); err != nil {
		return nil, route{}, err
	}
	if r, ok := s.table.find(HostPort(u), exceptions); ok {
		return u, r, nil
	}
	return u, s.table.rest, checkPort(u)
}

func checkPort(u *url.URL) error {
	if !strings.HasSuffix(HostPort(u), ":443") {
		return blocked("port is not 443")
	}
	return nil
}

// redirected is where a Location leads to; it must pass the rules for strangers
// whatever the first URL was.
func redirected(from *url.URL, location string) (*url.URL, error) {
	u, err := from.Parse(location)
	if err != nil {
		return nil, blocked("redirect to something that is no URL")
	}
	if err := check(u); err != nil {
		return nil, err
	}
	return u, checkPort(u)
}

// check: https only, no credentials, a host that every program reads alike.
func check(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Scheme != "https", u.Opaque != "":
		return blocked("not https")
	case u.User != nil:
		return blocked("credentials in the URL")
	case host == "", strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || r == '%' }):
		return blocked("host is not a plain name")
	case strings.HasSuffix(u.Host, ":"):
		return blocked("empty port")
	}
	return nil
}

// hop does one request. A location is given for a redirect, else a response.
func (s *Strict) hop(ctx context.Context, via route, u *url.URL, r Request) (*Response, string, error) {
	ctx, cancel := context.WithTimeout(ctx, hop(s.timeout))
	defer cancel()
	seen := &trace{hop: Hop{URL: u.String()}}
	end := s.begin(ctx, u.Host)
	resp, location, err := s.exchange(seen.in(ctx), via, u, r, seen)
	end(seen.status(), err)
	if r.Watch != nil {
		r.Watch(seen.over(err))
	}
	return resp, location, err
}

func (s *Strict) exchange(ctx context.Context, via route, u *url.URL, r Request, seen *trace) (*Response, string, error) {
	req, err := newRequest(ctx, u, r.Accept)
	if err != nil {
		return nil, "", blocked("not a URL")
	}
	if r.Admit != nil {
		via.lease = &lease{admit: r.Admit}
		defer via.lease.end()
	}
	resp, err := once(via, req)
	if Lost(err) && ctx.Err() == nil {
		resp, err = once(via, req)
	}
	if err != nil {
		return nil, "", classify(err, seen.connected())
	}
	defer func() { _ = resp.Body.Close() }()
	seen.answered(resp)
	if location := resp.Header.Get("Location"); isRedirect(resp.StatusCode) && location != "" {
		return nil, location, nil
	}
	answer, err := read(resp, r.MaxBody)
	// A server may end a body in good form when it sees us give up.
	if err == nil && ctx.Err() != nil {
		return nil, "", temporary(ctx.Err())
	}
	return answer, "", err
}

// once sends a request over a connection of its own.
func once(via route, req *http.Request) (*http.Response, error) {
	tr := via.transport()
	tr.DisableKeepAlives = true
	return tr.RoundTrip(req)
}

// newRequest sends nothing that would tell one server about another: no
// cookies, no credentials, no referrer.
func newRequest(ctx context.Context, u *url.URL, accept string) (*http.Request, error) {
	clean := *u
	clean.Fragment, clean.RawFragment = "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, clean.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	return req, nil
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// read takes the body of a 2xx. That of an error is of no interest, and its
// size must not turn a definite no into a temporary failure.
func read(resp *http.Response, limit int64) (*Response, error) {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	answer := &Response{Status: resp.StatusCode, ContentType: mediaType, FinalURL: resp.Request.URL.String()}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answer, nil
	}
	if encoded(resp) {
		return nil, temporary(ErrEncoded)
	}
	body, err := readBody(resp, limit)
	if err != nil {
		return nil, temporary(err)
	}
	answer.Body = body
	return answer, nil
}

func encoded(resp *http.Response) bool {
	e := resp.Header.Get("Content-Encoding")
	return e != "" && !strings.EqualFold(e, "identity")
}

func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if limit <= 0 {
		limit = defaultBody
	}
	// Without a length or chunks only the end of the connection ends the body,
	// and crypto/tls takes a cut connection for an end: anybody on the way could
	// shorten the answer.
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		return nil, ErrUnframed
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, ErrTooLarge
	}
	return body, nil
}

// classify tells what our rules stopped from what may work later.
func classify(err error, connected bool) error {
	switch {
	case isGuards(err), errors.Is(err, errNotAddress):
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	case !connected:
		return fmt.Errorf("%w: %w: %w", ErrTemporary, ErrConnect, err)
	default:
		return temporary(err)
	}
}

func temporary(err error) error { return fmt.Errorf("%w: %w", ErrTemporary, err) }

func blocked(why string) error { return fmt.Errorf("%w: %s", ErrBlocked, why) }
