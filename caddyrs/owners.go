package caddyrs

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// ownerPart is a part of an owner that is found anew for each request: a literal
// text, a capture of the path or a placeholder.
type ownerPart struct{ literal, capture, placeholder string }

// pathPlaceholders are those that are made of the path as one program reads it
// (CONFORMANCE SEC-21).
var pathPlaceholders = []string{ //nolint:gochecknoglobals // a table of constants
	"http.request.uri", "http.request.orig_uri", "http.regexp.", "http.url_pattern.", "http.matchers.",
}

// isOwnerTemplate tells an owner that each request names from one that is known.
func isOwnerTemplate(owner string) bool {
	return strings.ContainsAny(owner, "{}") || hasCaptures(owner)
}

// parseOwner reads an owner template. It is taken apart once, so that nothing which
// a request brings is expanded again.
func parseOwner(owner string, captures []string) ([]ownerPart, error) {
	var parts []ownerPart
	for rest := owner; rest != ""; {
		part, length, err := nextPart(rest, captures)
		if err != nil {
			return nil, fmt.Errorf("owner '%s': %w", owner, err)
		}
		parts, rest = append(parts, part), rest[length:]
	}
	return parts, nil
}

func nextPart(text string, captures []string) (ownerPart, int, error) {
	if text[0] == '{' {
		name, _, closed := strings.Cut(text[1:], "}")
		if !closed || !strings.HasPrefix(name, "http.") || strings.Contains(name, "{") {
			return ownerPart{}, 0, errors.New("only captures (:name) and {http.…} placeholders are possible")
		}
		if slices.ContainsFunc(pathPlaceholders, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return ownerPart{}, 0, errors.New("a part of the path must be a capture (:name): only these are the same in every reading of it")
		}
		return ownerPart{placeholder: name}, len(name) + 2, nil
	}
	next := captureText.FindStringIndex(text)
	if next != nil && next[0] == 0 {
		name := text[1:next[1]]
		if !slices.Contains(captures, name) {
			return ownerPart{}, 0, fmt.Errorf("no path has the capture :%s", name)
		}
		return ownerPart{capture: name}, next[1], nil
	}
	end := len(text)
	if next != nil {
		end = next[0]
	}
	if i := strings.IndexAny(text[:end], "{}"); i == 0 {
		return ownerPart{}, 0, errors.New("only captures (:name) and {http.…} placeholders are possible")
	} else if i > 0 {
		end = i
	}
	return ownerPart{literal: text[:end]}, end, nil
}

// ownerOf gives the owner that a request names for its resource, "" for a resource
// that has no template. A part without a value, or with one that nobody is called,
// leads to nobody: the request is refused.
func (h *Handler) ownerOf(r *http.Request, at place) (owner string, ok bool) {
	if at.index < 0 || at.index >= len(h.owners) || len(h.owners[at.index]) == 0 {
		return "", true
	}
	for _, part := range h.owners[at.index] {
		value := part.literal
		switch {
		case part.capture != "":
			value = at.capture(part.capture)
		case part.placeholder != "":
			value, _ = replacer(r).GetString(part.placeholder)
		}
		if value == "" {
			return "", false
		}
		owner += value
	}
	return owner, oauth.IsCaptureValue(owner) && owner != "*"
}
