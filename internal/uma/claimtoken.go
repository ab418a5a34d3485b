package uma

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxClaimsLifetime bounds exp - iat of a claims token (CONFORMANCE §1).
const maxClaimsLifetime = 300 * time.Second

// claims is the payload of a claims token: what the checks need. The address
// and what is said of it are read by name, because the name is a setting.
type claims struct {
	Issuer    string            `json:"iss"`
	Subject   string            `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	Expires   *jose.NumericDate `json:"exp"`
	IssuedAt  *jose.NumericDate `json:"iat"`
	NotBefore *jose.NumericDate `json:"nbf"`
	Challenge string            `json:"ticket_challenge"`
	ASURI     *string           `json:"as_uri"`

	all   map[string]any
	email oauth.Address
	text  []byte
}

// verifyClaimToken makes a requesting party of the claims token in the request
// (diagram step 6, in the order of CONFORMANCE A12): all free checks on the
// unverified payload, then discovery, then the signature, and then all values
// again from the verified payload.
func (s *Server) verifyClaimToken(ctx context.Context, p *process) error {
	token, unverified, err := s.readClaimToken(p)
	if err != nil {
		return err
	}
	if err := s.precheck(p, token, unverified); err != nil {
		return err
	}
	found, tried, err := s.discover(ctx, p, token, unverified)
	if err != nil {
		return err
	}
	signed, err := checkSignature(ctx, token, found.Keys, tried)
	if err != nil {
		return needs("signature: " + err.Error())
	}
	verified, err := s.parseVerified(signed.Payload, unverified)
	if err != nil {
		return err
	}
	if err := s.precheck(p, token, verified); err != nil {
		return err
	}
	if verified.Issuer != found.Issuer {
		return needs("the verified issuer is not the discovered one")
	}
	who := &party{
		Issuer: verified.Issuer, Subject: verified.Subject, Email: verified.email,
		Claims: verified.all, evidence: found.Evidence, key: thumbprint(signed.Key), found: &found,
	}
	if !who.keepable(p.req.method, p.req.from.ip) {
		return needs("the claims are too large to be kept")
	}
	p.party = who
	return nil
}

// checkSignature checks it with the key that the provider has now. tried, if it
// is not nil, is what was found out before the look-up: with the same key it is
// not done again.
func checkSignature(ctx context.Context, token *jose.Token, keys jose.KeySet, tried *discovery.Signed) (discovery.Signed, error) {
	key, err := keys.Key(ctx, token.Header.KID, token.Header.Alg)
	if err != nil {
		return discovery.Signed{}, err
	}
	if tried != nil && key.Same(tried.Key) {
		return *tried, nil
	}
	signed := discovery.Signed{Key: key}
	return signed, token.Verify(ctx, discovery.Only(key), jose.DefaultAlgs(), &signed.Payload)
}

// thumbprint names a key in the ledger.
func thumbprint(key jose.PublicKey) string {
	text, err := jose.Thumbprint(key.Key)
	if err != nil {
		return ""
	}
	return text
}

// parseVerified reads the verified payload. Mostly it is, byte for byte, what was
// read before.
func (s *Server) parseVerified(payload []byte, before *claims) (*claims, error) {
	if bytes.Equal(payload, before.text) {
		return before, nil
	}
	return s.parseClaims(payload)
}

// readClaimToken passes the claims token through the gate: one compact JWS
// (CONFORMANCE CA-26, A17).
func (s *Server) readClaimToken(p *process) (*jose.Token, *claims, error) {
	if p.format != oauth.ClaimTokenFormatJWT {
		return nil, nil, needs("another claim_token_format")
	}
	token, err := jose.Parse(p.claimToken, oauth.MaxForm)
	if err != nil {
		return nil, nil, needs("claims token: " + err.Error())
	}
	var payload json.RawMessage
	if err := token.Unverified(&payload); err != nil {
		return nil, nil, needs("claims token: " + err.Error())
	}
	c, err := s.parseClaims(payload)
	return token, c, err
}

func (s *Server) parseClaims(payload []byte) (*claims, error) {
	c := &claims{all: map[string]any{}, text: payload}
	if err := errors.Join(oauth.DecodeObject(payload, c), oauth.DecodeObject(payload, &c.all)); err != nil {
		return nil, needs("claims: " + err.Error())
	}
	address, err := s.address(c.all)
	c.email = address
	return c, err
}

// address takes the e-mail address from its one claim. If the other spelling is
// there too, both must agree (CONFORMANCE A9).
func (s *Server) address(all map[string]any) (oauth.Address, error) {
	text, _ := all[s.cfg.EmailClaim].(string)
	for _, name := range []string{"email", "email_address"} {
		if other, there := all[name]; there && other != text {
			return oauth.Address{}, needs("two claims with different e-mail addresses")
		}
	}
	a, err := oauth.ParseAddress(text)
	if err != nil {
		return a, needs("e-mail claim: " + err.Error())
	}
	return a, nil
}

// precheck holds everything that costs no request. It runs twice: on the
// unverified payload, to keep strangers from steering our requests, and on the
// verified one.
func (s *Server) precheck(p *process, token *jose.Token, c *claims) error {
	rule := s.cfg.Finder.Rule(c.email.Domain)
	if err := s.checkBinding(p, c); err != nil {
		return err
	}
	if err := s.checkTimes(c); err != nil {
		return err
	}
	if err := checkTyp(token.Header.Typ, rule); err != nil {
		return err
	}
	if _, err := oauth.ParseIssuer(c.Issuer); err != nil || c.Subject == "" || len(c.Subject) > 255 {
		return needs("iss or sub is missing or malformed")
	}
	if err := checkConfirmation(c.all, p.req.bound); err != nil {
		return err
	}
	if c.all["email_verified"] != true && !rule.AssumeEmailVerified {
		return needs("email_verified is not true")
	}
	return s.checkLists(p, c, rule)
}

// checkBinding: the token was made for this resource server and for exactly
// this ticket. It is what no claims token for somebody else passes.
func (s *Server) checkBinding(p *process, c *claims) error {
	if len(c.Audience) != 1 || c.Audience[0] != p.rs.audience() {
		return needs("aud is not the audience of the resource server")
	}
	if subtle.ConstantTimeCompare([]byte(c.Challenge), []byte(p.challenge)) != 1 {
		return needs("ticket_challenge is not that of the ticket")
	}
	if c.ASURI != nil && *c.ASURI != s.cfg.Issuer || c.ASURI == nil && p.rs.RequireASURI {
		return needs("as_uri is not this authorization server")
	}
	return nil
}

func (s *Server) checkTimes(c *claims) error {
	if c.Expires == nil || c.IssuedAt == nil {
		return needs("exp or iat is missing")
	}
	now, exp, iat := s.cfg.Now(), c.Expires.Time(), c.IssuedAt.Time()
	switch {
	case !now.Before(exp.Add(s.cfg.Leeway)):
		return needs("the claims token has expired")
	case iat.After(now.Add(s.cfg.Leeway)):
		return needs("iat is in the future")
	case exp.Sub(iat) > maxClaimsLifetime || exp.Before(iat):
		return needs("the claims token lives too long")
	case c.NotBefore != nil && c.NotBefore.Time().After(now.Add(s.cfg.Leeway)):
		return needs("nbf is in the future")
	}
	return nil
}

// checkTyp accepts ca-claims+jwt, and another typ only where the administrator
// wrote it for this domain (CONFORMANCE A37).
func checkTyp(typ string, rule discovery.Domain) error {
	accepted := rule.AcceptTyp
	if len(accepted) == 0 {
		accepted = []string{oauth.TypClaimsToken}
	}
	if !slices.Contains(accepted, typ) {
		return needs("typ of the claims token")
	}
	return nil
}

// checkLists holds the static lists: the domain is not denied and, unless
// everybody is looked up, some policy speaks of somebody there. So nobody can
// make us call hosts that no policy has to do with (CONFORMANCE A12, CA-34). The
// local part does not count: nothing is verified yet, and the answer would tell
// whoever holds a ticket which people the policies name (SEC-25).
func (s *Server) checkLists(p *process, c *claims, rule discovery.Domain) error {
	if rule.Deny {
		return denied("the domain is denied")
	}
	if s.cfg.DiscoverAny {
		return nil
	}
	for _, rule := range s.cfg.Policies {
		if !rule.Deny && rule.From.mayBeAt(c.email.Domain, c.Issuer) && rule.concernsAny(p) {
			return nil
		}
	}
	return denied("no policy for what is asked for names this domain")
}

// discover finds the provider of the address and demands that it is the one
// that the token names (CONFORMANCE CA-32). What is forged by what we know
// already costs no request (SEC-09).
func (s *Server) discover(ctx context.Context, p *process, token *jose.Token, c *claims) (discovery.Found, *discovery.Signed, error) {
	forged, tried := s.cfg.Finder.Try(ctx, c.email, token)
	if forged {
		return discovery.Found{}, nil, needs("signature: " + jose.ErrSignature.Error())
	}
	found, err := s.cfg.Finder.Find(ctx, c.email, discovery.Query{Source: limit.Source(p.req.from.ip)})
	switch {
	case errors.Is(err, discovery.ErrDenied):
		return found, nil, denied("the domain is denied")
	case err != nil:
		return found, nil, needs("discovery: " + err.Error())
	case found.Issuer != c.Issuer:
		return found, nil, needs("iss is not the provider of the address")
	}
	return found, tried, nil
}
