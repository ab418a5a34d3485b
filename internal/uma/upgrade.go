package uma

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// upgrade finds out whether the RPT in the request can be upgraded: replaced by
// one with its permissions and the new ones (UMA Grant §3.3.5.1). It gives the
// grant that ends thereby, or nil, and all that is granted.
//
// An RPT is upgraded only if it is of the same requesting party, client, resource
// server and owner, and bound to the same key (CONFORMANCE A24), and if all that
// it opens would be granted at this moment, too: an upgrade must not lengthen the
// life of a permission that nobody would give any more. Any other value of rpt is
// as good as none, and the answer does not show why (UG-20).
func (s *Server) upgrade(ctx context.Context, p *process, sub string, granted []oauth.Permission) (*grant, []oauth.Permission, error) {
	if p.rpt == "" {
		return nil, granted, nil
	}
	f, found, err := s.findRPT(ctx, p.rpt)
	if err != nil || !found || !s.sameParties(p, sub, f) {
		return nil, granted, err
	}
	if ok, err := s.stillGranted(ctx, f.grant); err != nil || !ok {
		return nil, granted, err
	}
	what, err := s.existing(ctx, f.rec, narrow(f.rec.Permissions, f.rpt.Scopes))
	if err != nil || len(what) == 0 {
		return nil, granted, err
	}
	q := s.question(p, requested{})
	q.budget = policy.NewBudget(policy.DefaultBudget)
	for _, old := range what {
		ok, err := s.allowedNow(ctx, q, f.rec, old, p.askedScopes(old.ResourceID))
		if err != nil || !ok {
			return nil, granted, err
		}
	}
	all := merge(what, granted)
	if !portable(all) {
		return nil, granted, nil
	}
	return f.grant, all, nil
}

// sameParties compares what makes an RPT the same, and takes one that has expired
// a short while ago.
func (s *Server) sameParties(p *process, sub string, f *foundRPT) bool {
	now := s.cfg.Now().Add(-2 * s.cfg.Leeway)
	return f.rec.Subject == sub && f.rec.Client == p.req.client.ID && f.rec.ResourceServer == p.rs.ID &&
		f.rec.Owner == p.ticket.Owner && f.rec.Confirm == p.req.bound && now.Before(time.Unix(f.rpt.Expires, 0))
}

func (p *process) askedScopes(id string) []string {
	i := slices.IndexFunc(p.asked, func(r requested) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return p.asked[i].scopes
}

// portable tells whether permissions still fit into a token that travels in a
// header field, like those of a ticket.
func portable(list []oauth.Permission) bool {
	body, err := json.Marshal(list)
	return err == nil && len(body) <= maxTicket
}
