package rs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// maxAnswer bounds what is read of an answer, unless the request says otherwise.
const maxAnswer = 1 << 20

// answer is an answer of the authorization server, read in full.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// statusError is an answer that we cannot use. It holds no text of the answer:
// it could contain a credential.
type statusError struct {
	what   string
	status int
	code   string
}

func (e *statusError) Error() string {
	if e.code == oauth.CodeInvalidClient {
		return fmt.Sprintf("%s: the authorization server answered %d %s: client_id and secret (or key) must be those of its line resource_server", e.what, e.status, e.code)
	}
	if e.code != "" {
		return fmt.Sprintf("%s: the authorization server answered %d %s", e.what, e.status, e.code)
	}
	return fmt.Sprintf("%s: the authorization server answered %d", e.what, e.status)
}

// answerError is why a call got no whole answer.
type answerError struct{ error }

// Unwrap gives the cause.
func (e *answerError) Unwrap() error { return e.error }

func (a *answer) failure(what string) error {
	return &statusError{what: what, status: a.status, code: a.errorCode()}
}

// errorCode gives the member error, if it looks like a code.
func (a *answer) errorCode() string {
	var body struct {
		Error string `json:"error"`
	}
	if oauth.DecodeObject(a.body, &body) != nil || len(body.Error) > 64 {
		return ""
	}
	for i := range len(body.Error) {
		if c := body.Error[i]; (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9') {
			return ""
		}
	}
	return body.Error
}

// request is one call; content is the media type of body, accept that of the answer
// (default JSON), etag what of it is known already, limit how long it may be.
type request struct {
	call                 Call
	method, url, content string
	accept, etag         string
	limit                int64
	body                 []byte
	bearer               string
	basic                *url.Userinfo
	once                 bool // it holds an assertion, which no authorization server takes twice
}

// send does one call. The URL stems from metadata of the issuer, which the
// administrator named; it must be https, because credentials go there.
func (s *Server) send(ctx context.Context, r request) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil || req.URL.Scheme != "https" || req.URL.Host == "" || req.URL.User != nil {
		return nil, errors.New("an endpoint of the authorization server is no https URL")
	}
	req.Header.Set("Accept", or(r.accept, "application/json"))
	if r.etag != "" {
		req.Header.Set("If-None-Match", r.etag)
	}
	if r.content != "" {
		req.Header.Set("Content-Type", r.content)
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	if r.basic != nil {
		secret, _ := r.basic.Password()
		req.SetBasicAuth(r.basic.Username(), secret)
	}
	resp, err := s.cfg.AS(r.call, req)
	if outbound.Lost(err) && r.repeatable() {
		if req.Body, err = req.GetBody(); err == nil {
			resp, err = s.cfg.AS(r.call, req)
		}
	}
	if err != nil {
		return nil, &answerError{fmt.Errorf("calling the authorization server: %w", err)}
	}
	defer func() { _ = resp.Body.Close() }()
	s.hear(resp.StatusCode)
	return readAnswer(resp, max(r.limit, maxAnswer))
}

// repeatable: what asks or says how something is to be may be sent twice; what makes
// something may not, nor what is good once (see loadPAT).
func (r request) repeatable() bool {
	return !r.once && (r.call != CallRegistration || r.method != http.MethodPost)
}

func readAnswer(resp *http.Response, limit int64) (*answer, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, &answerError{fmt.Errorf("reading the authorization server's answer: %w", err)}
	}
	if int64(len(body)) > limit {
		return nil, errors.New("the authorization server's answer is too large")
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// protected does a call of the protection API. CONFORMANCE UF-06: if the PAT is
// refused a new one is fetched and the call is done once more.
func (s *Server) protected(ctx context.Context, r request) (*answer, error) {
	for attempt := 0; ; attempt++ {
		p, err := s.currentPAT(ctx)
		if err != nil {
			return nil, err
		}
		r.bearer = p.token
		a, err := s.send(ctx, r)
		if err != nil || a.status != http.StatusUnauthorized || attempt > 0 {
			return a, err
		}
		s.pat.forget(func(have pat) bool { return have.token == p.token })
	}
}
