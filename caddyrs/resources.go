package caddyrs

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// errReadings says that a path leads to another resource if it is read as
// another program may read it.
var errReadings = errors.New("the path can be read in more than one way")

// resourceOf gives the index of the first resource that matches, negative if
// none does. CONFORMANCE SEC-21: the path that decides must be the path that
// the backend sees. Caddy hands the path on as it was written and the backend
// reads it by its own rules, so every reading must lead to the same resource.
func (h *Handler) resourceOf(r *http.Request) (int, error) {
	if !h.byPath {
		return 0, nil
	}
	all, err := readings(r.URL)
	if err != nil {
		return -1, err
	}
	// The request itself comes last: matchers may set placeholders.
	first := -1
	all = h.withCases(r.URL.Path, all)
	for i, path := range all {
		index, err := h.match(reread(r, path))
		if err != nil {
			return -1, err
		}
		if i > 0 && index != first {
			return -1, errReadings
		}
		first = index
	}
	if err := h.checkAliases(r, all); err != nil {
		return -1, err
	}
	index, err := h.match(r)
	if err == nil && len(all) > 0 && index != first {
		err = errReadings
	}
	return index, err
}

func (h *Handler) match(r *http.Request) (int, error) {
	for i, resource := range h.Resources {
		ok, err := resource.matchers.AnyMatchWithError(r)
		if err != nil {
			return -1, err
		}
		if ok {
			return i, nil
		}
	}
	return -1, nil
}

// reread is the request with another path.
func reread(r *http.Request, path string) *http.Request {
	c := *r
	u := *r.URL
	u.Path, u.RawPath = path, ""
	c.URL = &u
	return &c
}

// passedVar marks a request that a protection has let through: what it set for
// the backend stays.
const passedVar = "uma_protect.passed"

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
	if caddyhttp.GetVar(r.Context(), passedVar) != nil {
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
		all = append(all, aliasesOfAll(r.URL.Path, all)...)
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
