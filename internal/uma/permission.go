package uma

import (
	"bytes"
	"context"
	"net/http"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxPermissions is how many permissions one ticket may stand for. A ticket
// travels in a header, so it must stay small.
const maxPermissions = 32

// permissionRequest is an entry of a permission request (UMA Fed §4.1).
// Pointers tell an absent member from an empty one.
type permissionRequest struct {
	ResourceID     *string    `json:"resource_id"`
	ResourceScopes *[]*string `json:"resource_scopes"`
	// Extension members for a resource that is a pattern.
	Captures map[string]string `json:"captures"`
	Owner    *string           `json:"owner"`
}

// servePermission is the permission endpoint (UMA Fed §4).
func (s *Server) servePermission(w http.ResponseWriter, r *http.Request, _ caller) {
	ticket, err := s.permission(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusCreated, map[string]string{"ticket": ticket})
}

func (s *Server) permission(r *http.Request) (string, error) {
	as, err := s.authorize(r)
	if err != nil {
		return "", err
	}
	if ok, wait := s.cfg.TicketLimit.Allow(as.rs.ID); !ok {
		return "", oauth.TooMany(wait)
	}
	body, err := readJSON(r)
	if err != nil {
		return "", err
	}
	requests, err := parsePermissions(body)
	if err != nil {
		return "", err
	}
	return s.issueTicket(r.Context(), as, requests)
}

// parsePermissions reads one object or a non-empty array of objects (UMA Fed
// §4.1).
func parsePermissions(body []byte) ([]permissionRequest, error) {
	bad := oauth.Errorf(oauth.CodeInvalidRequest, "the body must be a permission or an array of 1 to %d permissions, each with resource_id and resource_scopes", maxPermissions)
	var list []permissionRequest
	var err error
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) > 0 && start[0] == '[' {
		err = oauth.DecodeJSON(body, &list)
	} else {
		list = make([]permissionRequest, 1)
		err = oauth.DecodeObject(body, &list[0])
	}
	if err != nil || len(list) == 0 || len(list) > maxPermissions {
		return nil, bad
	}
	for _, p := range list {
		if p.ResourceID == nil || p.ResourceScopes == nil || len(*p.ResourceScopes) > maxScopes || slices.Contains(*p.ResourceScopes, nil) {
			return nil, bad
		}
	}
	return list, nil
}

// issueTicket looks every resource up in its own right; one bad entry fails the
// whole request, and all must belong to one owner (UMA Fed §4, CONFORMANCE
// UF-26). Nothing is written.
func (s *Server) issueTicket(ctx context.Context, as protected, requests []permissionRequest) (string, error) {
	t := ticket{ResourceServer: as.rs.ID}
	for _, p := range requests {
		rec, err := s.requestedResource(ctx, as, *p.ResourceID)
		if err != nil {
			return "", err
		}
		want, rec, err := as.wanted(p, rec)
		if err != nil {
			return "", err
		}
		if t.Owner != "" && t.Owner != rec.Owner {
			return "", oauth.Errorf(oauth.CodeInvalidRequest, "the resources have different owners")
		}
		t.Owner = rec.Owner
		if err := t.add(want, *p.ResourceScopes, rec.Scopes); err != nil {
			return "", err
		}
	}
	text, err := s.sealTicket(ctx, &t)
	if err != nil {
		return "", err
	}
	s.cfg.Observe(ctx, event.TicketIssued{
		Issuer: s.cfg.Issuer, ResourceServer: as.rs.ID, Owner: t.Owner,
		TicketChallenge: oauth.TicketChallenge(text), ResourceIDs: t.resourceIDs(),
	})
	return text, nil
}

func (s *Server) requestedResource(ctx context.Context, as protected, id string) (resourceRecord, error) {
	rec, _, err := s.findResource(ctx, as, id)
	if e := oauth.AsError(err); err != nil && e.Status == http.StatusNotFound {
		return rec, oauth.Errorf(oauth.CodeInvalidResourceID, "a resource_id is not registered")
	}
	return rec, err
}
