package sts

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// exchange answers a token exchange (RFC 8693 §2) and tells it exactly once.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, form oauth.Form) {
	ev := event.Exchange{Issuer: s.issuer}
	response, err := s.process(r, form, &ev)
	s.tell(r.Context(), ev, err)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, response)
}

// process is step 4 of the protocol. ev collects what is known so far.
func (s *Server) process(r *http.Request, form oauth.Form, ev *event.Exchange) (*oauth.TokenResponse, error) {
	ctx := r.Context()
	note(form, ev)
	client, err := s.client(r, form)
	ev.ClientID = client.ID
	if err != nil {
		return nil, err
	}
	req, err := parseExchange(form)
	if err != nil {
		return nil, err
	}
	if req.jkt, err = s.provenKey(r, client); err != nil {
		return nil, err
	}
	user, err := s.user(ctx, client, req)
	if err != nil {
		return nil, err
	}
	ev.Person = event.Person{Issuer: s.issuer, Subject: user.sub, Email: user.address.String()}
	if user.actor != "" {
		ev.IssuedTo = user.ClientID
	}
	if ok, wait := s.exchanges.Allow(user.sub); !ok {
		return nil, oauth.TooMany(wait)
	}
	// Behind the user: who has no token does not learn which targets are listed,
	// and a denial names the person.
	release, err := s.decide(ctx, client, req, user)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, req, user, release)
}

// decide says what the target may learn about the user, if anything.
func (s *Server) decide(ctx context.Context, client clientauth.Client, req *exchangeRequest, u *user) ([]string, error) {
	r, err := s.evaluate(client.ID, req.target)
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx, client, req, u, r); err != nil {
		return nil, err
	}
	release := s.released(req, u, r)
	if r.consent {
		return release, s.agreed(ctx, client, req, u, release)
	}
	return release, nil
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
	case e.Code == oauth.CodeConsentRequired:
		return event.NeedInfo
	case e.Code == oauth.CodeInvalidTarget, errors.Is(err, errMailDomain), errors.Is(err, errTooLarge):
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
