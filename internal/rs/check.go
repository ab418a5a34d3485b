package rs

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Grant tells about the requesting party of a request that passes. A value that
// must not become a placeholder is empty.
type Grant struct {
	Issuer, Subject, ClientID, DecisionID string
	// Resource is the name of the resource of the request, Scopes what the RPT
	// grants there.
	Resource string
	Scopes   []string
	// Claims are the string claims that the authorization server released, sorted by
	// name. They must not be changed: other requests share them.
	Claims []Claim

	server  string    // our resource URI
	of      *instance // nil: the resource is no pattern
	expires time.Time // of the RPT
}

// Claim is a text that may become a placeholder.
type Claim struct{ Name, Value string }

// Target is what the adapter has found out about a request.
type Target struct {
	// Index is the resource, negative if none covers the request.
	Index int
	// Captures are what the path of the request has for the captures of the
	// resource, Owner what its owner template leads to.
	Captures []oauth.Capture
	Owner    string
	// Source is where the request comes from, for the bound on tickets.
	Source string
}

// Check decides about one request: exactly one of the results is not nil.
func (s *Server) Check(r *http.Request, to Target) (*Grant, *Refusal) {
	wants, ok := s.wants(to.Index, Method(r))
	if ok {
		wants, ok = s.instantiate(wants, to)
	}
	if !ok {
		return nil, forbidden()
	}
	// RFC 6750 §2 (CONFORMANCE OA-09): the header alone counts, and only once.
	scheme, credentials, err := oauth.ParseAuthorization(r.Header)
	if err != nil {
		return nil, BadRequest("The request has more than one Authorization header.")
	}
	ctx := r.Context()
	code := ""
	p := &presented{request: r, to: to, wants: wants, token: credentials, scheme: scheme, dpop: scheme == schemeDPoP}
	if scheme == schemeBearer || scheme == schemeDPoP {
		grant, refusal, wrong := s.present(ctx, p)
		if grant != nil || refusal != nil {
			return grant, refusal
		}
		code = wrong
	}
	// CONFORMANCE A31: a preflight carries no credentials and must not cost a
	// ticket; whoever wants preflights answered turns on CORS.
	if Preflight(r) {
		return nil, forbidden()
	}
	f := s.challenge(ctx, wants, to.Source, s.second(p, code))
	f.DecisionID = p.decision
	return nil, f
}

// Method gives the method that the backend will see: Caddy turns the CONNECT of
// a WebSocket over HTTP/2 or 3 (RFC 8441) into a GET.
func Method(r *http.Request) string {
	if r.Method != http.MethodConnect {
		return r.Method
	}
	if r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket" {
		return http.MethodGet
	}
	return r.Method
}

// Preflight tells a CORS preflight.
func Preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// present judges the RPT of a request. Neither a grant nor a refusal means that
// the request is answered like one without a token (UMA Grant §3.5), with code as
// a hint (CONFORMANCE A19).
func (s *Server) present(ctx context.Context, p *presented) (grant *Grant, refusal *Refusal, code string) {
	st, err := s.ready(ctx)
	if err != nil {
		s.observe(ctx, p.wants, nil, sourceLocal, err)
		s.cannotCheck(err)
		return nil, unreachable(), ""
	}
	st = st.atInstances(p.wants)
	claims, source, err := s.judge(ctx, st, p)
	p.decision = claims.decision()
	s.observe(ctx, p.wants, claims, source, err)
	if refusal := s.unproven(ctx, err); refusal != nil {
		return nil, refusal, ""
	}
	if err == nil {
		return s.grant(claims, st, &p.wants[0]), nil, ""
	}
	refusal, code = s.refused(err)
	return nil, refusal, code
}

// refused gives the refusal of an RPT, or none and a hint.
func (s *Server) refused(err error) (refusal *Refusal, code string) {
	var (
		wrong *tokenError
		much  *limitError
	)
	switch {
	case errors.Is(err, errInsufficient):
		return nil, oauth.CodeInsufficientScope
	case errors.As(err, &wrong):
		return nil, codeOf(err)
	case errors.As(err, &much):
		return tooMany(much.wait), ""
	default:
		s.cannotCheck(err)
		return unavailable(), ""
	}
}

