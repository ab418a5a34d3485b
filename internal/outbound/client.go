package outbound

import (
	"errors"
	"io"
	"net/http"
)

// maxAnswer is the largest body that the client of NewStrictClient gives.
const maxAnswer = 1 << 20

// NewStrictClient is a client for any method under the rules of Strict, for a
// caller that follows where strangers' documents lead (the requesting-party
// client: CONFORMANCE SEC-29). Redirects are given as they are, connections are
// not kept, a body that is larger than 1 MiB ends in an error.
func NewStrictClient(cfg Config) *http.Client {
	return &http.Client{
		Transport:     &strictTransport{strict: NewStrict(cfg)},
		Timeout:       cfg.timeout(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type strictTransport struct{ strict *Strict }

// RoundTrip implements http.RoundTripper.
func (t *strictTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	_, via, err := t.strict.start(r.URL, true)
	if err != nil {
		if r.Body != nil { // http.RoundTripper: always closed
			_ = r.Body.Close()
		}
		return nil, err
	}
	tr := via.transport()
	tr.DisableKeepAlives = true
	tr.ResponseHeaderTimeout = hop(t.strict.timeout)
	seen := new(trace)
	resp, err := tr.RoundTrip(r.WithContext(seen.in(r.Context())))
	if err != nil {
		return nil, classify(err, seen.connected())
	}
	if encoded(resp) {
		_ = resp.Body.Close()
		return nil, temporary(ErrEncoded)
	}
	resp.Body = &capped{ReadCloser: resp.Body, left: maxAnswer, gaveUp: r.Context().Err}
	return resp, nil
}

// capped is a body that ends in an error where it gets too large.
type capped struct {
	io.ReadCloser
	left   int64
	gaveUp func() error
}

// Read implements io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, temporary(ErrTooLarge)
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.ReadCloser.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n - 1, temporary(ErrTooLarge)
	}
	// A server may end a body in good form when it sees us give up.
	if gone := c.gaveUp(); errors.Is(err, io.EOF) && gone != nil {
		return n, temporary(gone)
	}
	return n, err
}

var _ http.RoundTripper = (*strictTransport)(nil)
