package sts

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Client is a client that may exchange tokens.
type Client struct {
	clientauth.Client
	// Targets narrows Config.Targets for this client; empty = not narrowed.
	Targets []string
	// MayAct lets it exchange tokens of other clients, too, if they name it (RFC
	// 8693 §4.4). Not for public clients: anybody could act in their name.
	MayAct bool
}

func (s *Server) setClients(clients []Client) error {
	s.clients = make(clientauth.Clients, len(clients))
	s.narrowed = make(map[string][]pattern)
	s.mayAct = make(map[string]bool)
	for _, c := range clients {
		if _, twice := s.clients[c.ID]; twice {
			return fmt.Errorf("client '%s' is declared twice", c.ID)
		}
		if err := c.Check(); err != nil {
			return err
		}
		s.clients[c.ID], s.mayAct[c.ID] = c.Client, c.MayAct
		if len(c.Targets) == 0 {
			continue
		}
		patterns, err := parsePatterns(c.Targets, false)
		if err != nil {
			return fmt.Errorf("client '%s': %w", c.ID, err)
		}
		s.narrowed[c.ID] = patterns
	}
	if len(s.clients) == 0 {
		return errors.New("there is no client")
	}
	return nil
}

// Check tells what is wrong with a client that is written down.
func (c Client) Check() error {
	if c.ID == "" {
		return errors.New("a client has no client_id")
	}

	if has := c.Kind(); c.Public && has != "" {
		return fmt.Errorf("client '%s' is public and has %s: remove one of them", c.ID, has)
	}
	if text := c.Fault(); text != "" {
		return fmt.Errorf("client '%s'%s", c.ID, text)
	}
	if !c.Public && c.Empty() {
		return fmt.Errorf("client '%s' has no credentials: add a secret or jwks_uri, or write 'client %s public'", c.ID, c.ID)
	}
	if c.Public && c.MayAct {
		return fmt.Errorf("client '%s' is public, so that anybody could act in its name: may_act needs credentials", c.ID)
	}
	return nil
}

// client finds the client of a request, within its limit. Everything behind it
// costs more: an upstream may be asked about the subject token (CONFORMANCE
// SEC-18).
func (s *Server) client(r *http.Request, form oauth.Form) (clientauth.Client, error) {
	client, err := s.authenticate(r, form)
	key := "client " + client.ID
	switch {
	case err != nil:
		key = s.stranger(r)
	case client.Public: // its name says nothing about who is there
		key = "public " + limit.Source(s.clientIP(r)) + " " + client.ID
	}
	if ok, wait := s.sources.Allow(key); !ok {
		return client, oauth.TooMany(wait)
	}
	return client, err
}

// stranger is what the limit calls somebody who is no client.
func (s *Server) stranger(r *http.Request) string { return "stranger " + limit.Source(s.clientIP(r)) }

// describeClients lists what at least one client can use (CONFORMANCE OD-13).
func (s *Server) describeClients(m *oauth.Metadata) {
	var none, secret, keys, subject, selfSigned bool
	for _, c := range s.clients {
		if c.Disabled {
			continue
		}
		none = none || c.Public
		secret = secret || len(c.Secrets) > 0
		keys = keys || signs(c.Credentials)
		subject = subject || c.TLSSubject != ""
		selfSigned = selfSigned || c.TLSSelfSigned
	}
	m.TokenEndpointAuthMethodsSupported = []string{}
	for _, method := range []struct {
		name string
		used bool
	}{
		{oauth.AuthNone, none},
		{oauth.AuthSecretBasic, secret},
		{oauth.AuthSecretPost, secret},
		{oauth.AuthPrivateKeyJWT, keys},
		{oauth.AuthTLS, subject},
		{oauth.AuthSelfSignedTLS, selfSigned},
	} {
		if method.used {
			m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, method.name)
		}
	}
	if keys { // RFC 8414 §2: it MUST be there if private_key_jwt is among them
		m.TokenEndpointAuthSigningAlgs = jose.DefaultAlgs()
	}
}

// signs tells whether a client can make assertions: keys without a kid are there
// to be compared with a certificate.
func signs(c clientauth.Credentials) bool {
	if c.JWKSURI != "" {
		return true
	}
	keys, err := jose.ParseJWKS(c.JWKS)
	return len(c.JWKS) > 0 && err == nil && keys.Named() > 0
}
