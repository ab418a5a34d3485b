package sts

import (
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// exchangeRequest is a well-formed token exchange.
type exchangeRequest struct {
	subjectToken    string
	ticketChallenge string
	asURI           string // "" = not sent
	target          target
	required        *required // nil = not sent
	// jkt is the thumbprint of the key that the request proves to hold; "" = none.
	jkt string
}

// note puts into an event what a form says, be it acceptable or not, so that a
// request that fails early can be joined with the rest of its story.
func note(form oauth.Form, ev *event.Exchange) {
	if challenge := form.Get("ticket_challenge"); oauth.CheckTicketChallenge(challenge) == nil {
		ev.TicketChallenge = challenge
	}
	if targets := targetsOf(form); len(targets) == 1 {
		ev.Target = shorten(targets[0])
	}
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
	var err error
	if req.required, err = parseRequired(form.Get("required_claims")); err != nil {
		return nil, err
	}
	// RFC 8693 §2.1 allows several; one token for two audiences could be
	// relayed from one to the other (CONFORMANCE A8, TX-06).
	targets := targetsOf(form)
	if len(targets) != 1 {
		return nil, invalidTarget(errTargetCount)
	}
	req.target = parseTarget(targets[0])
	return req, nil
}

func targetsOf(form oauth.Form) []string {
	return append(form.All("resource"), form.All("audience")...)
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
