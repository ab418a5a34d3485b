package uma

import (
	"context"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// narrow leaves of permissions what concerns certain scopes; nil = everything. A
// permission without scopes stands for the resource as such and for no scope.
func narrow(list []oauth.Permission, scopes []string) []oauth.Permission {
	if scopes == nil {
		return list
	}
	var less []oauth.Permission
	for _, p := range list {
		p.ResourceScopes = common(p.ResourceScopes, scopes)
		if len(p.ResourceScopes) > 0 {
			less = append(less, p)
		}
	}
	return less
}

// common gives those of list that are in other, too; never nil (UMA Fed §5.1.1:
// resource_scopes is an array).
func common(list, other []string) []string {
	both := []string{}
	for _, scope := range list {
		if slices.Contains(other, scope) {
			both = append(both, scope)
		}
	}
	return both
}

// existing leaves of a grant's permissions those for resources and scopes that
// are still registered, in their order.
func (s *Server) existing(ctx context.Context, rec grantRecord, list []oauth.Permission) ([]oauth.Permission, error) {
	var now []oauth.Permission
	for _, p := range list {
		resource, found, err := s.ownResource(ctx, p.ResourceID, rec.ResourceServer, rec.Owner)
		if err != nil {
			return nil, err
		}
		scopes := common(p.ResourceScopes, resource.Scopes)
		if found && (len(scopes) > 0 || len(p.ResourceScopes) == 0) {
			p.ResourceScopes = scopes
			now = append(now, p)
		}
	}
	return now, nil
}

// merge gives the permissions of both lists, one for each resource.
func merge(list, more []oauth.Permission) []oauth.Permission {
	all := make([]oauth.Permission, 0, len(list)+len(more))
	for _, p := range slices.Concat(list, more) {
		i := slices.IndexFunc(all, func(have oauth.Permission) bool { return have.ResourceID == p.ResourceID })
		if i < 0 {
			p.ResourceScopes = append([]string{}, p.ResourceScopes...)
			all = append(all, p)
			continue
		}
		for _, scope := range p.ResourceScopes {
			if !slices.Contains(all[i].ResourceScopes, scope) {
				all[i].ResourceScopes = append(all[i].ResourceScopes, scope)
			}
		}
	}
	return all
}
