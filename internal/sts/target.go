package sts

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// anyURI is the pattern for every URI. It never stands for logical names: those
// are accepted only where they are written literally (CONFORMANCE A6, CA-15).
const anyURI = "*"

// pattern is one entry of a list of targets: a URI prefix, a logical name (uri
// nil) or anyURI.
type pattern struct {
	text string
	uri  *url.URL
}

// target is what a client asks for: a canonical URI, or a name (uri nil). What
// is no canonical URI counts as a name and so matches nothing that is not
// listed in exactly that spelling.
type target struct {
	value string
	uri   *url.URL
}

func parseTarget(value string) target {
	u, err := oauth.ParseResource(value)
	if err != nil {
		return target{value: value}
	}
	return target{value: value, uri: u}
}

func parsePatterns(texts []string, allowAny bool) ([]pattern, error) {
	patterns := make([]pattern, 0, len(texts))
	for _, text := range texts {
		p, err := parsePattern(text, allowAny)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func parsePattern(text string, allowAny bool) (pattern, error) {
	if text == anyURI {
		if !allowAny {
			return pattern{}, errors.New("'*' can stand in a target of the whole server only")
		}
		return pattern{text: text}, nil
	}
	if u, err := oauth.ParseResource(text); err == nil {
		return pattern{text: text, uri: u}, nil
	}
	if !isName(text) {
		return pattern{}, fmt.Errorf("target '%s' %w, or a name without ':' and '/'", text, oauth.ErrResource)
	}
	return pattern{text: text}, nil
}

// isName keeps what was meant to be a URI from becoming a literal name that
// never matches, or matches in a spelling that nobody checked.
func isName(s string) bool {
	if s == "" || len(s) > 255 || s != strings.TrimSpace(s) || strings.ContainsAny(s, ":/\\*") {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return false
		}
	}
	return true
}

// covers tells whether a pattern covers a target, and how specific it is.
func (p pattern) covers(t target) (rank int, ok bool) {
	switch {
	case p.text == anyURI:
		return 0, t.uri != nil
	case p.uri == nil || t.uri == nil:
		return 1 << 20, p.uri == nil && t.uri == nil && p.text == t.value
	default:
		return 1 + len(trimSlash(p.uri.Path)), oauth.Covers(p.uri, t.uri)
	}
}

func covered(patterns []pattern, t target) bool {
	for _, p := range patterns {
		if _, ok := p.covers(t); ok {
			return true
		}
	}
	return false
}

// Reasons why a target is refused, for events. The client gets one sentence for
// all of them.
var (
	errTargetCount    = errors.New("not exactly one resource or audience")
	errTargetSelf     = errors.New("the target is this server itself")
	errTargetClient   = errors.New("the target is a client_id")
	errTargetAudience = errors.New("the target is an audience of the subject token")
	errTargetDenied   = errors.New("the target is on the deny list")
	errTargetNarrowed = errors.New("the target is not on the client's own list")
	errTargetUnlisted = errors.New("the target is not listed")
)

// evaluate is point 2 of step 4, "evaluate the resource" (CONFORMANCE A27):
// default deny; the most specific entry decides.
func (s *Server) evaluate(clientID string, t target) (rule, error) {
	if t.uri != nil && oauth.SameOrigin(t.uri, s.issuerURL) {
		return rule{}, invalidTarget(errTargetSelf)
	}
	if _, isClient := s.clients[t.value]; isClient {
		return rule{}, invalidTarget(errTargetClient)
	}
	if covered(s.denied, t) {
		return rule{}, invalidTarget(errTargetDenied)
	}
	if own, ok := s.narrowed[clientID]; ok && !covered(own, t) {
		return rule{}, invalidTarget(errTargetNarrowed)
	}
	return s.mostSpecific(t)
}

// invalidTarget is RFC 8693 §2.2.2 and RFC 8707 §2: the target is unknown,
// malformed or not acceptable.
func invalidTarget(reason error) error {
	return oauth.Errorf(oauth.CodeInvalidTarget,
		"resource must be exactly one target that this server makes claims tokens for").Because(reason)
}
