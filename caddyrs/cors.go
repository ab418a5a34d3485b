package caddyrs

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

const (
	corsAll  = "*"
	corsPass = "pass"
)

// exposed are the header fields that a page needs to do the UMA dance
// (CONFORMANCE SEC-23).
const exposed = "WWW-Authenticate, Warning, DPoP-Nonce"

func checkCORS(origins []string) error {
	for _, o := range origins {
		if o == corsAll || o == corsPass {
			if len(origins) > 1 {
				return fmt.Errorf("cors: %s stands alone", o)
			}
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != o || o != strings.ToLower(o) {
			return fmt.Errorf("cors: '%s' is no origin; write https://app.example.com", o)
		}
	}
	return nil
}

// allowedOrigin gives what stands in Access-Control-Allow-Origin, "" for nothing.
// Credentials (cookies) are never allowed: an RPT comes in a header.
func (h *Handler) allowedOrigin(r *http.Request) string {
	origin := r.Header.Get("Origin")
	switch {
	case origin == "" || slices.Contains(h.CORS, corsPass):
		return ""
	case slices.Contains(h.CORS, corsAll):
		return corsAll
	case slices.Contains(h.CORS, origin):
		return origin
	}
	return ""
}

// exposeTo sets the CORS fields of an answer, over those of the backend.
func exposeTo(h http.Header, origin string) {
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Del("Access-Control-Allow-Credentials")
	h.Add("Access-Control-Expose-Headers", exposed)
	if origin != corsAll {
		h.Add("Vary", "Origin")
	}
}

// preflight answers a preflight, or lets the backend do so. It never costs a
// ticket (CONFORMANCE A31).
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request, origin string, next caddyhttp.Handler) error {
	if slices.Contains(h.CORS, corsPass) {
		return h.passPreflight(w, r, next)
	}
	at, err := h.placeOf(r)
	methods := h.engine.MappedMethods(at.index)
	if origin == "" || err != nil || len(methods) == 0 {
		rs.Forbidden().Write(w, r)
		return nil //nolint:nilerr // answered: it fails closed
	}
	header := w.Header()
	exposeTo(header, origin)
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	header.Set("Access-Control-Allow-Headers", allowedHeaders(r))
	header.Set("Access-Control-Max-Age", "600")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// passPreflight hands a preflight on that can be nothing else: no body, no
// credentials, no other method in a header field, no other protocol.
func (h *Handler) passPreflight(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	refusal := unclear(r)
	if _, err := h.placeOf(r); unclearPath(err) != nil {
		refusal = unclearPath(err)
	}
	if refusal != nil || r.ContentLength != 0 {
		if refusal == nil {
			refusal = rs.BadRequest("A preflight has no body.")
		}
		return h.refuse(w, r, refusal)
	}
	r.Header.Del("Authorization")
	r.Header.Del("DPoP")
	h.headers.clean(r)
	r.Header.Del("Connection")
	r.Header.Del("Upgrade")
	h.headers.pass(r)
	return h.serveNext(w, r, "", next)
}

// allowedHeaders echoes the names a page asks for: with a token in a header of
// its own, the page could send any field anyway.
func allowedHeaders(r *http.Request) string {
	names := []string{"Authorization", "DPoP"}
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = strings.TrimSpace(name)
		if isToken(name) && len(names) < 64 &&
			!slices.ContainsFunc(names, func(have string) bool { return strings.EqualFold(have, name) }) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
