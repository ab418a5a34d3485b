package caddyrs

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dunglas/go-urlpattern"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// pattern is a path with captures, /users/:user/photos/:id, in the syntax of
// URLPattern and read by the library of Caddy's matcher `url_pattern`. That matcher
// itself looks at the Host of a request, too, and matches nothing if it is odd: a
// request could fall through to another resource.
type pattern struct {
	compiled *urlpattern.URLPattern
	names    []string
	// prefix is the part before the first capture or *.
	prefix string
}

// captureText finds captures in a path: a colon before a letter. The name ends
// where that of a URLPattern does, but for letters beyond ASCII.
var captureText = regexp.MustCompile(`:([A-Za-z_$][A-Za-z0-9_$]*)`) //nolint:gochecknoglobals // a constant

func hasCaptures(path string) bool { return captureText.MatchString(path) }

// captureNames gives the captures of a path in their order.
func captureNames(path string) []string {
	var names []string
	for _, m := range captureText.FindAllStringSubmatch(path, -1) {
		names = append(names, m[1])
	}
	return names
}

// newPattern compiles a path. Of what URLPattern can do, captures and * are there:
// what a request is for must not hang on modifiers and expressions that people
// misread.
func newPattern(path string) (*pattern, error) {
	names := captureNames(path)
	switch rest := captureText.ReplaceAllString(path, ":"); {
	case len(names) == 0:
		return nil, errors.New("has no captures")
	case !strings.HasPrefix(path, "/"):
		return nil, errors.New("must begin with /")
	case strings.Contains(path, "//") || path != caddyhttp.CleanPath(path, true):
		return nil, errors.New("holds an empty or a dot segment, which no request has")
	case strings.Contains(rest, "::") || strings.Contains(rest, ":*"):
		return nil, errors.New("needs something between a capture and what follows it")
	case strings.ContainsAny(rest, `(){}[]?+\%#`):
		return nil, errors.New("can hold captures and * alone, no other signs of a pattern, and nothing escaped")
	case strings.ToLower(path) != strings.Map(lowerASCII, path):
		return nil, errors.New("must have its letters beyond ASCII in lower case, as no case is told apart")
	}
	compiled, err := (&urlpattern.URLPatternInit{Pathname: &path}).New(&urlpattern.Options{IgnoreCase: true})
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	p := &pattern{compiled: compiled, names: names, prefix: path[:strings.IndexAny(path, ":*")]}
	return p, p.check(path)
}

func lowerASCII(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return unicode.ToLower(r)
	}
	return r
}

// check makes sure that the library reads the pattern as it was read here.
func (p *pattern) check(path string) error {
	for i, name := range p.names {
		if !oauth.IsCaptureName(name) || slices.Contains(p.names[:i], name) {
			return fmt.Errorf("has the capture ':%s' twice, or its name is more than letters, digits and _", name)
		}
	}
	if len(p.names) > oauth.MaxCaptures {
		return fmt.Errorf("has more than %d captures", oauth.MaxCaptures)
	}
	for _, sample := range samples(path) {
		values, ok := p.exec(sample)
		for _, name := range p.names {
			ok = ok && values[name] == sampleText
		}
		if !ok {
			return errors.New("cannot be read: a name is more than letters, digits and _, or a sign has a meaning of its own")
		}
	}
	return nil
}

// match gives what a path has for the captures, nil if it does not match. Of a path
// that matches in another case of letters beyond ASCII alone, folded is true and the
// values are in lower case.
func (p *pattern) match(path string) (captures []oauth.Capture, folded bool, err error) {
	path = caddyhttp.CleanPath(path, true)
	ascii := isASCII(path)
	if ascii && !p.begins(path) {
		return nil, false, nil
	}
	values, ok := p.exec(path)
	if !ok && !ascii {
		values, ok = p.exec(strings.ToLower(path))
		folded = true
	}
	if !ok {
		return nil, false, nil
	}
	captures = make([]oauth.Capture, len(p.names))
	for i, name := range p.names {
		captures[i] = oauth.Capture{Name: name, Value: values[name]}
		if !oauth.IsCaptureValue(values[name]) {
			return nil, false, errCapture
		}
	}
	return captures, folded, nil
}

// begins saves the library from most paths of other resources.
func (p *pattern) begins(path string) bool {
	return len(path) >= len(p.prefix) && strings.EqualFold(path[:len(p.prefix)], p.prefix) || !isASCII(p.prefix)
}

// escaper escapes what has a meaning in a URL.
var escaper = strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23", `\`, "%5C", " ", "%20") //nolint:gochecknoglobals // a constant

// exec gives the values of a decoded path. What has no meaning in a URL the library
// escapes itself, as it did with the pattern.
func (p *pattern) exec(path string) (map[string]string, bool) {
	result := p.compiled.Exec("http://x"+escaper.Replace(path), "")
	if result == nil {
		return nil, false
	}
	values := make(map[string]string, len(p.names))
	for _, name := range p.names {
		value, err := url.PathUnescape(result.Pathname.Groups[name])
		if err != nil {
			return nil, false
		}
		values[name] = value
	}
	return values, true
}

// sampleText is a value that nobody writes into a pattern.
const sampleText = "zq0qz"

// samples are paths that a path matches: if another one matches them all, it
// matches whatever this one does. There are none for what cannot be told.
func samples(path string) []string {
	if strings.HasPrefix(path, "*") || strings.ContainsAny(path, `?[\%`) {
		return nil
	}
	path = captureText.ReplaceAllString(path, sampleText)
	if !strings.Contains(path, "*") {
		return []string{path}
	}
	var all []string
	for _, rest := range []string{"", sampleText, sampleText + "/" + sampleText} {
		all = append(all, strings.ReplaceAll(path, "*", rest))
	}
	return all
}
