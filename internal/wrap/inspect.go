package wrap

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// errExchange says that a request names the token exchange.
var errExchange = errors.New("the token exchange is named")

// peek reads the body of a request and puts it back: whoever reads the request
// next finds it as it came, its length and its trailers too. A body that is too
// large to be looked at is refused.
func peek(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	done := oauth.BoundBody(w, r, oauth.BodyTime)
	body, err := io.ReadAll(io.LimitReader(r.Body, oauth.MaxForm+1))
	done() // it was read whole, or is refused
	r.Body = &seen{Reader: io.MultiReader(bytes.NewReader(body), r.Body), Closer: r.Body}
	if err != nil {
		return nil, oauth.Unread(err)
	}
	if len(body) > oauth.MaxForm {
		return nil, &oauth.Error{
			Code: oauth.CodeInvalidRequest, Status: http.StatusRequestEntityTooLarge,
			Description: "the body is too large",
		}
	}
	return body, nil
}

// seen is a body that has been read once.
type seen struct {
	io.Reader
	io.Closer
}

// clean refuses what some parser could read as a token exchange, wherever in the
// request it stands, and what cannot be looked at. Cause of the first is
// errExchange.
func clean(r *http.Request, body []byte) error {
	if err := inspectable(r.Header, body); err != nil {
		return err
	}
	if mentionsExchange(string(body)) || mentionsExchange(r.URL.EscapedPath()+"?"+r.URL.RawQuery) || inHeader(r.Header) {
		return oauth.Errorf(oauth.CodeInvalidRequest,
			"a token exchange must be sent by POST as application/x-www-form-urlencoded, each parameter once, none of them in the URL").Because(errExchange)
	}
	return nil
}

// inHeader looks at all fields: cookies are parameters, too, for some languages. A
// header longer than a form may be is not gone through.
func inHeader(h http.Header) bool {
	length := 0
	for name, values := range h {
		for _, text := range append([]string{name}, values...) {
			if length += len(text); length > oauth.MaxForm || mentionsExchange(text) {
				return true
			}
		}
	}
	return false
}

// isExchange tells whether a request is an exchange as it must be written
// (RFC 8693 §2.1, CONFORMANCE OA-01, OA-02). The name of the grant stands in the
// body, and nowhere else.
func isExchange(r *http.Request, body []byte) bool {
	if r.Method != http.MethodPost || mentionsExchange(r.URL.EscapedPath()+"?"+r.URL.RawQuery) || inHeader(r.Header) {
		return false
	}
	form, err := oauth.ParseForm(&http.Request{Header: r.Header, Body: io.NopCloser(bytes.NewReader(body))}, oauth.MaxForm)
	return err == nil && form.Get("grant_type") == oauth.GrantTokenExchange
}

// ours is an exchange as our own token endpoint takes it. Parameters come from
// the body alone.
func ours(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	c.URL.RawQuery, c.URL.ForceQuery = "", false
	c.Form, c.PostForm, c.MultipartForm = nil, nil, nil
	return c
}

// mediaTypes of bodies whose escapes are known to mentionsExchange. "" is none.
var mediaTypes = map[string]bool{
	"": true, "application/x-www-form-urlencoded": true, "multipart/form-data": true, "application/json": true, "text/plain": true,
}

// charsets that write ASCII letters as ASCII. UTF-7, UTF-16 and EBCDIC do not.
var charsets = map[string]bool{
	"": true, "utf-8": true, "utf8": true, "us-ascii": true, "ascii": true,
	"iso-8859-1": true, "iso-8859-15": true, "latin1": true, "windows-1252": true,
}

// partEncoding and partCharset find how the parts of a multipart body are
// written.
var (
	partEncoding = regexp.MustCompile(`(?i)content-(?:transfer-)?encoding\s*:\s*([^\s;]*)`)
	partCharset  = regexp.MustCompile(`(?i)charset\*?[0-9]*\*?\s*=\s*"?([^"\s;]*)`)
)

// inspectable refuses a body that is written in a way that hides what a parser
// would find in it.
func inspectable(h http.Header, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	mediaType, ok := contentType(h)
	if !ok || !mediaTypes[mediaType] && !strings.HasSuffix(mediaType, "+json") {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the Content-Type must be application/x-www-form-urlencoded")
	}
	for _, e := range h.Values("Content-Encoding") {
		if !strings.EqualFold(e, "identity") {
			return oauth.Errorf(oauth.CodeInvalidRequest, "a Content-Encoding is not supported")
		}
	}
	// HTML §4.10.21.4: a form may name its character set in a field of this name.
	if strings.Contains(strings.ToLower(unescape(string(body))), "_charset_") ||
		mediaType == "multipart/form-data" && !plainParts(body) {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the character set or encoding is not supported")
	}
	return nil
}

// contentType gives the media type if there is at most one, with a character set
// that hides nothing.
func contentType(h http.Header) (string, bool) {
	switch len(h.Values("Content-Type")) {
	case 0:
		return "", true
	case 1:
	default:
		return "", false
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	return mediaType, err == nil && charsets[strings.ToLower(params["charset"])]
}

// plainParts tells whether all parts are written as they are.
func plainParts(body []byte) bool {
	for _, m := range partEncoding.FindAllSubmatch(body, -1) {
		switch strings.ToLower(string(m[1])) {
		case "7bit", "8bit", "binary", "identity":
		default:
			return false
		}
	}
	for _, m := range partCharset.FindAllSubmatch(body, -1) {
		if !charsets[strings.ToLower(string(m[1]))] {
			return false
		}
	}
	return true
}
