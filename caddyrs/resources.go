package caddyrs

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/text/unicode/norm"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// errReadings says that a path leads to another resource if it is read as
// another program may read it.
var errReadings = errors.New("the path can be read in more than one way")

// errLong says that a path is longer than any that is meant.
var errLong = errors.New("the path is too long")

// errCapture says that a part of a path cannot tell one instance from another.
var errCapture = errors.New("a part of the path is too long")

// place is where the path of a request leads: to a resource, negative for none, and
// to that instance of it which the captures tell.
type place struct {
	index    int
	captures []oauth.Capture
	// folded: the path has another case than the pattern, and the captures are in
	// lower case.
	folded bool
}

func (p place) capture(name string) string {
	for _, c := range p.captures {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// same tells whether another reading leads to the same place. A letter beyond ASCII
// may be written there in another way, and in a reading in another case all of them;
// which of these a request means is told by its own path.
func (p place) same(o place, anyCase bool) bool {
	return p.index == o.index && slices.EqualFunc(p.captures, o.captures, func(a, b oauth.Capture) bool {
		mine, other := norm.NFC.String(a.Value), norm.NFC.String(b.Value)
		return a.Name == b.Name && (mine == other || anyCase && strings.EqualFold(mine, other))
	})
}

// plain tells whether the captures are written as they have to be: of several ways
// to write one name one is good, or an instance would have several ids.
func (p place) plain() bool {
	return !p.folded && !slices.ContainsFunc(p.captures, func(c oauth.Capture) bool { return !norm.NFC.IsNormalString(c.Value) })
}

// placeOf gives the first resource that matches. CONFORMANCE SEC-21: the path that
// decides must be the path that the backend sees. Caddy hands the path on as it was
// written and the backend reads it by its own rules, so every reading must lead to
// the same resource, and the same instance of it.
func (h *Handler) placeOf(r *http.Request) (place, error) {
	if !h.byPath {
		return place{}, nil
	}
	all, err := readings(r.URL)
	if err != nil {
		return place{index: -1}, err
	}
	// The request itself comes last: matchers may set placeholders.
	cases := h.withCases(r.URL.Path, all)
	others, err := h.placesOf(r, cases)
	if err != nil {
		return place{index: -1}, err
	}
	if err := h.checkAliases(r, all, cases[len(all):]); err != nil {
		return place{index: -1}, err
	}
	at, err := h.match(r)
	for i, other := range others {
		if err == nil && !at.same(other, i >= len(all)) {
			err = errReadings
		}
	}
	if err == nil && !at.plain() {
		err = errReadings
	}
	return at, err
}

// placesOf gives the places of paths until they are of several resources.
func (h *Handler) placesOf(r *http.Request, paths []string) ([]place, error) {
	var all []place
	for _, path := range paths {
		at, err := h.match(reread(r, path))
		if err != nil {
			return nil, err
		}
		if all = append(all, at); at.index != all[0].index {
			return nil, errReadings
		}
	}
	return all, nil
}

func (h *Handler) match(r *http.Request) (place, error) {
	for i, resource := range h.Resources {
		at, err := resource.match(r)
		if err != nil {
			return place{index: -1}, err
		}
		if at.index >= 0 {
			at.index = i
			return at, nil
		}
	}
	return place{index: -1}, nil
}

// match gives a negative index if the resource does not match.
func (res *Resource) match(r *http.Request) (place, error) {
	for _, p := range res.patterns {
		captures, folded, err := p.match(r.URL.Path)
		if err != nil || captures != nil {
			return place{captures: captures, folded: folded}, err
		}
	}
	ok := len(res.patterns) == 0
	if ok {
		var err error
		if ok, err = res.matchers.AnyMatchWithError(r); err != nil {
			return place{index: -1}, err
		}
	}
	if !ok {
		return place{index: -1}, nil
	}
	return place{}, nil
}

// reread is the request with another path.
func reread(r *http.Request, path string) *http.Request {
	c := *r
	u := *r.URL
	u.Path, u.RawPath = path, ""
	c.URL = &u
	return &c
}

// serveGuard passes what the matcher of a protection leaves public in every
// reading of its path, and what the protection has let through. A public
// request is nobody's: it must not say who the user is (CONFORMANCE SEC-19),
// and its answer must not hold a UMA challenge (CA-48).
func (h *Handler) serveGuard(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	protected, err := h.guard.AnyMatchWithError(r)
	switch {
	case err != nil: // a matcher failed: fail closed
		rs.Forbidden().Write(w, r)
		return nil //nolint:nilerr // answered
	case protected:
		return next.ServeHTTP(w, r)
	case !h.publicInAllReadings(r):
		rs.BadRequest("The path of the request can be read in more than one way.").Write(w, r)
		return nil
	}
	if set, ok := passed(r); ok {
		h.headers.cleanPassed(r, set)
		return next.ServeHTTP(w, r)
	}
	h.headers.clean(r)
	return h.serveNext(w, r, "", next)
}

// serveNext hands a request on and cleans the answer.
func (h *Handler) serveNext(w http.ResponseWriter, r *http.Request, origin string, next caddyhttp.Handler) error {
	answer := wrap(w, origin)
	err := next.ServeHTTP(answer, r)
	answer.cleanHeader() // trailers
	return err
}

func (h *Handler) publicInAllReadings(r *http.Request) bool {
	all, err := readings(r.URL)
	if err != nil {
		return false
	}
	all = h.withCases(r.URL.Path, all)
	if h.named {
		others, err := aliasesOfAll(r.URL.Path, all)
		if err != nil {
			return false
		}
		all = append(all, others...)
	}
	for _, path := range all {
		if protected, err := h.guard.AnyMatchWithError(reread(r, path)); err != nil || protected {
			return false
		}
	}
	return true
}

// isOrigin tells a path of the form that a resource has (RFC 9112 §3.2.1), as
// opposed to `*`, an authority or something opaque.
func isOrigin(u *url.URL) bool { return u.Opaque == "" && u.Path != "" && u.Path[0] == '/' }
