package wrap

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// sloppy gives a path as a careless server might read it: without escapes, path
// parameters, back slashes, empty and dot segments, differences of case and
// whatever trails. Two paths that one server takes for the same have the same
// sloppy form.
func sloppy(p string) string {
	for range maxDecodings {
		plain := unescape(p)
		if plain == p {
			break
		}
		p = plain
	}
	p = strings.ReplaceAll(strings.ToLower(p), "\\", "/")
	segments := strings.Split(p, "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";") // RFC 3986 §3.3: parameters of a segment
		segments[i] = strings.TrimRight(s, "\x00 \t\r\n")
	}
	p = path.Clean("/" + strings.Join(segments, "/"))
	return strings.TrimRight(p, "./")
}

// isToken tells whether a request is for the provider's token endpoint, or could
// be taken for one. The two header fields are honoured by some frameworks.
func (p *provider) isToken(r *http.Request) bool {
	if p.token == "" {
		return false
	}
	if r.URL.Path == p.token || sloppy(r.URL.Path) == p.sloppyToken || sloppy(r.URL.EscapedPath()) == p.sloppyToken {
		return true
	}
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url"} {
		if slices.ContainsFunc(r.Header[name], p.names) {
			return true
		}
	}
	return false
}

// names tells whether text is a URL or path of the token endpoint.
func (p *provider) names(text string) bool {
	text, _, _ = strings.Cut(text, "?")
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		text = u.EscapedPath()
	}
	return sloppy(text) == p.sloppyToken
}
