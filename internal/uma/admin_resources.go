package uma

import (
	"context"
	"net/http"
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

// resourcePage is a page of the resources. Next is the id to ask for the page
// after, "" at the end.
type resourcePage struct {
	Resources []resourceView `json:"resources"`
	Next      string         `json:"next,omitempty"`
}

// adminResources lists what is registered, of all resource servers or of one.
func (s *Server) adminResources(ctx context.Context, r *http.Request) (any, error) {
	n, err := pageSize(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	docs, err := s.cfg.Store.List(ctx, s.tenant, kindResource, q.Get("resource_server"), q.Get("after"), n)
	if err != nil {
		return nil, s.unavailable("resources", err)
	}
	page := resourcePage{Resources: []resourceView{}}
	for _, doc := range docs {
		rec, err := decodeRecord[resourceRecord](doc)
		if err != nil {
			return nil, s.unavailable("resources", err)
		}
		page.Resources = append(page.Resources, resourceView{
			ID: doc.ID, ResourceServer: rec.ResourceServer, Owner: rec.Owner,
			Name: rec.Texts["name"], Type: rec.Texts["type"], Scopes: append([]string{}, rec.Scopes...),
		})
	}
	if len(docs) == n {
		page.Next = docs[n-1].ID
	}
	return page, nil
}
