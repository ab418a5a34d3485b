package uma

import (
	"context"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// adminRevokeClient removes a registered client and ends its grants. One of the
// configuration is taken out there; what is refused says how.
func (s *Server) adminRevokeClient(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		Client string `json:"client_id"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	details, err := s.removable(ctx, in.Client)
	if err != nil {
		return nil, err
	}
	switch details.Source {
	case clientConfigured:
		return nil, conflict("this client stands in the configuration: write 'disabled' into its block, or take it out, and reload; its grants end with that")
	case clientDocument:
		return nil, conflict("nobody registered this client, so nothing can be removed: keep its domain out of 'client_metadata_documents', or end its grants with caddy uma grants revoke --client")
	case clientRegistered:
	}
	if err := s.again(func() error { return s.removeClient(ctx, in.Client) }); err != nil {
		return nil, err
	}
	// What requests that are under way record is found by the passes of a review.
	s.reviewAnew()
	return s.revokeThose(ctx, grantFilter{Client: in.Client}, "", event.Administration{Action: "client_removed", ID: in.Client})
}

// removable is clientDetails, also for a registered client that is gone and has live
// grants: a command that broke off is given again.
func (s *Server) removable(ctx context.Context, id string) (clientDetails, error) {
	details, err := s.clientDetails(ctx, id)
	if err == nil || !isRegisteredID(id) || oauth.AsError(err).Code != oauth.CodeNotFound {
		return details, err
	}
	left, failed := s.countGrants(ctx, grantFilter{Client: id})
	switch {
	case failed != nil:
		return details, failed
	case left.N > 0 || left.More:
		return clientDetails{clientView: clientView{ID: id, Source: clientRegistered}}, nil
	}
	return details, err
}

// removeClient deletes the record first: nothing new can come, and whatever was
// issued is dead where it is looked up.
func (s *Server) removeClient(ctx context.Context, id string) error {
	doc, err := s.cfg.Store.Get(ctx, s.key(kindClient, id))
	if absent(err) {
		return nil
	}
	if err == nil {
		err = s.commit(ctx, store.Delete(doc.Key, doc.Rev))
	}
	if err != nil {
		return s.unavailable("client", err)
	}
	return nil
}

func conflict(text string) error {
	return &oauth.Error{Code: oauth.CodeInvalidRequest, Status: http.StatusConflict, Description: text}
}
