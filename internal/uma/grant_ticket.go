package uma

import (
	"context"
	"maps"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// process is one request with the UMA grant on its way through the checks.
type process struct {
	req        *tokenRequest
	ticketText string
	challenge  string
	ticket     ticket
	spent      store.Doc
	rs         ResourceServer
	claimToken string
	format     string
	pct, rpt   string
	scope      []string
	asked      []requested
	party      *party
	kept       *store.Doc // the claims that were kept for this round
	deciding   []string   // names of the policies that let the party in

	decision event.Decision
}

// grantTicket is the UMA grant (UMA Grant §3.3). Its event is observed exactly
// once, whatever comes out.
func (s *Server) grantTicket(ctx context.Context, req *tokenRequest) (*oauth.TokenResponse, error) {
	p, err := s.parseTicketRequest(req)
	if err != nil {
		return nil, err
	}
	p.decision = event.Decision{
		Issuer: s.cfg.Issuer, DecisionID: newDecisionID(s.cfg.Now()), ClientID: req.client.ID, TicketChallenge: p.challenge,
		Revision: s.cfg.PolicyRevision,
	}
	answer, err := s.present(ctx, p)
	s.observe(ctx, p, err)
	if err != nil {
		return nil, withDecision(err, p.decision.DecisionID)
	}
	answer.DecisionID = p.decision.DecisionID
	return answer, nil
}

func (s *Server) observe(ctx context.Context, p *process, err error) {
	switch e := oauth.AsError(err); {
	case err == nil:
		p.decision.Outcome = event.Granted
	case e.Code == oauth.CodeNeedInfo:
		p.decision.Outcome = event.NeedInfo
	case e.Code == oauth.CodeRequestDenied:
		p.decision.Outcome = event.Denied
	case e.Status >= http.StatusInternalServerError:
		p.decision.Outcome = event.Failed
	default:
		p.decision.Outcome = event.Refused
	}
	if err != nil {
		p.decision.Reason = reasonOf(err)
	}
	s.cfg.Observe(ctx, p.decision)
}

func withDecision(err error, id string) error {
	e := *oauth.AsError(err)
	extra := map[string]any{"decision_id": id}
	maps.Copy(extra, e.Extra)
	e.Extra = extra
	return &e
}

// parseTicketRequest checks the form (UMA Grant §3.3.1). Errors here leave the
// ticket usable.
func (s *Server) parseTicketRequest(req *tokenRequest) (*process, error) {
	if _, isServer := s.servers[req.client.ID]; isServer {
		return nil, oauth.Errorf(oauth.CodeUnauthorizedClient, "a resource server must not use the UMA grant")
	}
	p := &process{
		req: req, ticketText: req.form.Get("ticket"), claimToken: req.form.Get("claim_token"),
		format: req.form.Get("claim_token_format"), pct: req.form.Get("pct"), rpt: req.form.Get("rpt"),
	}
	var err error
	if p.scope, err = parseScope(req.form); err != nil {
		return nil, err
	}
	if p.ticketText == "" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "ticket is missing")
	}
	if (p.claimToken == "") != (p.format == "") {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "claim_token and claim_token_format must come together")
	}
	pushed := req.form.Get("pushed_claims")
	if pushed != "" && !s.cfg.NoPushedClaims {
		if p.claimToken != "" {
			return nil, oauth.Errorf(oauth.CodeInvalidRequest, "pushed_claims is another name of claim_token; send one of them")
		}
		p.claimToken, p.format = pushed, oauth.ClaimTokenFormatJWT
	}
	p.challenge = oauth.TicketChallenge(p.ticketText)
	return p, nil
}

// present runs the checks in the order of CONFORMANCE A12, cheap ones first.
func (s *Server) present(ctx context.Context, p *process) (*oauth.TokenResponse, error) {
	var err error
	if p.ticket, err = s.openTicket(ctx, p.ticketText, p.req.client.ID); err != nil {
		return nil, err
	}
	p.rs = s.servers[p.ticket.ResourceServer]
	p.decision.ResourceServer, p.decision.Owner = p.rs.ID, p.ticket.Owner
	p.decision.ResourceIDs = p.ticket.resourceIDs()
	if err := checkBound(p.rs.Require, p.req.bound); err != nil {
		return nil, err
	}
	if err := s.spend(ctx, p); err != nil {
		return nil, err
	}
	granted, err := s.judge(ctx, p)
	if err != nil {
		return nil, s.refuse(ctx, p, err)
	}
	if err := s.continuity(ctx, p, s.policiesNamed(p.deciding)); err != nil {
		return nil, s.refuse(ctx, p, err)
	}
	issued, err := s.issueRPT(ctx, p, granted)
	if err == nil { // recorded: no flood of strangers makes us forget them
		p.party.confirm(s.cfg.Finder)
	}
	return issued, err
}

// checkBound refuses a request without the proof that the resource server
// demands, before the ticket counts as presented: the client may come again.
func checkBound(want Binding, bound confirmation) error {
	switch {
	case bound.meets(want):
		return nil
	case want == BindDPoP:
		return oauth.Errorf(oauth.CodeInvalidDPoPProof, "this resource server demands tokens that are bound to a key: send a DPoP proof")
	default:
		return oauth.Errorf(oauth.CodeInvalidRequest, "this resource server demands tokens that are bound to a certificate: use mutual TLS")
	}
}

// judge finds what the requesting party may have, or says why not.
func (s *Server) judge(ctx context.Context, p *process) ([]oauth.Permission, error) {
	if err := s.lookUp(ctx, p); err != nil {
		return nil, err
	}
	if err := s.identify(ctx, p); err != nil {
		return nil, err
	}
	if err := s.refuseBlocked(ctx, p); err != nil {
		return nil, err
	}
	return s.assess(ctx, p)
}
