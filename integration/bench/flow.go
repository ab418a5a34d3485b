package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// The requesting party's client, by hand and without more work than the protocol
// asks for: what is measured is the server.

const (
	clientID = "caddy-uma"
	audience = "https://api.localhost"
	verifier = "a-code-verifier-of-43-characters-or-more-0123456789"
)

// party is one client with its connections to the three roles of a server.
type party struct {
	rs, sts, as *conn
	access      string // the user's access token
	stsPath     string
	asPath      string
	path        string        // of the resource
	source      func() string // "" = 127.0.0.1
}

// newParty makes a client of the sites without limits.
func newParty(v *server, access string) *party {
	p := v.settings.Ports
	return &party{
		rs: newConn(p.Warm), sts: newConn(p.STS), as: newConn(p.AS), access: access,
		stsPath: "/sts/token", asPath: "/uma/token", path: "/", source: func() string { return "" },
	}
}

// newLimitedParty is one of those with limits.
func newLimitedParty(v *server, access string, source func() string) *party {
	p := newParty(v, access)
	p.rs, p.as, p.source = newConn(v.settings.Ports.Limited), newConn(v.settings.Ports.LimitedAS), source
	p.asPath = "/limited/uma/token"
	return p
}

// nineSteps is the whole diagram: four requests.
func (p *party) nineSteps() error {
	_, _, err := p.walk()
	return err
}

// walk does the nine steps and gives the tokens that led through.
func (p *party) walk() (claims, rpt string, err error) {
	ticket, err := p.challenged()
	if err != nil {
		return "", "", err
	}
	if claims, err = p.exchange(challengeOf(ticket)); err != nil {
		return "", "", err
	}
	if rpt, err = p.redeem(ticket, claims); err != nil {
		return "", "", err
	}
	return claims, rpt, p.use(rpt)
}

// challenged does steps 1 and 2: a request without a token, the 401.
func (p *party) challenged() (ticket string, err error) {
	a, err := p.rs.do(get(p.path, "", p.source()))
	if err := expect("401", a, err, http.StatusUnauthorized); err != nil {
		return "", err
	}
	return ticketIn(a)
}

var errNoTicket = errors.New("the challenge has no ticket")

func ticketIn(a answer) (string, error) {
	_, rest, found := bytes.Cut(a.challenge, []byte(`ticket="`))
	ticket, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended || len(ticket) == 0 {
		return "", errNoTicket
	}
	return string(ticket), nil
}

// challengeOf is step 3.
func challengeOf(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// exchange does steps 4 and 5: the access token for a claims token.
func (p *party) exchange(challenge string) (claims string, err error) {
	a, err := p.sts.do(post(p.stsPath, url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "client_id": {clientID}, "resource": {audience},
		"ticket_challenge": {challenge}, "subject_token": {p.access},
		"subject_token_type": {oauth.TokenTypeAccessToken}, "requested_token_type": {oauth.TokenTypeJWT},
	}, p.source()))
	if err := expect("token exchange", a, err, http.StatusOK); err != nil {
		return "", err
	}
	return member(a.body, "access_token")
}

// redeem does steps 6 and 7: ticket and claims token for an RPT.
func (p *party) redeem(ticket, claims string) (rpt string, err error) {
	a, err := p.as.do(post(p.asPath, url.Values{
		"grant_type": {oauth.GrantUMATicket}, "client_id": {clientID}, "ticket": {ticket},
		"claim_token": {claims}, "claim_token_format": {oauth.ClaimTokenFormatJWT},
	}, p.source()))
	if err := expect("token endpoint", a, err, http.StatusOK); err != nil {
		return "", err
	}
	return member(a.body, "access_token")
}

// use does steps 8 and 9.
func (p *party) use(rpt string) error {
	a, err := p.rs.do(get(p.path, rpt, p.source()))
	return expect("use of the RPT", a, err, http.StatusOK)
}

// login gets an access token at the embedded provider's authorization challenge
// endpoint, as a first-party client in a terminal does.
func login(v *server) (access string, err error) {
	c := newConn(v.settings.Ports.STS)
	defer c.close()
	a, err := c.do(get("/.well-known/openid-configuration", "", ""))
	if err := expect("metadata", a, err, http.StatusOK); err != nil {
		return "", err
	}
	var meta struct {
		Challenge string `json:"authorization_challenge_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(a.body, &meta); err != nil {
		return "", err
	}
	a, err = c.do(post(pathOf(meta.Challenge), url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "scope": {"openid email profile"},
		"username": {"bob@bob.localhost"}, "password": {password},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}, ""))
	if err := expect("login", a, err, http.StatusOK); err != nil {
		return "", err
	}
	code, err := member(a.body, "authorization_code")
	if err != nil {
		return "", err
	}
	a, err = c.do(post(pathOf(meta.Token), url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {code}, "code_verifier": {verifier},
	}, ""))
	if err := expect("code", a, err, http.StatusOK); err != nil {
		return "", err
	}
	return member(a.body, "access_token")
}

func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Path
}

// member gives a string member of a JSON object that needs no escapes, as tokens
// never do.
func member(body []byte, name string) (string, error) {
	_, rest, found := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended {
		return "", fmt.Errorf("the answer has no %s", name)
	}
	return string(value), nil
}

// randomChallenge is a ticket_challenge of no ticket.
func randomChallenge() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
