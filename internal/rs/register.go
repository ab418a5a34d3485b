package rs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// registration is the outcome of one round: the id of each resource, "" for one
// that could not be registered.
type registration struct {
	ids []string
	err error // of those that failed
}

// roundPause is when a round that failed for some resources, or created some, is
// done again: another node that started at the same moment may have created
// resources of the same names.
const roundPause = 30 * time.Second

// description is a resource description (UMA Federated Authorization §3.1) with
// the extension member owner (CONFORMANCE A41).
type description struct {
	ID          string    `json:"_id,omitempty"`
	Name        string    `json:"name,omitempty"`
	Type        string    `json:"type,omitempty"`
	Description string    `json:"description,omitempty"`
	IconURI     string    `json:"icon_uri,omitempty"`
	Owner       ownerText `json:"owner,omitempty"`
	Scopes      []string  `json:"resource_scopes"`
	// ofOwner is the owner of a declared resource that names none, if it is known.
	ofOwner string
	pattern
}

func (d *description) equal(o *description) bool { return d.Name == o.Name && len(d.changes(o)) == 0 }

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

func (s *Server) currentRegistration(ctx context.Context) (registration, error) {
	if r, ok := s.registered.known(s.cfg.Now); ok {
		return r, nil
	}
	return s.registered.get(ctx, s.cfg.Now, s.register)
}

// register brings the registered resources in step (CONFORMANCE UF-20): it
// looks for what is there, creates what is missing and updates what differs; then
// come those that are not declared any more.
func (s *Server) register(ctx context.Context) (registration, time.Time, error) {
	s.cfg.Registering.Lock()
	defer s.cfg.Registering.Unlock()
	l, err := s.currentLearned(ctx)
	if err != nil {
		return registration{}, time.Time{}, err
	}
	e, err := s.currentEndpoints(ctx)
	if err != nil {
		return registration{}, time.Time{}, err
	}
	have, err := s.list(ctx, e)
	if err != nil {
		return registration{}, time.Time{}, err
	}
	r, settled := s.round(ctx, e, l, have)
	if r.err == nil {
		settled = s.clearAway(ctx, e, l, have) && settled
	}
	switch {
	case r.err == nil && settled:
		return r, time.Time{}, nil
	case r.err == nil:
		return r, s.cfg.Now().Add(roundPause), nil
	}
	s.cfg.Log.Error("registering resources failed", zap.String("client_id", s.cfg.ClientID), zap.Error(r.err))
	if !slices.ContainsFunc(r.ids, func(id string) bool { return id != "" }) {
		return registration{}, time.Time{}, r.err
	}
	return r, s.cfg.Now().Add(roundPause), nil
}

// round registers each resource; settled means that nothing had to be created.
func (s *Server) round(ctx context.Context, e endpoints, l *learned, have []*description) (r registration, settled bool) {
	r, settled = registration{ids: make([]string, len(s.resources))}, true
	for i := range s.resources {
		d := s.describe(i, l)
		found := find(have, d)
		id, err := s.registerOne(ctx, e, d, found)
		r.ids[i], r.err = id, errors.Join(r.err, err)
		if err == nil && found == nil {
			s.created[id], settled = true, false
		}
		if err == nil {
			s.deleteTwins(ctx, e, have, d, id)
		}
	}
	return r, settled
}

// deleteTwins deletes what we created ourselves if another node was there with
// the same resource; what others created is theirs to delete.
func (s *Server) deleteTwins(ctx context.Context, e endpoints, have []*description, d *description, id string) {
	for _, h := range have {
		if h.ID == id || !s.created[h.ID] || !sameResource(h, d) {
			continue
		}
		if err := s.deleteResource(ctx, e, h.ID); err != nil {
			s.cfg.Log.Warn("deleting a resource that another node has registered, too, failed", zap.Error(err))
		}
	}
}

