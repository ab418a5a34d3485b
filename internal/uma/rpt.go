package uma

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// issueRPT makes a grant of what a ticket led to, with its first RPT; if it cannot
// be recorded, nothing leaves.
func (s *Server) issueRPT(ctx context.Context, p *process, granted []oauth.Permission) (*oauth.TokenResponse, error) {
	sub, err := s.subject(ctx, p.party)
	if err != nil {
		return nil, err
	}
	var answer *oauth.TokenResponse
	err = s.again(func() error {
		answer, err = s.newGrant(ctx, p, sub, granted)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *Server) newGrant(ctx context.Context, p *process, sub string, granted []oauth.Permission) (*oauth.TokenResponse, error) {
	old, granted, err := s.upgrade(ctx, p, sub, granted)
	if err != nil {
		return nil, err
	}
	g := &grant{id: newID(), rec: grantRecord{
		version: version{currentVersion}, ResourceServer: p.rs.ID, Owner: p.ticket.Owner, Client: p.req.client.ID,
		Subject: sub, Confirm: p.req.bound, Permissions: granted,
		Policy: p.decision.Policy, DecisionID: p.decision.DecisionID, Revision: s.cfg.PolicyRevision,
		IssuedAt: s.cfg.Now().Unix(),
	}}
	answer, ops, err := s.mint(ctx, g, granted, nil, released(p.rs, p.party))
	if err != nil {
		return nil, err
	}
	answer.Upgraded = old != nil
	more, err := s.extras(ctx, p, g, answer)
	if err != nil {
		return nil, err
	}
	instances, err := s.registerInstances(ctx, p, granted)
	if err != nil { // a pattern is full
		return nil, s.refuse(ctx, p, err)
	}
	return answer, s.recordGrant(ctx, p, g, old, slices.Concat(ops, more, instances))
}

// extras are what may come with an RPT: refresh token and PCT.
func (s *Server) extras(ctx context.Context, p *process, g *grant, answer *oauth.TokenResponse) ([]store.Op, error) {
	if s.cfg.RefreshLifetime > 0 && holdsSafely(p.req) && p.req.client.MayUse(oauth.GrantRefreshToken) {
		answer.RefreshToken = s.startRefresh(g)
	}
	pct, ops, err := s.issuePCT(ctx, p)
	if err != nil || pct == "" {
		return nil, err
	}
	answer.PCT, g.rec.PCT = pct, hashID(pct)
	return ops, nil
}

// recordGrant writes the grant with the outcome of its ticket. An upgrade ends the
// old grant in the same commit (UMA Grant §3.3.5.1).
func (s *Server) recordGrant(ctx context.Context, p *process, g, old *grant, ops []store.Op) error {
	if old != nil {
		old.end("upgraded")
		old.rec.Next, old.rec.Expires = g.id, max(old.rec.Expires, g.rec.Expires)
		more, err := s.ops(old)
		if err != nil {
			return err
		}
		ops = append(ops, more...)
	}
	more, err := s.ops(g)
	if err != nil {
		return err
	}
	err = s.settle(ctx, p, result{outcome: event.Granted, granted: g.rec.Permissions, grant: g.id, ops: append(ops, more...)})
	if err != nil {
		return err
	}
	if old != nil {
		s.observeRevocation(ctx, old.rec, old.rec.Revoked)
	}
	return s.blockedMeanwhile(ctx, p, g.id)
}

// mint makes the next RPT of a grant, for what of its permissions concerns the
// scopes. Grant and ops must be written before it leaves.
func (s *Server) mint(ctx context.Context, g *grant, what []oauth.Permission, scopes []string, claims map[string]any) (*oauth.TokenResponse, []store.Op, error) {
	now := s.cfg.Now()
	expires := now.Add(s.cfg.RPTLifetime).Unix()
	if ends := g.rec.Refresh.Ends; ends != 0 { // CONFORMANCE A29: the whole family ends
		expires = min(expires, ends)
	}
	g.rec.Serial++
	rpt := rptRecord{Serial: g.rec.Serial, IssuedAt: now.Unix(), Expires: expires, Scopes: scopes}
	answer := &oauth.TokenResponse{
		TokenType: g.rec.Confirm.tokenType(), ExpiresIn: expires - now.Unix(), DecisionID: g.rec.DecisionID,
	}
	if s.servers[g.rec.ResourceServer].Opaque {
		token, op, err := s.newReference(g, rpt)
		g.add(rpt, now, s.cfg.Leeway)
		answer.AccessToken = token
		return answer, []store.Op{op}, err
	}
	var err error
	if rpt.Place, err = s.statuses.place(ctx); err != nil {
		return nil, nil, err
	}
	g.add(rpt, now, s.cfg.Leeway)
	answer.AccessToken, err = s.signRPT(ctx, g, rpt, what, claims)
	return answer, nil, err
}

func (s *Server) signRPT(ctx context.Context, g *grant, rpt rptRecord, what []oauth.Permission, claims map[string]any) (string, error) {
	payload := maps.Clone(claims)
	maps.Copy(payload, s.describe(g, rpt, what))
	token, err := s.cfg.RPTKeys.Sign(ctx, oauth.TypAccessToken, payload)
	if err != nil {
		return "", s.unavailable("RPT key", err)
	}
	return token, nil
}

// describe gives the claims of an RPT (RFC 9068 §2.2, with the permissions of UMA
// Fed §5.1.1), which are also its description at introspection (RFC 7662 §2.2).
// There is no scope: scopes count within their permission alone (CONFORMANCE A23).
func (s *Server) describe(g *grant, rpt rptRecord, what []oauth.Permission) map[string]any {
	all := map[string]any{
		"iss": s.cfg.Issuer, "sub": g.rec.Subject, "aud": s.servers[g.rec.ResourceServer].audience(),
		"client_id": g.rec.Client, "iat": rpt.IssuedAt, "exp": rpt.Expires, "jti": g.jti(rpt),
		"permissions": what, "decision_id": g.rec.DecisionID,
	}
	if !g.rec.Confirm.none() {
		all["cnf"] = g.rec.Confirm
	}
	if rpt.Place != nil {
		all["status"] = s.statusOf(rpt)
	}
	return all
}

// jti leads from an RPT to its grant.
func (g *grant) jti(rpt rptRecord) string { return g.id + "." + strconv.Itoa(rpt.Serial) }

// holdsSafely tells whether a client can be given something to keep: it
// authenticates, or what it gets is bound to the key that it proved (CONFORMANCE
// A25).
func holdsSafely(req *tokenRequest) bool { return !req.client.Public || req.bound.JKT != "" }

// released are the claims that the resource server gets of the requesting
// party. The protocol's own claims are set afterwards and win.
func released(rs ResourceServer, who *party) map[string]any {
	payload := map[string]any{}
	for _, name := range rs.Release {
		if value, there := who.Claims[name]; there {
			payload[name] = value
		}
	}
	return payload
}

// releasedAgain are the released claims of a grant that was made before.
func (s *Server) releasedAgain(ctx context.Context, g *grant) (claims map[string]any, known bool, err error) {
	rs := s.servers[g.rec.ResourceServer]
	if len(rs.Release) == 0 {
		return map[string]any{}, true, nil
	}
	_, who, _, err := s.pastDecision(ctx, g.rec.DecisionID)
	if unreadable(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.unavailable("decision", err)
	}
	return released(rs, who), true, nil
}

// subject makes the RPT's sub: stable for (iss, sub), opaque, and never equal
// to a client_id (CONFORMANCE A11, DESIGN §8).
func (s *Server) subject(ctx context.Context, who *party) (string, error) {
	_, key, err := s.cfg.SubjectKeys.Current(ctx)
	if err != nil {
		return "", s.unavailable("subject key", err)
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(who.Issuer + "\x00" + who.Subject))
	return "u-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))[:22], nil
}
