package sts

import (
	"bytes"
	"io"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// token is {issuer}/sts/token. The form is parsed once; the exchange is ours,
// every other grant is Other's.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	// RFC 6749 §3.2: the client MUST use POST.
	if !s.allow(w, r, http.MethodPost) {
		return
	}
	form, body, err := readForm(r)
	if err != nil {
		oauth.WriteError(w, s.malformed(r, body, err))
		return
	}
	switch grant := form.Get("grant_type"); {
	case grant == "":
		oauth.WriteError(w, oauth.Errorf(oauth.CodeInvalidRequest, "grant_type is missing"))
	case grant == oauth.GrantTokenExchange:
		s.exchange(w, r, form)
	case s.other != nil:
		s.other.ServeHTTP(w, restored(r, body))
	default:
		oauth.WriteError(w, oauth.Errorf(oauth.CodeUnsupportedGrantType, "the grant_type is not supported"))
	}
}

// malformed tells of a form that could not be read, if it was meant for us: who
// tries how two parsers could disagree about an exchange should be seen. It gives
// the answer: err, or 429 for who tries too often.
func (s *Server) malformed(r *http.Request, body []byte, err error) error {
	if s.other != nil && !bytes.Contains(body, []byte("token-exchange")) {
		return err
	}
	if ok, wait := s.sources.Allow(s.stranger(r)); !ok {
		err = oauth.TooMany(wait)
	}
	s.tell(r.Context(), event.Exchange{Issuer: s.issuer}, err)
	return err
}

// readForm parses the form and keeps its bytes for another handler.
func readForm(r *http.Request) (oauth.Form, []byte, error) {
	var body bytes.Buffer
	tee := *r
	tee.Body = io.NopCloser(io.TeeReader(r.Body, &body))
	form, err := oauth.ParseForm(&tee, oauth.MaxForm)
	return form, body.Bytes(), err
}

// restored is r as if nobody had read it, without a query: libraries merge its
// parameters into the form, and those of a token request must not come from the
// URL (RFC 6749 §3.2, CONFORMANCE OA-01).
func restored(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body = io.NopCloser(bytes.NewReader(body))
	c.ContentLength = int64(len(body))
	c.URL.RawQuery, c.URL.ForceQuery = "", false
	c.Form, c.PostForm, c.MultipartForm = nil, nil, nil
	return c
}