func (s *Server) describe(index int, l *learned) *description {
	r := &s.resources[index]
	d := &description{
		Name: or(r.Name, l.resource), Type: r.Type, Description: r.Description,
		IconURI: r.IconURI, Owner: ownerText(or(r.Owner, s.cfg.Owner)), Scopes: r.scopes,
		pattern: s.patternOf(r),
	}
	// CONFORMANCE A41: whose resources may be anybody's is the owner of those for
	// which it names nobody.
	if d.ofOwner = d.Owner.text(); d.ofOwner == "" && l.owner == "*" {
		d.ofOwner = s.cfg.ClientID
	}
	return d
}

// list reads every description that the PAT shows (UMA Fed §3.2.5, §3.2.2).
func (s *Server) list(ctx context.Context, e endpoints) ([]*description, error) {
	a, err := s.protected(ctx, request{call: CallRegistration, method: http.MethodGet, url: e.registration})
	if err != nil {
		return nil, err
	}
	var ids []string
	if a.status != http.StatusOK {
		return nil, a.failure("listing resources")
	}
	if err := oauth.DecodeJSON(a.body, &ids); err != nil {
		return nil, fmt.Errorf("listing resources: %w", err)
	}
	var all []*description
	for _, id := range ids {
		d, err := s.read(ctx, e, id)
		if err != nil {
			return nil, err
		}
		if d != nil {
			all = append(all, d)
		}
	}
	return all, nil
}

// read gives nil for a resource that is gone meanwhile.
func (s *Server) read(ctx context.Context, e endpoints, id string) (*description, error) {
	a, err := s.protected(ctx, request{call: CallRegistration, method: http.MethodGet, url: resourceURL(e, id)})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		return nil, nil
	}
	if a.status != http.StatusOK {
		return nil, a.failure("reading a resource")
	}
	var d description
	if err := oauth.DecodeObject(a.body, &d); err != nil {
		return nil, fmt.Errorf("reading a resource: %w", err)
	}
	d.ID = id
	return &d, nil
}

// find looks for a resource of ours. Of several all nodes choose the same: one
// of the same type first, then the smallest id.
func find(have []*description, d *description) *description {
	var found *description
	for _, h := range have {
		if sameResource(h, d) && (found == nil || before(h, found, d.Type)) {
			found = h
		}
	}
	return found
}

// sameResource compares the name and, if both are known, the owner: a resource does
// not change hands, so with another owner it is another one. The type does not
// count, so that a changed type updates the resource and does not duplicate it.
func sameResource(h, d *description) bool {
	return h.Name == d.Name && (d.ofOwner == "" || h.Owner == "" || h.Owner.text() == d.ofOwner)
}

func before(a, b *description, ofType string) bool {
	if (a.Type == ofType) != (b.Type == ofType) {
		return a.Type == ofType
	}
	return a.ID < b.ID
}

func (s *Server) registerOne(ctx context.Context, e endpoints, d, have *description) (id string, err error) {
	if have != nil && have.equal(d) {
		return have.ID, nil
	}
	r := request{call: CallRegistration, method: http.MethodPost, url: e.registration, content: "application/json"}
	accepted := http.StatusCreated
	if have != nil { // UMA Fed §3.2.3: PUT replaces the whole description
		r.method, r.url, accepted = http.MethodPut, resourceURL(e, have.ID), http.StatusOK
	}
	if r.body, err = json.Marshal(d); err != nil {
		return "", err
	}
	a, err := s.protected(ctx, r)
	if err != nil {
		return "", err
	}
	if a.status != accepted {
		return "", a.failure("registering a resource")
	}
	if have != nil {
		return have.ID, nil
	}
	return createdID(a)
}

func createdID(a *answer) (string, error) {
	var d description
	if err := oauth.DecodeObject(a.body, &d); err != nil {
		return "", fmt.Errorf("registering a resource: %w", err)
	}
	if d.ID == "" {
		return "", errors.New("registering a resource: the answer lacks _id")
	}
	return d.ID, nil
}

func resourceURL(e endpoints, id string) string {
	return strings.TrimSuffix(e.registration, "/") + "/" + url.PathEscape(id)
}
