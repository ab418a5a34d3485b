package oauth

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Form is a parsed form body. Names and values are compared as they are
// (UMA Grant §1.1). An empty parameter counts as absent (RFC 6749 §3.2).
type Form map[string][]string

// Get gives the value of a parameter, "" when it is absent.
func (f Form) Get(name string) string {
	for _, v := range f[name] {
		if v != "" {
			return v
		}
	}
	return ""
}

// All gives the non-empty values of a parameter that may be repeated.
func (f Form) All(name string) []string {
	var all []string
	for _, v := range f[name] {
		if v != "" {
			all = append(all, v)
		}
	}
	return all
}

// repeatable parameters: RFC 8707 §2, RFC 8693 §2.1.
var repeatable = map[string]bool{"resource": true, "audience": true}

// ParseForm reads the body of r as a form of at most limit bytes. Parameters in
// the query are not read. Errors are *Error: those of ReadBody, else 400
// invalid_request.
func ParseForm(r *http.Request, limit int64) (Form, error) {
	if err := formHeaders(r.Header); err != nil {
		return nil, err
	}
	body, err := ReadBody(r, limit)
	if err != nil {
		return nil, err
	}
	return ParseFormBody(string(body))
}

// formHeaders refuses what two parsers could read in two ways.
func formHeaders(h http.Header) error {
	if len(h.Values("Content-Type")) != 1 {
		return Errorf(CodeInvalidRequest, "the Content-Type must be application/x-www-form-urlencoded")
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return Errorf(CodeInvalidRequest, "the Content-Type must be application/x-www-form-urlencoded")
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return Errorf(CodeInvalidRequest, "the Content-Type has a parameter that is not supported")
		}
	}
	if len(h.Values("Content-Encoding")) > 0 {
		return Errorf(CodeInvalidRequest, "a Content-Encoding is not supported")
	}
	return nil
}

var errRepeated = errors.New("repeated parameter")

// ParseFormBody parses a form body. RFC 6749 §3.2: parameters must not be
// repeated; RFC 8707 §2 makes an exception for resource and audience.
func ParseFormBody(body string) (Form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, Errorf(CodeInvalidRequest, "the body is not a valid form").Because(err)
	}
	for name, all := range values {
		if len(all) > 1 && !repeatable[name] {
			return nil, Errorf(CodeInvalidRequest, "a parameter is repeated").Because(errRepeated)
		}
		for _, v := range append(all, name) {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return nil, Errorf(CodeInvalidRequest, "a parameter is not valid text")
			}
		}
	}
	return Form(values), nil
}
