package rs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

// maxStatusURI bounds the URI of a status list in bytes.
const maxStatusURI = 512

// revocations knows which RPTs the authorization server took back, without asking it
// about each one: it reads its status lists (draft-ietf-oauth-status-list).
type revocations struct {
	lists  *statuslist.Cache
	origin string // lists stand at the authorization server alone
}

func newRevocations(s *Server) (*revocations, error) {
	issuer, err := url.Parse(s.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	r := &revocations{origin: issuer.Scheme + "://" + issuer.Host + "/"}
	r.lists, err = statuslist.NewCache(statuslist.Config{
		Issuer: s.cfg.Issuer, Fetch: s.fetchStatus, MaxAge: s.cfg.Revocation, FailOpen: s.cfg.FailOpen, Now: s.cfg.Now,
		Lost: func(_ context.Context, uri string, err error) {
			s.cfg.Log.Warn("the status list of RPTs cannot be read", zap.String("client_id", s.cfg.ClientID),
				zap.String("uri", uri), zap.Duration("revocation", s.cfg.Revocation), zap.Error(err))
		},
	})
	return r, err
}

// check tells whether an RPT still counts.
func (r *revocations) check(ctx context.Context, keys jose.KeySet, place *statuslist.Reference) error {
	if len(place.URI) > maxStatusURI || !strings.HasPrefix(place.URI, r.origin) {
		return bad("has its status elsewhere")
	}
	err := r.lists.Check(ctx, keys, *place)
	switch {
	case errors.Is(err, statuslist.ErrRevoked):
		return bad("was revoked")
	case errors.Is(err, statuslist.ErrNotListed):
		return bad("stands on no status list")
	}
	return err
}

// fetchStatus reads a status list.
func (s *Server) fetchStatus(ctx context.Context, uri, etag string) (statuslist.Answer, error) {
	a, err := s.send(ctx, request{
		call: CallStatus, method: http.MethodGet, url: uri, accept: statuslist.MediaType, etag: etag, limit: statuslist.MaxToken,
	})
	switch {
	case err != nil:
		return statuslist.Answer{}, err
	case a.status == http.StatusNotModified:
		return statuslist.Answer{Unchanged: true}, nil
	case a.status != http.StatusOK:
		return statuslist.Answer{}, a.failure("reading a status list")
	}
	return statuslist.Answer{Token: string(a.body), ETag: a.header.Get("ETag")}, nil
}
