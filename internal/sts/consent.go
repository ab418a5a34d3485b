package sts

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// ErrConsent says that a target demands the consent of users whom nobody can ask.
var ErrConsent = errors.New("consent needs the embedded provider")

// checkConsent: a target that waits for a consent which nobody can give would be
// closed for ever.
func (s *Server) checkConsent() error {
	if s.consent == nil && slices.ContainsFunc(s.rules, func(r rule) bool { return r.consent }) {
		return ErrConsent
	}
	return nil
}

// agreed asks whether the user has agreed to exactly what will be said. It comes
// last, so that nobody is asked about what would be refused anyway.
func (s *Server) agreed(ctx context.Context, client clientauth.Client, req *exchangeRequest, u *user, release []string) error {
	ok, uri, err := s.consent(ctx, oauth.Consent{
		Subject: u.Subject, ClientID: client.ID, Target: req.target.value, Release: slices.Clone(release),
	})
	switch {
	case err != nil:
		return oauth.Unavailable(err)
	case !ok:
		return consentRequired(uri)
	}
	return nil
}

// consentRequired tells the client where it can send the user.
func consentRequired(uri string) error {
	e := &oauth.Error{
		Code: oauth.CodeConsentRequired, Status: http.StatusForbidden,
		Description: "the user has not agreed that this target learns this; send him to consent_uri and try again",
	}
	if uri != "" {
		e.Extra = map[string]any{"consent_uri": uri}
	}
	return e
}
