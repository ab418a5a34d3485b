package uma

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// serverView is a resource server as administrators see it.
type serverView struct {
	ID       string   `json:"client_id"`
	URI      string   `json:"resource_uri"`
	Audience string   `json:"audience"`
	Owner    string   `json:"owner"`
	Local    bool     `json:"local"`
	Opaque   bool     `json:"opaque_rpts,omitempty"`
	Require  Binding  `json:"require,omitempty"`
	Release  []string `json:"release,omitempty"`

	Resources     int  `json:"resources"`
	MoreResources bool `json:"more_resources,omitempty"`
	Grants        int  `json:"grants"`
	MoreGrants    bool `json:"more_grants,omitempty"`
	// PATs is how many are good now, LastPAT when the newest of them was issued.
	PATs    int       `json:"pats"`
	LastPAT time.Time `json:"last_pat_at,omitzero"`
}

type serverPage struct {
	Servers []serverView `json:"resource_servers"`
	Next    string       `json:"next,omitempty"`
}

// mostServers bounds a page: for each one its documents are counted.
const mostServers = 50

func (s *Server) adminServers(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r); err != nil {
		return nil, err
	}
	a, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(s.servers))
	for id := range s.servers {
		if id > a.After {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	page := serverPage{Servers: []serverView{}}
	if n := min(a.Limit, mostServers); len(ids) > n {
		ids, page.Next = ids[:n], ids[n-1]
	}
	for _, id := range ids {
		view, err := s.viewServer(ctx, s.servers[id])
		if err != nil {
			return nil, err
		}
		page.Servers = append(page.Servers, view)
	}
	return page, nil
}

func (s *Server) adminServer(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r, "client_id"); err != nil {
		return nil, err
	}
	rs, found := s.servers[r.URL.Query().Get("client_id")]
	if !found {
		return nil, notFound("no resource server has this client_id; see caddy uma resource-servers list")
	}
	return s.viewServer(ctx, rs)
}

func (s *Server) viewServer(ctx context.Context, rs ResourceServer) (serverView, error) {
	view := serverView{
		ID: rs.ID, URI: rs.URI, Audience: rs.audience(), Owner: rs.owner(), Local: rs.Local,
		Opaque: rs.Opaque, Require: rs.Require, Release: rs.Release,
	}
	resources, err := s.countThose(ctx, kindResource, rs.ID, func(store.Doc) (bool, error) { return true, nil })
	if err != nil {
		return view, err
	}
	view.Resources, view.MoreResources = resources.N, resources.More
	grants, err := s.countGrants(ctx, grantFilter{ResourceServer: rs.ID})
	if err != nil {
		return view, err
	}
	view.Grants, view.MoreGrants = grants.N, grants.More
	return view, s.addPATs(ctx, &view)
}

func (s *Server) addPATs(ctx context.Context, view *serverView) error {
	pats, err := s.countThose(ctx, kindPAT, view.ID, func(doc store.Doc) (bool, error) {
		rec, err := decodeRecord[patRecord](doc)
		if err != nil {
			return false, nil //nolint:nilerr // one does not save those behind it
		}
		if at := timeOf(rec.IssuedAt); at.After(view.LastPAT) {
			view.LastPAT = at
		}
		return true, nil
	})
	view.PATs = pats.N
	return err
}
