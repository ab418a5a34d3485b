package uma

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// clientSource is where a client is known from.
type clientSource string

// Sources, in the order of the list.
const (
	clientConfigured clientSource = "configured"
	clientRegistered clientSource = "registered" // RFC 7591
	clientDocument   clientSource = "document"   // its client_id is the URL of its metadata
)

// clientView is a client as administrators see it. What a client registered was
// written by a stranger, its name above all.
type clientView struct {
	ID         string       `json:"client_id"`
	Source     clientSource `json:"source"`
	Name       string       `json:"client_name,omitempty"`
	Disabled   bool         `json:"disabled,omitempty"`
	Public     bool         `json:"public"`
	Method     string       `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes []string     `json:"grant_types,omitempty"`
	Scopes     []string     `json:"scopes,omitempty"`
	DPoPBound  bool         `json:"dpop_bound_access_tokens,omitempty"`
	TLSBound   bool         `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	Registered time.Time    `json:"registered_at,omitzero"`
}

// clientDetails add what costs a look through the grants.
type clientDetails struct {
	clientView
	Contacts []string `json:"contacts,omitempty"`
	URI      string   `json:"client_uri,omitempty"`
	JWKSURI  string   `json:"jwks_uri,omitempty"`
	Grants   int      `json:"grants"`
	More     bool     `json:"more_grants,omitempty"`
}

// clientPage is a page of the clients. Those of documents are the ones that this
// process has read lately: nobody keeps a list of strangers.
type clientPage struct {
	Clients    []clientView `json:"clients"`
	Next       string       `json:"next,omitempty"`
	Unreadable int          `json:"unreadable,omitempty"`
}

// adminClients lists the sources one after the other; after says where in which.
func (s *Server) adminClients(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r); err != nil {
		return nil, err
	}
	a, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	page := clientPage{Clients: []clientView{}}
	source, after, _ := strings.Cut(a.After, " ")
	for from := clientSource(source); ; from, after = page.following(from), "" {
		switch from {
		case "", clientConfigured:
			from = clientConfigured
			page.addSorted(s.configuredClients(), after, a.Limit)
		case clientRegistered:
			if err := s.addRegistered(ctx, &page, after, a.Limit-len(page.Clients)); err != nil {
				return nil, err
			}
		case clientDocument:
			page.addSorted(s.documents.read(), after, a.Limit)
			return page, nil
		default:
			return nil, oauth.Errorf(oauth.CodeInvalidRequest, "after must be the member next of the page before")
		}
		if page.Next != "" {
			return page, nil
		}
		if len(page.Clients) == a.Limit {
			page.Next = string(page.following(from)) + " "
			return page, nil
		}
	}
}

func (clientPage) following(source clientSource) clientSource {
	if source == clientRegistered {
		return clientDocument
	}
	return clientRegistered
}

// addSorted fills the page up with clients behind the id after.
func (p *clientPage) addSorted(all []clientView, after string, limit int) {
	slices.SortFunc(all, func(a, b clientView) int { return cmp.Compare(a.ID, b.ID) })
	for _, view := range all {
		if view.ID <= after {
			continue
		}
		if len(p.Clients) == limit {
			last := p.Clients[limit-1]
			p.Next = string(view.Source) + " "
			if last.Source == view.Source {
				p.Next += last.ID
			}
			return
		}
		p.Clients = append(p.Clients, view)
	}
}

// configuredClients are those of requesting parties; resource servers have a list of
// their own.
func (s *Server) configuredClients() []clientView {
	var all []clientView
	for _, c := range s.cfg.Clients {
		all = append(all, viewClient(c, clientConfigured))
	}
	return all
}

func viewClient(c clientauth.Client, from clientSource) clientView {
	return clientView{
		ID: c.ID, Source: from, Disabled: c.Disabled, Public: c.Public, Method: c.Method, GrantTypes: c.GrantTypes,
		Scopes: c.Scopes, DPoPBound: c.DPoPBound, TLSBound: c.TLSBound,
	}
}

func (rec clientRecord) view(id string) clientView {
	view := viewClient(rec.Metadata.client(id), clientRegistered)
	view.Name, view.Registered = rec.Metadata.Texts["client_name"], timeOf(rec.IssuedAt)
	return view
}

func (s *Server) addRegistered(ctx context.Context, page *clientPage, after string, n int) error {
	next, err := s.walk(ctx, kindClient, "", ask{After: after, Limit: n}, func(doc store.Doc) (bool, error) {
		rec, err := decodeRecord[clientRecord](doc)
		if err != nil {
			page.Unreadable++
			return false, nil //nolint:nilerr // one does not save those behind it
		}
		page.Clients = append(page.Clients, rec.view(doc.ID))
		return true, nil
	})
	if next != "" {
		page.Next = string(clientRegistered) + " " + next
	}
	return err
}

// read gives the clients whose documents are remembered and good.
func (d *documents) read() []clientView {
	if d == nil {
		return nil
	}
	var all []clientView
	for _, id := range d.kept.Keys() {
		if kept, found := d.kept.Peek(id); found && kept.err == nil {
			all = append(all, viewClient(kept.client, clientDocument))
		}
	}
	return all
}

func (s *Server) adminClient(ctx context.Context, r *http.Request) (any, error) {
	if err := onlyParams(r, "client_id"); err != nil {
		return nil, err
	}
	details, err := s.clientDetails(ctx, r.URL.Query().Get("client_id"))
	if err != nil {
		return nil, err
	}
	grants, err := s.countGrants(ctx, grantFilter{Client: details.ID})
	details.Grants, details.More = grants.N, grants.More
	return details, err
}

func (s *Server) clientDetails(ctx context.Context, id string) (details clientDetails, err error) {
	if _, found := s.servers[id]; found {
		return details, notFound("this is a resource server: see caddy uma resource-servers show")
	}
	if c, found := s.clients[id]; found {
		return clientDetails{clientView: viewClient(c, clientConfigured), JWKSURI: c.JWKSURI}, nil
	}
	if isRegisteredID(id) {
		rec, _, err := load[clientRecord](ctx, s, kindClient, id)
		if err == nil {
			m := rec.Metadata
			return clientDetails{clientView: rec.view(id), Contacts: m.Contacts, URI: m.Texts["client_uri"], JWKSURI: m.JWKSURI}, nil
		}
		if !absent(err) {
			return details, s.unavailable("client", err)
		}
	}
	if s.documents.covers(id) {
		if kept, found := s.documents.kept.Peek(id); found && kept.err == nil {
			return clientDetails{clientView: viewClient(kept.client, clientDocument), JWKSURI: kept.client.JWKSURI}, nil
		}
		return clientDetails{clientView: clientView{ID: id, Source: clientDocument}}, nil
	}
	return details, notFound("there is no such client; see caddy uma clients list")
}

// countGrants counts live grants.
func (s *Server) countGrants(ctx context.Context, f grantFilter) (count, error) {
	return s.countThose(ctx, kindGrant, f.ResourceServer, func(doc store.Doc) (bool, error) {
		rec, err := decodeRecord[grantRecord](doc)
		if err != nil || !s.lives(rec) {
			return false, nil //nolint:nilerr // one does not save those behind it
		}
		return s.fits(ctx, rec, &f)
	})
}
