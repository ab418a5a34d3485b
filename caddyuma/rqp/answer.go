package rqp

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxAnswer is the largest document or token answer that is read.
const maxAnswer = 256 << 10

var errTooLarge = errors.New("the answer is too large")

// answer is what a server said, read whole.
type answer struct {
	status int
	kind   string // media type
	body   []byte
	from   *url.URL
	header http.Header
	// location is where a redirect leads to; it is followed for WebFinger only.
	location string
}

// get reads a public document.
func get(ctx context.Context, client *http.Client, u *url.URL) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, badAnswer(u, 0, "not a URL")
	}
	req.Header.Set("Accept", "application/json")
	return read(client, req)
}

// credentials are a client's at one server.
type credentials struct{ id, secret string }

// post sends a form once: a ticket is spent by being presented (CONFORMANCE A2).
// The transport may send it again only if the server has seen nothing of it: a
// POST is not idempotent (RFC 9110 §9.2.2), so it does that for connections that
// failed before a byte was written, and for HTTP/2 streams that the server says it did
// not process (RFC 9113 §6.8), as one does that reloads.
func post(ctx context.Context, client *http.Client, u *url.URL, form url.Values, creds credentials) (*answer, error) {
	req, err := newPost(ctx, u, form, creds)
	if err != nil {
		return nil, err
	}
	return read(client, req)
}

func newPost(ctx context.Context, u *url.URL, form url.Values, creds credentials) (*http.Request, error) {
	if creds.secret == "" { // RFC 6749 §2.3.1: a public client names itself in the body
		form.Set("client_id", creds.id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, badAnswer(u, 0, "not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if creds.secret != "" {
		req.SetBasicAuth(url.QueryEscape(creds.id), url.QueryEscape(creds.secret))
	}
	return req, nil
}

func read(client *http.Client, req *http.Request) (*answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(req.URL, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errTooLarge
	}
	if err != nil {
		return nil, &StepError{Code: CodeBadAnswer, Who: req.URL.Host, Status: resp.StatusCode, Err: bare(err)}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return &answer{status: resp.StatusCode, kind: kind, body: body, from: req.URL, header: resp.Header, location: locationOf(resp)}, nil
}

// locationOf is empty unless the answer redirects (RFC 9110 §15.4).
func locationOf(resp *http.Response) string {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location")
	}
	return ""
}

func unreachable(u *url.URL, err error) *StepError {
	return &StepError{
		Code: CodeUnreachable, Who: u.Host, Err: bare(err),
		Hint: "whether the host name is right, its server runs, and its certificate is of a CA that you trust",
	}
}

// isJSON tells a document from a page.
func (a *answer) isJSON() bool {
	return a.kind == "application/json" || strings.HasSuffix(a.kind, "+json")
}

// decode reads the body of a 200 strictly.
func (a *answer) decode(v any) error {
	if a.status != http.StatusOK {
		return badAnswer(a.from, a.status, "status 200 was expected from %s", where(a.from))
	}
	if !a.isJSON() || oauth.DecodeObject(a.body, v) != nil {
		return badAnswer(a.from, a.status, "no JSON object at %s", where(a.from))
	}
	return nil
}

// refusal is the body of an error answer (RFC 6749 §5.2, UMA Grant §3.3.6).
type refusal struct {
	Code           string           `json:"error"`
	Description    string           `json:"error_description"`
	DecisionID     string           `json:"decision_id"`
	Ticket         string           `json:"ticket"`
	RedirectUser   string           `json:"redirect_user"`
	ConsentURI     string           `json:"consent_uri"`
	RequiredClaims []requiredClaims `json:"required_claims"`
}

type requiredClaims struct {
	Formats formats `json:"claim_token_format"`
}

// formats is an array; some servers send a string.
type formats []string

// UnmarshalJSON implements json.Unmarshaler.
func (f *formats) UnmarshalJSON(data []byte) error {
	var one string
	if oauth.DecodeJSON(data, &one) == nil {
		*f = formats{one}
		return nil
	}
	return oauth.DecodeJSON(data, (*[]string)(f))
}

// refused makes an error of an answer that is no success.
func (a *answer) refused() (*StepError, refusal) {
	var r refusal
	if !a.isJSON() || oauth.DecodeObject(a.body, &r) != nil || r.Code == "" {
		e := badAnswer(a.from, a.status, "neither a token nor an error of OAuth")
		if a.status >= http.StatusInternalServerError {
			e.Hint = "again later; the server has a problem of its own"
		}
		return e, refusal{}
	}
	return &StepError{
		Who: a.from.Host, Status: a.status, Code: plain(r.Code, 60),
		Description: plain(r.Description, 300), DecisionID: plain(r.DecisionID, 60),
	}, r
}
