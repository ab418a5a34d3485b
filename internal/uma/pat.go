package uma

import (
	"context"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// protected is whom a PAT speaks for: one resource server and owner (UMA Fed
// §1.3). Owner "*" means that the resource server names owners.
type protected struct {
	rs    ResourceServer
	owner string
}

// owns tells whether a resource is this PAT's (CONFORMANCE UF-04).
func (p protected) owns(rec resourceRecord) bool {
	return rec.ResourceServer == p.rs.ID && (p.owner == "*" || rec.Owner == p.owner)
}

// authorize checks the PAT of a protection API call (RFC 6750 §3.1,
// CONFORMANCE OA-10). Credentials come from the header alone.
func (s *Server) authorize(r *http.Request) (protected, error) {
	scheme, token, err := oauth.ParseAuthorization(r.Header)
	if err != nil {
		return protected{}, err
	}
	if scheme == "" {
		return protected{}, bearerError("", "")
	}
	if scheme == "bearer" && s.isRPT(r.Context(), token) {
		return protected{}, insufficientScope()
	}
	if scheme == "bearer" && strings.HasPrefix(token, "at_") {
		return protected{}, s.refuseAccess(r.Context(), token)
	}
	if scheme != "bearer" || !strings.HasPrefix(token, "pat_") {
		return protected{}, bearerError(oauth.CodeInvalidToken, "the access token is not valid here")
	}
	rec, _, err := s.pats.load(r.Context(), s, hashID(token))
	if absent(err) {
		return protected{}, bearerError(oauth.CodeInvalidToken, "the access token is unknown or has expired")
	}
	if err != nil {
		return protected{}, s.unavailable("PAT", err)
	}
	rs, found := s.servers[rec.ResourceServer]
	if !found || rs.owner() != rec.Owner {
		return protected{}, bearerError(oauth.CodeInvalidToken, "the access token is unknown or has expired")
	}
	return protected{rs: rs, owner: rec.Owner}, nil
}

// isRPT tells whether a token is an RPT of ours: a good access token, but
// without the scope uma_protection (UMA Fed §1.2).
func (s *Server) isRPT(ctx context.Context, text string) bool {
	token, err := jose.Parse(text, maxDescription)
	if err != nil || token.Header.Typ != oauth.TypAccessToken {
		return false
	}
	var c struct {
		Expires jose.NumericDate `json:"exp"`
	}
	err = token.Verify(ctx, s.cfg.RPTKeys, jose.DefaultAlgs(), &c)
	return err == nil && s.cfg.Now().Before(c.Expires.Time())
}

// refuseAccess is the answer to an access token of a client: a good one lacks the
// scope (UMA Fed §1.2), any other one is nothing.
func (s *Server) refuseAccess(ctx context.Context, token string) error {
	live, err := s.liveAccess(ctx, token)
	switch {
	case err != nil:
		return err
	case live:
		return insufficientScope()
	default:
		return bearerError(oauth.CodeInvalidToken, "the access token is unknown or has expired")
	}
}

func insufficientScope() *oauth.Error {
	e := bearerError(oauth.CodeInsufficientScope, "the access token has not the scope uma_protection")
	e.Status = http.StatusForbidden
	return e
}

// bearerError is a 401 with a challenge. Without credentials the challenge has
// no error code (RFC 6750 §3.1).
func bearerError(code, description string) *oauth.Error {
	challenge := oauth.Challenge{Scheme: "Bearer", Params: []oauth.Param{
		{Name: "realm", Value: "uma"},
		{Name: "error", Value: code},
		{Name: "scope", Value: oauth.ScopeUMAProtection},
	}}
	e := &oauth.Error{
		Code: code, Description: description, Status: http.StatusUnauthorized,
		Header: http.Header{"WWW-Authenticate": {challenge.String()}},
	}
	if code == "" {
		e.Code, e.Description = oauth.CodeInvalidToken, "a protection API access token is required"
	}
	return e
}
