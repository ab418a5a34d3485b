package uma

import (
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// writeSigned writes the description as a JWT (RFC 9701 §5). Its aud is the
// identifier of the resource server, as in the RPT; sub and exp must not be there:
// the answer is no token.
func (s *Server) writeSigned(w http.ResponseWriter, r *http.Request, as protected, answer map[string]any) error {
	text, err := s.cfg.IntrospectionKeys.Sign(r.Context(), oauth.TypIntrospection, map[string]any{
		"iss": s.cfg.Issuer, "aud": as.rs.audience(), "iat": s.cfg.Now().Unix(), "token_introspection": answer,
	})
	if err != nil {
		return s.unavailable("introspection key", err)
	}
	h := w.Header()
	h.Set("Content-Type", oauth.MediaTypeIntrospection)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, text)
	return nil
}

// wantsSigned tells whether a request prefers the signed answer (RFC 9110 §12.5.1).
// It must name the media type; wildcards do not ask for it. What cannot be read
// does not count.
func wantsSigned(h http.Header) bool {
	signed, plain := 0.0, 0.0
	for entry := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		mediaType, params, err := mime.ParseMediaType(entry)
		if err != nil {
			continue
		}
		q, ok := quality(params)
		switch {
		case !ok:
		case mediaType == oauth.MediaTypeIntrospection:
			signed = max(signed, q)
		case mediaType == "application/json":
			plain = max(plain, q)
		}
	}
	return signed > 0 && signed >= plain
}

// quality reads the parameter q: 0, 1 or a number between them with at most three
// decimals (RFC 9110 §12.4.2).
func quality(params map[string]string) (q float64, ok bool) {
	text, there := params["q"]
	if !there {
		return 1, true
	}
	whole, decimals, _ := strings.Cut(text, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 || strings.Trim(decimals, "0123456789") != "" {
		return 0, false
	}
	q, err := strconv.ParseFloat(text, 64)
	return q, err == nil && q <= 1
}
