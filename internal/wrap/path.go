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
	if r.URL.Path == p.token || p.takes(r.URL.Path) || p.takes(r.URL.EscapedPath()) {
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
	return p.takes(text)
}

// takes tells whether a careless server takes a path for the token endpoint. Some
// drop a format at its end (Rails: token.json) or add one that is left out, and
// a script gets whatever stands behind its name (CGI, RFC 3875 §4.1.5: PATH_INFO).
func (p *provider) takes(text string) bool {
	s := sloppy(text)
	script := stem(p.sloppyToken) != p.sloppyToken
	return stem(s) == stem(p.sloppyToken) || script && strings.HasPrefix(s, p.sloppyToken+"/")
}

// stem is a path without what follows the first dot inside its last segment.
func stem(p string) string {
	begin := strings.LastIndexByte(p, '/') + 1
	if dot := strings.IndexByte(p[begin:], '.'); dot > 0 {
		return p[:begin+dot]
	}
	return p
}
