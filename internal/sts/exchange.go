package sts

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// exchange answers a token exchange (RFC 8693 §2) and tells it exactly once.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, form oauth.Form) {
	ctx := r.Context()
	ev := event.Exchange{Issuer: s.issuer}
	response, err := s.process(r, form, &ev)
	s.tell(ctx, ev, err)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, response)
}

// process is step 4 of the protocol. ev collects what is known so far.
func (s *Server) process(r *http.Request, form oauth.Form, ev *event.Exchange) (*oauth.TokenResponse, error) {
	ctx := r.Context()
	client, err := s.authenticate(r, form)
	if err != nil {
		return nil, err
	}
	ev.ClientID = client.ID
	req, err := parseExchange(form)
	if err != nil {
		return nil, err
	}
	ev.TicketChallenge, ev.Target = req.ticketChallenge, shorten(req.target.value)
	user, err := s.user(ctx, client, req)
	if err != nil {
		return nil, err
	}
	ev.Person = event.Person{Issuer: s.issuer, Subject: user.sub, Email: user.address.String()}
	if ok, wait := s.exchanges.Allow(user.sub); !ok {
		return nil, oauth.TooMany(wait)
	}
	// Behind the user: who has no token does not learn which targets are listed,
	// and a denial names the person.
	release, err := s.evaluate(client.ID, req.target)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, req, user, release)
}

// exchangeRequest is a well-formed token exchange.
type exchangeRequest struct {
	subjectToken    string
	ticketChallenge string
	asURI           string // "" = not sent
	target          target
}

// parseExchange checks the form alone; repeated parameters are refused before
// (RFC 6749 §3.2).
func parseExchange(form oauth.Form) (*exchangeRequest, error) {
	if err := checkTokenTypes(form); err != nil {
		return nil, err
	}
	req := &exchangeRequest{
		subjectToken:    form.Get("subject_token"),
		ticketChallenge: form.Get("ticket_challenge"),
		asURI:           form.Get("as_uri"),
	}
	// CONFORMANCE CA-11: what TicketChallenge cannot have made binds to nothing.
	if err := oauth.CheckTicketChallenge(req.ticketChallenge); err != nil {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest,
			"ticket_challenge must be 43 base64url characters (SHA-256 of the ticket, no padding)").Because(err)
	}
	if req.asURI != "" { // CONFORMANCE CA-47
		if _, err := oauth.ParseIssuer(req.asURI); err != nil {
			return nil, oauth.Errorf(oauth.CodeInvalidRequest, "as_uri must be the issuer of an authorization server").Because(err)
		}
	}
	// RFC 8693 §2.1 allows several; one token for two audiences could be
	// relayed from one to the other (CONFORMANCE A8, TX-06).
	targets := append(form.All("resource"), form.All("audience")...)
	if len(targets) != 1 {
		return nil, invalidTarget(errTargetCount)
	}
	req.target = parseTarget(targets[0])
	return req, nil
}

// checkTokenTypes: RFC 8693 §2.1 with the types that we support.
func checkTokenTypes(form oauth.Form) error {
	requested := form.Get("requested_token_type")
	switch {
	case form.Get("subject_token") == "":
		return oauth.Errorf(oauth.CodeInvalidRequest, "subject_token is missing")
	case form.Get("subject_token_type") != oauth.TokenTypeAccessToken:
		return oauth.Errorf(oauth.CodeInvalidRequest, "subject_token_type must be %s", oauth.TokenTypeAccessToken)
	case requested != "" && requested != oauth.TokenTypeJWT:
		return oauth.Errorf(oauth.CodeInvalidRequest, "requested_token_type must be %s", oauth.TokenTypeJWT)
	case form.Get("actor_token") != "" || form.Get("actor_token_type") != "":
		// Ignoring an actor would issue a token that hides him.
		return oauth.Errorf(oauth.CodeInvalidRequest, "actor tokens are not supported")
	}
	return nil
}

// user is whom the claims token will speak of.
type user struct {
	oauth.Subject
	address oauth.Address
	sub     string // our identifier, see subject
}

// Reasons why a subject token is refused, for events.
var (
	errNoUser     = errors.New("the subject token is not bound to a user")
	errExpired    = errors.New("the subject token has expired")
	errPresenter  = errors.New("the subject token was issued to another client")
	errAudience   = errors.New("the subject token was not made for this server")
	errManyAuds   = errors.New("the subject token of a public client has further audiences")
	errAddress    = errors.New("the user's address is not acceptable")
	errMailDomain = errors.New("the user's address is of a domain that this server does not speak for")
)

// user validates the subject token and what its provider says (CONFORMANCE
// CA-12, CA-13, CA-17, TX-09).
func (s *Server) user(ctx context.Context, client clientauth.Client, req *exchangeRequest) (*user, error) {
	subject, err := s.resolve(ctx, req.subjectToken)
	if errors.Is(err, oauth.ErrSubjectToken) {
		return nil, invalidSubject(err)
	}
	if err != nil {
		return nil, oauth.Unavailable(err)
	}
	if err := s.checkSubject(client, subject); err != nil {
		return nil, invalidSubject(err)
	}
	address, err := oauth.ParseAddress(subject.Email)
	if err != nil {
		return nil, invalidSubject(errAddress)
	}
	if !s.domains[address.Domain] {
		return nil, invalidSubject(errMailDomain)
	}
	// A27: whoever the access token was made for could otherwise turn it into
	// claims about its user.
	if slices.Contains(subject.Audience, req.target.value) {
		return nil, invalidTarget(errTargetAudience)
	}
	return &user{Subject: subject, address: address, sub: subjectID(subject)}, nil
}

// checkSubject is CONFORMANCE A26: whose access token may be exchanged.
func (s *Server) checkSubject(client clientauth.Client, subject oauth.Subject) error {
	switch {
	case subject.Issuer == "" || subject.ID == "":
		return errNoUser
	case !s.now().Before(subject.Expires):
		return errExpired
	case subject.ClientID != client.ID:
		return errPresenter
	case subject.Self == "" || !slices.Contains(subject.Audience, subject.Self):
		return errAudience
	case client.Public && len(subject.Audience) != 1:
		// The client_id of a public client is public text: another audience of
		// the token could present it here in the client's name.
		return errManyAuds
	}
	return nil
}

// invalidSubject: RFC 8693 §2.2.2 says invalid_request, not invalid_grant
// (CONFORMANCE A35). One sentence for all reasons.
func invalidSubject(reason error) error {
	return oauth.Errorf(oauth.CodeInvalidRequest,
		"subject_token is not a live access token of a user of this server that was issued to this client").Because(reason)
}

// tell reports an outcome.
func (s *Server) tell(ctx context.Context, ev event.Exchange, err error) {
	ev.Outcome = outcome(err)
	if err != nil {
		ev.Reason = err.Error()
	}
	if ev.Outcome == event.Failed {
		s.log.Error("token exchange failed", zap.String("client_id", ev.ClientID), zap.Error(err))
	}
	s.observe(ctx, ev)
}

func outcome(err error) event.Outcome {
	if err == nil {
		return event.Granted
	}
	e := oauth.AsError(err)
	switch {
	case e.Status >= http.StatusInternalServerError:
		return event.Failed
	case e.Code == oauth.CodeInvalidTarget, errors.Is(err, errMailDomain):
		return event.Denied
	default:
		return event.Refused
	}
}

// shorten bounds what a client can write into our logs.
func shorten(s string) string {
	if len(s) > 255 {
		return s[:255]
	}
	return s
}
