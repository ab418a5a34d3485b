package rs

import (
	"errors"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// checkCredentials refuses two ways of authentication: RFC 6749 §2.3 allows one in
// a request.
func (c *Config) checkCredentials() error {
	ways := 0
	for _, used := range []bool{c.ClientSecret != "", c.Key != nil, c.Certificate} {
		if used {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("choose one of client_secret, private_key_jwt, tls_client_auth")
	}
	return nil
}

// authenticate adds our credentials to a request at the token endpoint.
func (s *Server) authenticate(r *request, form url.Values, e endpoints) error {
	switch {
	case s.cfg.Key != nil: // RFC 7523 §2.2
		assertion, err := clientauth.NewAssertion(*s.cfg.Key, s.cfg.ClientID, s.cfg.Issuer, s.cfg.Now())
		if err != nil {
			return err
		}
		form.Set("client_id", s.cfg.ClientID)
		form.Set("client_assertion_type", oauth.AssertionTypeJWT)
		form.Set("client_assertion", assertion)
		r.once = true
	case s.cfg.ClientSecret == "": // a certificate says the rest, or the transport (RFC 8705 §2)
		form.Set("client_id", s.cfg.ClientID)
	case e.secretPost:
		form.Set("client_id", s.cfg.ClientID)
		form.Set("client_secret", s.cfg.ClientSecret)
	default: // RFC 6749 §2.3.1: both are form-encoded first
		r.basic = url.UserPassword(url.QueryEscape(s.cfg.ClientID), url.QueryEscape(s.cfg.ClientSecret))
	}
	return nil
}
