package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Limits of answers in bytes.
const (
	maxAnswer = 64 << 10
	maxKeys   = 256 << 10
)

// What can go wrong at the provider. None of these says anything about a token.
var (
	errDown   = errors.New("the provider could not be reached a moment ago")
	errBusy   = errors.New("too many calls of the provider at a time")
	errStatus = errors.New("the provider answers with an unexpected status")
	errLarge  = errors.New("the provider's answer is too large")
	errType   = errors.New("the provider's answer is no JSON")
	errConfig = errors.New("the provider refuses our own credentials")
)

// answer is one of the provider's.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get fetches a JSON document.
func (u *Upstream) get(ctx context.Context, uri string, limit int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	a, err := u.call(r, limit)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%w %d", errStatus, a.status)
	}
	return a.body, nil
}

// form makes a POST of a form.
func form(ctx context.Context, uri string, values url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

// call sends a request, within the bounds of time, size and number. Errors never
// hold the request: it may carry a token.
func (u *Upstream) call(r *http.Request, limit int64) (answer, error) {
	if u.down.lasts(r.URL.Host, u.cfg.Now()) {
		return answer{}, errDown
	}
	select {
	case u.places <- struct{}{}:
		defer func() { <-u.places }()
	default:
		return answer{}, errBusy
	}
	a, connected, err := u.ask(r, limit)
	if !connected {
		u.down.begin(r.URL.Host, u.cfg.Now())
	}
	return a, err
}

// ask sends a request; connected tells whether there was an answer, of use or not.
func (u *Upstream) ask(r *http.Request, limit int64) (a answer, connected bool, err error) {
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	r.Header.Set("User-Agent", "caddy-uma")
	res, err := u.cfg.HTTP.Do(r)
	if err != nil {
		return answer{}, false, bare(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return answer{}, true, bare(err)
	}
	if int64(len(body)) > limit {
		return answer{}, true, errLarge
	}
	return answer{res.StatusCode, res.Header, body}, true, nil
}

// bare is a cause without the URL.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// check wants what an endpoint answers that has something to say of a token.
func (a answer) check() error {
	if a.status != http.StatusOK {
		return fmt.Errorf("%w %d", errStatus, a.status)
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return errType
	}
	return nil
}
