package uma

import (
	"context"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// grantDetails are what there is to say about one grant. There are no credentials in
// it: a jti and a thumbprint prove nothing.
type grantDetails struct {
	grantView
	// Permissions stand in the place of those of the view, with names.
	Permissions []namedPermission `json:"permissions"`
	Live        []rptView         `json:"live_rpts"`
	Bound       Binding           `json:"bound_by,omitempty"`
	RefreshEnds time.Time         `json:"refresh_ends_at,omitzero"`
	Revision    string            `json:"policy_revision,omitempty"`
	// Replaced is the grant that an upgrade put in the place of this one.
	Replaced string `json:"replaced_by,omitempty"`
	// PCT: claims are kept for the client, under a token of its own.
	PCT bool `json:"pct,omitempty"`
}

type namedPermission struct {
	oauth.Permission
	Name string `json:"name,omitempty"`
	// Gone: it is not registered any more, so nothing is opened by it.
	Gone bool `json:"gone,omitempty"`
}

// rptView is an RPT that counts.
type rptView struct {
	ID      string    `json:"jti"`
	Issued  time.Time `json:"issued_at"`
	Expires time.Time `json:"expires_at"`
	Scopes  []string  `json:"scopes,omitempty"`
}

func unknownGrant() error {
	return notFound("there is no such grant: what has expired is forgotten; see caddy uma grants list")
}

// knownGrant reads a grant that an administrator names.
func (s *Server) knownGrant(ctx context.Context, id string) (*grant, error) {
	if !isID(id) {
		return nil, unknownGrant()
	}
	g, found, err := s.loadGrant(ctx, id)
	if err == nil && !found {
		err = unknownGrant()
	}
	return g, err
}

func (s *Server) adminGrant(ctx context.Context, r *http.Request) (any, error) {
	g, err := s.knownGrant(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	d := grantDetails{
		grantView: s.viewGrant(g.id, g.rec), Permissions: []namedPermission{}, Live: []rptView{},
		RefreshEnds: timeOf(g.rec.Refresh.Ends), Revision: g.rec.Revision, Replaced: g.rec.Next,
	}
	switch {
	case g.rec.Confirm.JKT != "":
		d.Bound = BindDPoP
	case g.rec.Confirm.X5T != "":
		d.Bound = BindMTLS
	}
	for _, rpt := range g.rec.RPTs {
		if rpt.good(s.cfg.Now()) {
			d.Live = append(d.Live, rptView{g.jti(rpt), timeOf(rpt.IssuedAt), timeOf(rpt.Expires), rpt.Scopes})
		}
	}
	if err := s.addNames(ctx, &d, g.rec); err != nil {
		return nil, err
	}
	d.PCT, err = s.keepsClaims(ctx, g.rec.PCT)
	return d, err
}

func (s *Server) addNames(ctx context.Context, d *grantDetails, rec grantRecord) error {
	for _, p := range rec.Permissions {
		resource, found, err := s.ownResource(ctx, p.ResourceID, rec.ResourceServer, rec.Owner)
		if err != nil {
			return err
		}
		named := namedPermission{Permission: p, Gone: !found}
		if found {
			named.Name = resource.Texts["name"]
		}
		d.Permissions = append(d.Permissions, named)
	}
	return nil
}

// keepsClaims tells whether a PCT is there.
func (s *Server) keepsClaims(ctx context.Context, hash string) (bool, error) {
	if hash == "" {
		return false, nil
	}
	_, err := s.cfg.Store.Get(ctx, s.key(kindPCT, hash))
	if err != nil && !absent(err) {
		return false, s.unavailable("PCT", err)
	}
	return err == nil, nil
}