// cannotCheck logs a failure, at most one in a second: anybody can bring tokens.
func (s *Server) cannotCheck(err error) {
	if s.troubled.begin(s.cfg.Now()) {
		s.cfg.Log.Error("an RPT cannot be checked", zap.String("client_id", s.cfg.ClientID), zap.Error(err))
	}
}

func (s *Server) grant(c *rptClaims, st *state, w *want) *Grant {
	g := &Grant{
		Issuer: s.cfg.Issuer, Subject: c.Subject, ClientID: c.ClientID, DecisionID: c.DecisionID,
		Resource: or(s.resources[w.index].Name, st.learned.resource),
		Scopes:   c.scopesOf(st.ids[w.index], s.cfg.Now(), s.cfg.Leeway), Claims: c.released,
		of: w.of, server: st.learned.resource, expires: c.Expires.Time(),
	}
	if !c.safe {
		g.Subject, g.ClientID, g.DecisionID = safe(g.Subject), safe(g.ClientID), safe(g.DecisionID)
	}
	return g
}

func safe(value string) string {
	if Safe(value) {
		return value
	}
	return ""
}

// observe reports one check of an RPT.
func (s *Server) observe(ctx context.Context, wants []want, c *rptClaims, source string, err error) {
	e := event.RPTCheck{
		Issuer: s.cfg.Issuer, ResourceServer: s.cfg.ClientID, Resource: s.resources[wants[0].index].Name,
		Scopes: wants[0].scopes, Source: source, Outcome: event.Granted,
	}
	if c != nil {
		e.ClientID, e.Subject, e.DecisionID = c.ClientID, c.Subject, c.DecisionID
	}
	if err != nil {
		e.Outcome, e.Reason = outcome(err)
	}
	s.cfg.Observe(ctx, e)
}

func outcome(err error) (o event.Outcome, reason string) {
	var (
		wrong *tokenError
		much  *limitError
	)
	switch {
	case errors.As(err, &wrong):
		return event.Refused, wrong.reason
	case errors.As(err, &much):
		return event.Refused, much.Error()
	case errors.Is(err, errInsufficient):
		return event.Denied, errInsufficient.Error()
	default:
		return event.Failed, "it could not be found out"
	}
}

// challenge answers with a fresh ticket (UMA Grant §3.2.1), or says that none
// can be had (§3.2.2). second is one more challenge.
func (s *Server) challenge(ctx context.Context, wants []want, source, second string) *Refusal {
	if ok, wait := s.cfg.Limiter.Allow(source); !ok {
		return tooMany(wait)
	}
	ticket, err := s.ticket(ctx, wants)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.Error("no permission ticket can be had", zap.String("client_id", s.cfg.ClientID),
				zap.String("iss", s.cfg.Issuer), zap.Error(err))
		}
		return unreachable()
	}
	f := refuse(http.StatusUnauthorized, "Access needs an authorization of the resource owner; see the WWW-Authenticate header.")
	uma := oauth.Challenge{Scheme: "UMA", Params: []oauth.Param{
		{Name: "realm", Value: s.cfg.Realm},
		{Name: "as_uri", Value: s.cfg.Issuer},
		{Name: "ticket", Value: ticket},
		{Name: "resource_metadata", Value: s.metadataURL()},
	}}
	f.Header.Add("WWW-Authenticate", uma.String())
	if second != "" {
		f.Header.Add("WWW-Authenticate", second)
	}
	return f
}

// IsUMA tells whether a line of WWW-Authenticate speaks of UMA, or could.
func IsUMA(line string) bool {
	challenges, err := oauth.ParseChallenges([]string{line})
	if err != nil {
		return strings.Contains(strings.ToLower(line), "uma")
	}
	for _, c := range challenges {
		if strings.EqualFold(c.Scheme, "UMA") {
			return true
		}
	}
	return false
}
