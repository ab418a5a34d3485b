package uma

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

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
	scope      []string
	asked      []requested
	party      *party

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
		Issuer: s.cfg.Issuer, DecisionID: randomText(16), ClientID: req.client.ID, TicketChallenge: p.challenge,
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
		format: req.form.Get("claim_token_format"), scope: strings.Fields(req.form.Get("scope")),
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
	if err := s.spend(ctx, p); err != nil {
		return nil, err
	}
	granted, err := s.judge(ctx, p)
	if err != nil {
		return nil, s.refuse(ctx, p, err)
	}
	issued, err := s.issueRPT(ctx, p, granted)
	if err == nil { // recorded: no flood of strangers makes us forget them
		s.cfg.Finder.Confirm(p.party.Email, p.party.found)
	}
	return issued, err
}

// judge finds what the requesting party may have, or says why not.
func (s *Server) judge(ctx context.Context, p *process) ([]oauth.Permission, error) {
	if err := s.lookUp(ctx, p); err != nil {
		return nil, err
	}
	if err := s.identify(ctx, p); err != nil {
		return nil, err
	}
	p.decision.Person = event.Person{Issuer: p.party.Issuer, Subject: p.party.Subject, Email: p.party.Email.String()}
	p.decision.Evidence = p.party.found.Evidence
	return s.assess(ctx, p)
}

// requested is a resource of the ticket as it is registered now.
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
		rec, _, err := load[resourceRecord](ctx, s, kindResource, want.ResourceID)
		if absent(err) {
			continue
		}
		if err != nil {
			return s.unavailable("resource", err)
		}
		if rec.ResourceServer != p.ticket.ResourceServer || rec.Owner != p.ticket.Owner {
			continue
		}
		r := requested{id: want.ResourceID, rec: rec}
		for _, scope := range rec.Scopes {
			offered[scope] = true
			if slices.Contains(want.Scopes, scope) {
				r.scopes = append(r.scopes, scope)
			}
		}
		r.lost = len(r.scopes) < len(want.Scopes)
		if len(r.scopes) > 0 || len(want.Scopes) == 0 {
			p.asked = append(p.asked, r)
		}
	}
	if len(p.asked) == 0 {
		return denied("nothing that the ticket stands for is registered any more")
	}
	return checkScope(p.scope, offered)
}

// checkScope: a scope that no resource of the ticket offers is an error (UMA
// Grant §3.3.6). One that is offered counts only if it is pre-registered for the
// client, and no client has pre-registered scopes yet (§3.3.1).
func checkScope(asked []string, offered map[string]bool) error {
	for _, scope := range asked {
		if !offered[scope] {
			return oauth.Errorf(oauth.CodeInvalidScope, "a scope is offered by no resource of the ticket")
		}
	}
	return nil
}

// refuse records and forms the answer to a spent ticket that grants nothing.
func (s *Server) refuse(ctx context.Context, p *process, err error) error {
	outcome := event.Denied
	e := oauth.AsError(err)
	switch {
	case e.Status >= http.StatusInternalServerError:
		outcome = event.Failed
	case e.Code == oauth.CodeNeedInfo:
		if e, err = s.needInfo(ctx, p, e); err != nil {
			return err
		}
		if e.Code == oauth.CodeNeedInfo {
			outcome = event.NeedInfo
		}
	}
	if err := s.settle(ctx, p, outcome, ""); err != nil {
		return err
	}
	return e
}
