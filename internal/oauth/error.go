package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes. The comment names the source that defines the code.
const (
	CodeInvalidRequest       = "invalid_request"        // RFC 6749 §5.2
	CodeInvalidClient        = "invalid_client"         // RFC 6749 §5.2
	CodeInvalidGrant         = "invalid_grant"          // RFC 6749 §5.2
	CodeUnauthorizedClient   = "unauthorized_client"    // RFC 6749 §5.2
	CodeUnsupportedGrantType = "unsupported_grant_type" // RFC 6749 §5.2
	CodeInvalidScope         = "invalid_scope"          // RFC 6749 §5.2
	CodeServerError          = "server_error"           // RFC 6749 §4.1.2.1
	CodeUnavailable          = "temporarily_unavailable"
	CodeSlowDown             = "slow_down"               // RFC 8628 §3.5, with 429
	CodeInvalidTarget        = "invalid_target"          // RFC 8693 §2.2.2
	CodeInvalidToken         = "invalid_token"           // RFC 6750 §3.1
	CodeInsufficientScope    = "insufficient_scope"      // RFC 6750 §3.1
	CodeInvalidDPoPProof     = "invalid_dpop_proof"      // RFC 9449 §5
	CodeUnsupportedTokenType = "unsupported_token_type"  // RFC 7009 §2.2.1
	CodeUseDPoPNonce         = "use_dpop_nonce"          // RFC 9449 §8
	CodeNeedInfo             = "need_info"               // UMA Grant §3.3.6
	CodeRequestDenied        = "request_denied"          // UMA Grant §3.3.6
	CodeConsentRequired      = "consent_required"        // OpenID Connect Core §3.1.2.6
	CodeNotFound             = "not_found"               // UMA Fed §3.2
	CodeUnsupportedMethod    = "unsupported_method_type" // UMA Fed §3.2
	CodeInvalidResourceID    = "invalid_resource_id"     // UMA Fed §4.3

	CodeInvalidClientMetadata = "invalid_client_metadata" // RFC 7591 §3.2.2
	CodeInvalidRedirectURI    = "invalid_redirect_uri"    // RFC 7591 §3.2.2
)

// Error is an error response of OAuth (RFC 6749 §5.2, UMA Grant §3.3.6). It is
// returned by whatever decides and written by WriteError alone.
type Error struct {
	// Code is the value of `error`.
	Code string
	// Description is a sentence of ours, never text of another error and never
	// input: it leaves the server.
	Description string
	// Status is the HTTP status; 0 means 400.
	Status int
	// Extra holds further members of the body (ticket, required_claims, …).
	Extra map[string]any
	// Header holds further header fields (WWW-Authenticate, Retry-After, …).
	Header http.Header
	// Err is the cause, for the log only.
	Err error
}

// Error is for logs: it contains the cause.
func (e *Error) Error() string {
	s := e.Code
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Because returns a copy of e that carries a cause for the log.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Errorf makes an Error with status 400. The format is for constants and for
// names of parameters; never pass input of a request.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// Unavailable is the answer when something could not be recorded or read: 503
// and nothing is issued (CONFORMANCE SEC-13).
func Unavailable(err error) *Error {
	return &Error{
		Code: CodeUnavailable, Status: http.StatusServiceUnavailable,
		Description: "the server cannot do this at the moment; try again later",
		Header:      http.Header{"Retry-After": {"5"}}, Err: err,
	}
}

// AsError gives err as an Error; anything foreign becomes server_error with
// status 500, without a description (the cause goes to the log only).
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeServerError, Status: http.StatusInternalServerError, Err: err}
}

// WriteError writes err as JSON. It is the only writer of protocol errors.
func WriteError(w http.ResponseWriter, err error) {
	e := AsError(err)
	body := make(map[string]any, len(e.Extra)+2)
	maps.Copy(body, e.Extra)
	body["error"] = e.Code
	if e.Description != "" {
		body["error_description"] = strings.Map(permitted, e.Description)
	}
	for name, values := range e.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	WriteJSON(w, status, body)
}

// permitted drops what must not stand in error_description (RFC 6749 §5.2).
func permitted(r rune) rune {
	if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
		return -1
	}
	return r
}

// WriteJSON writes an answer that must not be stored (RFC 6749 §5.1).
func WriteJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	writeJSON(w, status, v)
}

// WriteDocument writes public JSON that may be cached for the given number of
// seconds (metadata, JWKS).
func WriteDocument(w http.ResponseWriter, maxAge int, v any) {
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", maxAge))
	writeJSON(w, http.StatusOK, v)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// TooMany is the answer to a source that asks too often: 429 and the whole
// seconds to wait (CONFORMANCE SEC-18).
func TooMany(wait time.Duration) *Error {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return &Error{
		Code: CodeSlowDown, Status: http.StatusTooManyRequests,
		Description: "too many requests; wait before the next one",
		Header:      http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}},
	}
}
