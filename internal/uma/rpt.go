package uma

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// grantRecord is what a ticket led to: one RPT for one requesting party,
// client, resource server and owner (UMA Grant §1.3).
type grantRecord struct {
	version
	ResourceServer string             `json:"resource_server"`
	Owner          string             `json:"owner"`
	Client         string             `json:"client"`
	Issuer         string             `json:"iss"`
	Subject        string             `json:"sub"`
	Permissions    []oauth.Permission `json:"permissions"`
	Policy         string             `json:"policy"`
	DecisionID     string             `json:"decision_id"`
	Expires        int64              `json:"exp"`
	// Revoked says why it ended; "" = it lives.
	Revoked string       `json:"revoked,omitempty"`
	Bound   confirmation `json:"cnf,omitzero"`
}

// issueRPT signs the RPT (RFC 9068 with the permissions of UMA Fed §5.1.1) and
// records the grant; if it cannot be recorded, it does not leave.
func (s *Server) issueRPT(ctx context.Context, p *process, granted []oauth.Permission) (*oauth.TokenResponse, error) {
	now := s.cfg.Now()
	expires := now.Add(s.cfg.RPTLifetime)
	jti := randomText(16)
	sub, err := s.subject(ctx, p.party)
	if err != nil {
		return nil, err
	}
	payload := released(p)
	maps.Copy(payload, map[string]any{
		"iss": s.cfg.Issuer, "sub": sub, "aud": p.rs.audience(), "client_id": p.req.client.ID,
		"iat": now.Unix(), "exp": expires.Unix(), "jti": jti,
		"permissions": granted, "decision_id": p.decision.DecisionID,
	})
	if !p.req.bound.none() {
		payload["cnf"] = p.req.bound
	}
	rpt, err := s.cfg.RPTKeys.Sign(ctx, oauth.TypAccessToken, payload)
	if err != nil {
		return nil, s.unavailable("RPT key", err)
	}
	if err := s.recordGrant(ctx, p, jti, expires, granted); err != nil {
		return nil, err
	}
	return &oauth.TokenResponse{
		AccessToken: rpt, TokenType: p.req.bound.tokenType(), ExpiresIn: int64(s.cfg.RPTLifetime / time.Second),
	}, nil
}

func (s *Server) recordGrant(ctx context.Context, p *process, jti string, expires time.Time, granted []oauth.Permission) error {
	doc, err := s.doc(kindGrant, jti, p.rs.ID, expires.Add(2*s.cfg.Leeway), grantRecord{
		version: version{currentVersion}, ResourceServer: p.rs.ID, Owner: p.ticket.Owner, Client: p.req.client.ID,
		Issuer: p.party.Issuer, Subject: p.party.Subject, Permissions: granted,
		Policy: p.decision.Policy, DecisionID: p.decision.DecisionID, Expires: expires.Unix(), Bound: p.req.bound,
	})
	if err != nil {
		return err
	}
	return s.settle(ctx, p, result{outcome: event.Granted, granted: granted, grant: jti, ops: []store.Op{store.Create(doc)}})
}

// released are the claims that the resource server gets of the requesting
// party. The protocol's own claims are set afterwards and win.
func released(p *process) map[string]any {
	payload := map[string]any{}
	for _, name := range p.rs.Release {
		if value, there := p.party.Claims[name]; there {
			payload[name] = value
		}
	}
	return payload
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
