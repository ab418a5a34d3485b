package uma

import (
	"io"
	"net/http"

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
	signed := oauth.Accept(h, oauth.MediaTypeIntrospection)
	return signed > 0 && signed >= oauth.Accept(h, "application/json")
}
