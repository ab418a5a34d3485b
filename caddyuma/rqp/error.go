package rqp

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// Codes of StepError that no server sends.
const (
	// CodeUnreachable: no answer.
	CodeUnreachable = "unreachable"
	// CodeBadAnswer: an answer that is not what the protocol says.
	CodeBadAnswer = "bad_answer"
	// CodeUntrusted: the client does not do what the resource server wants.
	CodeUntrusted = "untrusted"
	// CodeNoIdentity: nothing to identify the user with.
	CodeNoIdentity = "no_identity"
)

// StepError says which of the nine steps failed, who said no, why, and what to
// try. It holds no ticket and no token.
type StepError struct {
	// Step is 1 to 9; 0 is the login before them.
	Step int
	// Name says what was being done.
	Name string
	// Who is the host that refused; empty if the client itself did.
	Who string
	// Status is the HTTP status of the refusal, 0 if there was no answer.
	Status int
	// Code is the `error` of the answer, or a Code of this package.
	Code string
	// Description is a sentence about the reason, of the server if it gave one.
	Description string
	// DecisionID finds the decision in the log of the authorization server.
	DecisionID string
	// ConsentURI is where the user can agree to what his provider refused with
	// consent_required: an https URL at the origin of the provider.
	ConsentURI string
	// Hint is what to try.
	Hint string
	// Err is the cause, if it is an error of this program.
	Err error
}

// Error is for people, on a terminal.
func (e *StepError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed", e.Name)
	if e.Step > 0 {
		b.Reset()
		fmt.Fprintf(&b, "step %d, %s, failed", e.Step, e.Name)
	}
	b.WriteString(": " + e.reason())
	if e.DecisionID != "" {
		b.WriteString("; decision " + e.DecisionID)
	}
	if e.Hint != "" {
		b.WriteString(". Try: " + e.Hint)
	}
	return printable(b.String())
}

func (e *StepError) reason() string {
	said := e.Code
	if e.Status != 0 {
		said = fmt.Sprintf("%s (status %d)", e.Code, e.Status)
	}
	switch {
	case e.Who != "" && e.Code == CodeUnreachable:
		said = e.Who + " does not answer"
	case e.Who != "" && e.Code == CodeBadAnswer:
		said = "the answer of " + e.Who + " is not acceptable"
	case e.Who != "":
		said = e.Who + " said " + said
	case e.Code == CodeNoIdentity:
		said = "there is no access token"
	case e.Code == CodeUntrusted:
		said = "stopped by this client"
	}
	if e.Description != "" {
		said += ": " + e.Description
	}
	if e.Err != nil {
		said += ": " + e.Err.Error()
	}
	return said
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// at sets where in the dance an error happened, unless that is known.
func at(step int, name string, err error) error {
	var e *StepError
	if !errors.As(err, &e) {
		return &StepError{Step: step, Name: name, Code: CodeUnreachable, Err: bare(err)}
	}
	if e.Name == "" {
		e.Step, e.Name = step, name
	}
	return e
}

// bare takes the URL away from an error of http.Client: it may say too much.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func untrusted(hint, format string, args ...any) *StepError {
	return &StepError{Code: CodeUntrusted, Description: fmt.Sprintf(format, args...), Hint: hint}
}

func badAnswer(u *url.URL, status int, format string, args ...any) *StepError {
	return &StepError{Code: CodeBadAnswer, Who: u.Host, Status: status, Description: fmt.Sprintf(format, args...)}
}

// printable takes out what could steer a terminal: names of hosts and the causes
// of errors of net and TLS hold text of strangers as it came.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// plain makes text of a stranger fit for a terminal: printable ASCII, capped.
func plain(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= limit {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}
