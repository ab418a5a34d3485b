package sts

import (
	"encoding/json"
	"net/http"
)

// TokenAt is the token endpoint at another URL of ours: the one of a provider that
// we stand in front of. Clients prove the possession of keys for the URL that they
// call (RFC 9449 §4.3). It is called by no path of its own.
func (s *Server) TokenAt(endpoint string) http.Handler {
	c := *s
	c.endpoint = endpoint
	return http.HandlerFunc(c.token)
}

// Document is the metadata document.
func (s *Server) Document() json.RawMessage { return s.document }
