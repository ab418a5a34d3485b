package uma

import (
	"context"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// requested is a resource of the ticket as it is registered now, with the scopes
// that are asked for.
type requested struct {
	id     string
	rec    resourceRecord
	scopes []string
	// lost: the ticket stands for scopes that are not registered any more.
	lost bool
}

// lookUp reads the ticket's resources again: what is gone since the ticket was
// made is not granted.
func (s *Server) lookUp(ctx context.Context, p *process) error {
	offered := map[string]bool{}
	for _, want := range p.ticket.Permissions {
		rec, found, err := s.ticketResource(ctx, want, &p.ticket)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		for _, scope := range rec.Scopes {
			offered[scope] = true
		}
		r := p.request(want, rec)
		if len(r.scopes) > 0 || len(want.Scopes) == 0 {
			p.asked = append(p.asked, r)
		}
	}
	if len(p.asked) == 0 {
		return denied("nothing that the ticket stands for is registered any more")
	}
	return checkScope(p.scope, offered)
}

// ownResource reads a resource of this resource server and owner; another's is
// as absent as one that never was. So is that of an owner whom the resource server
// does not speak for any more (CONFORMANCE A41).
func (s *Server) ownResource(ctx context.Context, id, server, owner string) (rec resourceRecord, found bool, err error) {
	rec, found, err = s.registered(ctx, id)
	return rec, found && s.isOwn(rec, server, owner), err
}

// ticketResource is ownResource for what a ticket stands for: an instance need not
// be registered yet.
func (s *Server) ticketResource(ctx context.Context, want ticketPermission, t *ticket) (rec resourceRecord, found bool, err error) {
	if !want.isInstance() {
		return s.ownResource(ctx, want.ResourceID, t.ResourceServer, t.Owner)
	}
	rec, found, err = s.instanceOf(ctx, want.key())
	return rec, found && s.isOwn(rec, t.ResourceServer, t.Owner), err
}

func (s *Server) isOwn(rec resourceRecord, server, owner string) bool {
	return rec.ResourceServer == server && rec.Owner == owner && s.servers[server].speaksFor(owner)
}

// request is the scope arithmetic of UMA Grant §3.3.4 for one resource: the
// ticket's scopes of it that are still registered, and those of this request's
// scope parameter that are pre-registered for the client and offered by this
// resource (CONFORMANCE A38). Scopes of earlier requests do not count.
func (p *process) request(want ticketPermission, rec resourceRecord) requested {
	r := requested{id: want.id(), rec: rec}
	kept := 0
	for _, scope := range rec.Scopes {
		inTicket := slices.Contains(want.Scopes, scope)
		if inTicket {
			kept++
		}
		if inTicket || slices.Contains(p.req.client.Scopes, scope) && slices.Contains(p.scope, scope) {
			r.scopes = append(r.scopes, scope)
		}
	}
	r.lost = kept < len(want.Scopes)
	return r
}

// parseScope reads the parameter scope (RFC 6749 §3.3). Each one counts once, and
// more than a resource can offer are refused: they are compared with every scope of
// every resource, which a body full of them would make a long work.
func parseScope(form oauth.Form) ([]string, error) {
	var scopes []string
	seen := map[string]bool{}
	for scope := range strings.FieldsSeq(form.Get("scope")) {
		if !seen[scope] {
			seen[scope], scopes = true, append(scopes, scope)
		}
		if len(scopes) > maxScopes {
			return nil, oauth.Errorf(oauth.CodeInvalidScope, "at most %d scopes may be asked for", maxScopes)
		}
	}
	return scopes, nil
}

// checkScope: a scope that no resource of the ticket offers is an error (UMA
// Grant §3.3.6). One that is offered but not pre-registered for the client does
// not count (§3.3.1).
func checkScope(asked []string, offered map[string]bool) error {
	for _, scope := range asked {
		if !offered[scope] {
			return oauth.Errorf(oauth.CodeInvalidScope, "a scope is offered by no resource of the ticket")
		}
	}
	return nil
}

// askedPermissions are what was asked for, as permissions.
func (p *process) askedPermissions() []oauth.Permission {
	list := make([]oauth.Permission, len(p.asked))
	for i, r := range p.asked {
		list[i] = oauth.Permission{ResourceID: r.id, ResourceScopes: append([]string{}, r.scopes...)}
	}
	return list
}

// askedInstances are the instances among what was asked for.
func (p *process) askedInstances() map[string]instanceKey {
	keys := map[string]instanceKey{}
	for _, r := range p.asked {
		if r.rec.of != nil {
			keys[r.id] = *r.rec.of
		}
	}
	return keys
}
