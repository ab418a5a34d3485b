package rs

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Refusal is the answer to a request that does not pass. Its texts are the same
// for everybody and tell nothing of resources, owners or policies (CONFORMANCE
// UG-65).
type Refusal struct {
	Status int
	// Header fields besides Content-Type; Cache-Control is no-store always.
	Header http.Header
	// Detail is a sentence for the person or program that reads the body.
	Detail string
	// DecisionID is that of the RPT that was not good enough, if it has one.
	DecisionID string
}

// Warning is the header field of UMA Grant §3.2.2. Deviation: RFC 9111 made the
// field obsolete; UMA clients look for it (CONFORMANCE A20).
const Warning = `199 - "UMA Authorization Server Unreachable"`

func refuse(status int, detail string) *Refusal {
	return &Refusal{Status: status, Detail: detail, Header: http.Header{"Cache-Control": {"no-store"}}}
}

func forbidden() *Refusal {
	return refuse(http.StatusForbidden, "This request is not allowed here.")
}

func unreachable() *Refusal {
	r := refuse(http.StatusForbidden, "The authorization server cannot be asked at the moment. Try again later.")
	r.Header.Set("Warning", Warning)
	return r
}

func unavailable() *Refusal {
	r := refuse(http.StatusServiceUnavailable, "The access token cannot be checked at the moment. Try again later.")
	r.Header.Set("Retry-After", "5")
	return r
}

func tooMany(wait time.Duration) *Refusal {
	r := refuse(http.StatusTooManyRequests, "Too many requests without access. Wait before the next one.")
	r.Header.Set("Retry-After", strconv.FormatInt(max(1, int64((wait+time.Second-1)/time.Second)), 10))
	return r
}

// BadRequest is the refusal of a request that can be read in two ways.
func BadRequest(detail string) *Refusal { return refuse(http.StatusBadRequest, detail) }

// Forbidden is the refusal of a request that no resource or scope covers
// (CONFORMANCE CA-05): no challenge, because no permission would help.
func Forbidden() *Refusal { return forbidden() }

// Apply sets the header fields alone, for a caller that has another body.
func (f *Refusal) Apply(h http.Header) {
	for name, values := range f.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
}

// Write writes the refusal: problem details (RFC 9457), or a short page if the
// request prefers one.
func (f *Refusal) Write(w http.ResponseWriter, r *http.Request) {
	f.Apply(w.Header())
	h := w.Header()
	h.Add("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/problem+json")
	body := f.problem()
	if prefersHTML(r.Header) {
		if page, err := f.page(); err == nil {
			pageHeaders(h)
			body = page
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func (f *Refusal) problem() []byte {
	body, _ := json.Marshal(struct {
		Title      string `json:"title"`
		Status     int    `json:"status"`
		Detail     string `json:"detail"`
		DecisionID string `json:"decision_id,omitempty"`
	}{http.StatusText(f.Status), f.Status, f.Detail, f.DecisionID})
	return body
}

// prefersHTML compares what Accept says about text/html with what it says
// about JSON (RFC 9110 §12.5.1); a program that says nothing gets JSON.
func prefersHTML(h http.Header) bool {
	return oauth.Accept(h, "text/html") > oauth.Accept(h, "application/json", "application/problem+json")
}
