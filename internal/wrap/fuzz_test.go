package wrap

import (
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
)

// FuzzTokenEndpoint: what passes the token endpoint is byte for byte what came,
// and no lenient parser finds the exchange in it.
func FuzzTokenEndpoint(f *testing.F) {
	for _, s := range smuggled() {
		_, query, _ := strings.Cut(s.path, "?")
		f.Add(query, s.contentType, "", s.body)
	}
	f.Add("", formType, "gzip", goodForm)
	f.Add("p=x", formType, "", "grant_type=authorization_code")
	f.Add("", "multipart/form-data; boundary=b", "", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n")
	op := newOP()
	front := newFront(f, func(c *Config) {
		c.Exchange = func(string) http.Handler { return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) }
	})
	know(f, front, op)
	f.Fuzz(func(t *testing.T, query, contentType, encoding, body string) {
		r := httptest.NewRequest(http.MethodPost, "https://sso.bob.example"+theirToken, strings.NewReader(body))
		r.URL.RawQuery = query
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		passed := false
		err := front.ServeHTTP(httptest.NewRecorder(), r, next(func(_ http.ResponseWriter, r *http.Request) error {
			passed = true
			got, err := io.ReadAll(r.Body)
			if err != nil || string(got) != body || r.URL.RawQuery != query || r.ContentLength != int64(len(body)) {
				t.Errorf("passed %q, %v, query %q", got, err, r.URL.RawQuery)
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if !passed {
			return
		}
		for name, values := range lenient(query, contentType, body) {
			for _, v := range values {
				if meansExchange(v) {
					t.Errorf("%s finds %q in what was passed", name, v)
				}
			}
		}
	})
}

// meansExchange compares as carelessly as an OP might.
func meansExchange(v string) bool {
	v = strings.Map(func(r rune) rune {
		if r == 0 || r == 0xfeff || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, v)
	return strings.EqualFold(v, urn)
}

// lenient gives the values that parsers of other people find, by parser.
func lenient(query, contentType, body string) map[string][]string {
	found := make(map[string][]string)
	for where, text := range map[string]string{"query": query, "body": body} {
		values, _ := url.ParseQuery(text) // Go: what is broken is left out
		for _, v := range values {
			found["go "+where] = append(found["go "+where], v...)
		}
		for _, sep := range []string{"&", "&;", "&;,", "\n&"} {
			for _, pair := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(sep, r) }) {
				_, v, _ := strings.Cut(pair, "=")
				found["pairs "+where] = append(found["pairs "+where], sloppyDecode(v), sloppyDecode(sloppyDecode(v)), v)
			}
		}
	}
	found["json"] = jsonStrings(body)
	found["utf-16"] = jsonStrings(fromUTF16(body))
	for pair := range strings.SplitSeq(fromUTF16(body), "&") {
		_, v, _ := strings.Cut(pair, "=")
		found["utf-16"] = append(found["utf-16"], v, sloppyDecode(v))
	}
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["boundary"] != "" {
		found["multipart"] = parts(body, params["boundary"])
	}
	return found
}

// sloppyDecode takes %XX where it can and leaves the rest.
func sloppyDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(v)
				i += 2
				continue
			}
		}
		if s[i] == '+' {
			b.WriteByte(' ')
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func jsonStrings(text string) []string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return stringsIn(v)
}

func stringsIn(v any) (all []string) {
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case []any:
		for _, e := range v {
			all = append(all, stringsIn(e)...)
		}
	case map[string]any:
		for _, e := range v {
			all = append(all, stringsIn(e)...)
		}
	}
	return all
}

func fromUTF16(s string) string {
	var units []uint16
	for i := 0; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])|uint16(s[i+1])<<8)
	}
	return string(utf16.Decode(units))
}

func parts(body, boundary string) (all []string) {
	reader := multipart.NewReader(strings.NewReader(body), boundary)
	for {
		part, err := reader.NextPart() // decodes quoted-printable
		if err != nil {
			return all
		}
		value, _ := io.ReadAll(part)
		all = append(all, string(value))
	}
}
