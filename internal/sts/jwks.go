package sts

import (
	"context"
	"encoding/json"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// jwks publishes the keys of claims tokens and, with a provider, of ID tokens.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	if !s.allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	set, err := s.keySet(r.Context())
	if err != nil {
		s.log.Error("the keys to publish could not be read", zap.Error(err))
		oauth.WriteError(w, oauth.Unavailable(err))
		return
	}
	oauth.WriteDocument(w, jwksMaxAge, set)
}

// keySet is all keys or an error: half a set would make good tokens fail at
// whoever caches it.
func (s *Server) keySet(ctx context.Context) (json.RawMessage, error) {
	keys, err := s.claims.Public(ctx)
	if err != nil {
		return nil, err
	}
	keys = append([]jose.PublicKey(nil), keys...)
	if s.keys != nil {
		more, err := s.keys(ctx)
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	return jose.MarshalJWKS(keys...)
}
