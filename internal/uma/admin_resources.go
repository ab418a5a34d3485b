package uma

import (
	"context"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// resourceView is a registered resource as administrators see it.
type resourceView struct {
	ID             string   `json:"resource_id"`
	ResourceServer string   `json:"resource_server"`
	Owner          string   `json:"owner"`
	Name           string   `json:"name,omitempty"`
	Type           string   `json:"type,omitempty"`
	Scopes         []string `json:"scopes"`
}

// resourceDetails add what costs a look through the grants.
type resourceDetails struct {
	resourceView
	Description string `json:"description,omitempty"`
	// Captures are the names of a pattern. An instance has Pattern, and their values.
	Captures     []string          `json:"captures,omitempty"`
	MaxInstances int               `json:"max_instances,omitempty"`
	Instances    int               `json:"instances,omitempty"`
	Pattern      string            `json:"pattern,omitempty"`
	Values       map[string]string `json:"values,omitempty"`
	Grants       int               `json:"grants"`
	More         bool              `json:"more_grants,omitempty"`
}

// resourcePage is a page of the resources. Next is the id to ask for the page
// after, "" at the end.
type resourcePage struct {
	Resources []resourceView `json:"resources"`
	Next      string         `json:"next,omitempty"`
}

// adminResources lists what is registered, of all resource servers and owners or of
// one.
func (s *Server) adminResources(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r, "resource_server", "owner"); err != nil {
		return nil, err
	}
	a, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	if !isKey(q.Get("resource_server")) {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "resource_server must be a client_id")
	}
	page := resourcePage{Resources: []resourceView{}}
	page.Next, err = s.walk(ctx, kindResource, q.Get("resource_server"), a, func(doc store.Doc) (bool, error) {
		rec, err := decodeRecord[resourceRecord](doc)
		if err != nil {
			return false, s.unavailable("resources", err)
		}
		if owner := q.Get("owner"); owner != "" && owner != rec.Owner {
			return false, nil
		}
		page.Resources = append(page.Resources, rec.view(doc.ID))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

func (rec resourceRecord) view(id string) resourceView {
	return resourceView{
		ID: id, ResourceServer: rec.ResourceServer, Owner: rec.Owner,
		Name: rec.Texts["name"], Type: rec.Texts["type"], Scopes: append([]string{}, rec.Scopes...),
	}
}

// knownResource reads a registration, or an instance that was granted.
func (s *Server) knownResource(ctx context.Context, id string) (rec resourceRecord, err error) {
	found := false
	switch {
	case isID(id):
		rec, found, err = s.registration(ctx, id)
	case len(id) == instanceIDLength && isKey(id):
		rec, found, err = s.registeredInstance(ctx, id)
	}
	if err == nil && !found {
		err = notFound("no such resource is registered; see caddy uma resources list")
	}
	return rec, err
}

func (s *Server) adminResource(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	rec, err := s.knownResource(ctx, id)
	if err != nil {
		return nil, err
	}
	d := resourceDetails{resourceView: rec.view(id), Description: rec.Texts["description"]}
	switch {
	case rec.of != nil:
		d.Pattern, d.Values = rec.of.Pattern, rec.captured()
	case rec.isPattern():
		d.Captures, d.MaxInstances = append([]string{}, rec.Captures...), rec.maxInstances()
		instances, err := s.countThose(ctx, kindSlot, id, func(store.Doc) (bool, error) { return true, nil })
		if err != nil {
			return nil, err
		}
		d.Instances = instances.N
	}
	grants, err := s.countGrants(ctx, grantFilter{Resource: id, ResourceServer: rec.ResourceServer})
	d.Grants, d.More = grants.N, grants.More
	return d, err
}

// adminRevokeResource ends the grants on a resource. It stays registered: it is its
// resource server's, which would register it again at its next request.
func (s *Server) adminRevokeResource(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		Resource string `json:"resource_id"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	rec, err := s.knownResource(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	return s.revokeThose(ctx, grantFilter{Resource: in.Resource, ResourceServer: rec.ResourceServer}, "",
		event.Administration{Action: "resource_revoked", ID: in.Resource})
}
