package discovery

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// How long something is remembered that did not work (DESIGN §4): a connection
// may work in a moment (Caddy's own certificates come some 100 ms after load),
// a wrong document is changed by people.
const (
	forConnect = 5 * time.Second
	forStatus  = 30 * time.Second
	forWrong   = 60 * time.Second
)

// lookupError is why there is no provider. Its text is ours; the cause, which may
// quote a stranger, is for the debug log alone.
type lookupError struct {
	kind   error // ErrNoIssuer or ErrTemporary
	reason string
	keep   time.Duration
	cause  error
}

// Error implements error.
func (f *lookupError) Error() string { return f.kind.Error() + ": " + f.reason }

// Unwrap gives the sentinel.
func (f *lookupError) Unwrap() error { return f.kind }

func final(reason string, keep time.Duration) *lookupError {
	return &lookupError{kind: ErrNoIssuer, reason: reason, keep: keep}
}

func temporary(reason string, keep time.Duration) *lookupError {
	return &lookupError{kind: ErrTemporary, reason: reason, keep: keep}
}

func (f *lookupError) because(cause error) *lookupError {
	f.cause = cause
	return f
}

// bare is an error as it may be remembered: the cause can be as long as what a
// stranger sent, and was logged.
func bare(err error) error {
	if f := (*lookupError)(nil); errors.As(err, &f) {
		return &lookupError{kind: f.kind, reason: f.reason, keep: f.keep}
	}
	return err
}

// unanswered says what an error of the client means (A13).
func unanswered(err error) *lookupError {
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errOften): // our own doing, not the domain's
		return temporary("too many look-ups in one network", 0).because(err)
	case errors.Is(err, outbound.ErrBlocked):
		return final("blocked by the rules for outbound requests", forWrong).because(err)
	case errors.Is(err, outbound.ErrConnect):
		return temporary("cannot connect", forConnect).because(err)
	default:
		return temporary("no whole answer", forStatus).because(err)
	}
}

// isTemporary: these statuses say nothing about what is asked for (A13).
func isTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// keepFor is how long an error is remembered; one that is not ours is not.
func keepFor(err error) time.Duration {
	if f := (*lookupError)(nil); errors.As(err, &f) {
		return f.keep
	}
	return 0
}

// keepKeys is how long it is remembered that a key set could not be read. An
// error that is not ours is about its content.
func keepKeys(err error) time.Duration {
	if f := (*lookupError)(nil); errors.As(err, &f) {
		return f.keep
	}
	return forWrong
}

var _ error = (*lookupError)(nil)
