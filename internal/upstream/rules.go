package upstream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// errNoEmail: the token is good, but says no address.
var errNoEmail = fmt.Errorf("%w: the provider tells no e-mail address of the user", oauth.ErrSubjectToken)

// subject applies the rules of CONFORMANCE A26 to what a provider says. With
// errNoEmail everything but the address is there.
func (u *Upstream) subject(c claims) (oauth.Subject, error) {
	for _, rule := range []func(claims) error{u.checkSource, u.checkTimes, u.checkKind, u.checkParties} {
		if err := rule(c); err != nil {
			return oauth.Subject{}, err
		}
	}
	jkt, err := bound(c)
	if err != nil {
		return oauth.Subject{}, err
	}
	s := oauth.Subject{
		Issuer: u.cfg.Issuer, ID: c.Subject, JKT: jkt, MayAct: u.mayAct(c), Expires: u.expires(c),
		Unbound: u.cfg.Check == CheckUserinfo, Confidential: u.preset.confidential || u.cfg.Check == CheckUserinfo,
		Claims: u.named(c),
	}
	if !s.Unbound {
		s.ClientID, s.Audience, s.Self = c.client(), slices.Clone(c.Audience), u.self(c)
	}
	return u.withEmail(s, c)
}

// checkSource: it is this provider's, and of a user. RFC 9068 §2.2: the sub of a
// token without a user is the client.
func (u *Upstream) checkSource(c claims) error {
	switch {
	case c.Issuer != u.cfg.Issuer && (c.Issuer != "" || u.cfg.Check == CheckJWT):
		return refuse("it is of another issuer")
	case c.Subject == "" || len(c.Subject) > maxSubject:
		return refuse("it is bound to no user")
	case c.Subject == c.ClientID, c.Subject == c.Party, c.text("gty") == "client-credentials":
		return refuse("it is bound to a client and to no user")
	}
	return nil
}

const maxSubject = 1024

func (u *Upstream) checkTimes(c claims) error {
	switch {
	case c.Expires == nil && u.cfg.Check == CheckJWT:
		return refuse("it has no exp")
	case !u.expires(c).After(u.cfg.Now()):
		return refuse("it has expired")
	case after(c.NotBefore, u.latest()), after(c.IssuedAt, u.latest()):
		return refuse("its time has not come")
	}
	return nil
}

// expires: leeway is no gift of life to a token that will live on in another one.
func (u *Upstream) expires(c claims) time.Time {
	if c.Expires == nil {
		return u.cfg.Now().Add(shortLife)
	}
	return c.Expires.Time()
}

func after(date *jose.NumericDate, latest time.Time) bool {
	return date != nil && date.Time().After(latest)
}

// checkKind: it is an access token and nothing else.
func (u *Upstream) checkKind(c claims) error {
	if u.preset.access == nil {
		return nil
	}
	if reason := u.preset.access(c); reason != "" {
		return refuse("%s", reason)
	}
	return nil
}

// checkParties: it was issued to a client, for us.
func (u *Upstream) checkParties(c claims) error {
	switch {
	case u.cfg.Check == CheckUserinfo:
		return nil
	case c.client() == "":
		return refuse("it does not say which client it was issued to (client_id, azp)")
	case c.ClientID != "" && c.Party != "" && c.ClientID != c.Party:
		return refuse("client_id and azp differ")
	case u.self(c) == "":
		return refuse("its audience holds neither %s nor a configured audience%s", u.cfg.Self, u.preset.mapperHint)
	}
	return nil
}

// self is the value of the audience that stands for us. Google's tokens are made
// for the application that asked; nobody else can name one.
func (u *Upstream) self(c claims) string {
	if u.cfg.Check == checkTokeninfo && len(c.Audience) == 1 {
		return c.Audience[0]
	}
	for _, self := range u.selves {
		if self != "" && slices.Contains(c.Audience, self) {
			return self
		}
	}
	return ""
}

// bound is the thumbprint of a bound token. What is bound in a way that we cannot
// check must not become a bearer token (CONFORMANCE DP-08).
func bound(c claims) (jkt string, err error) {
	if c.Confirmation == nil {
		if c.TokenType == oauth.SchemeDPoP || c.has("cnf") {
			return "", refuse("it is bound to a key that the provider does not name")
		}
		return "", nil
	}
	jkt, ok := c.Confirmation["jkt"].(string)
	if raw, err := oauth.DecodeBase64(jkt); !ok || err != nil || len(raw) != 32 || len(c.Confirmation) != 1 {
		return "", refuse("it is bound in a way that is not supported")
	}
	return jkt, nil
}

// mayAct is the client that the token says may act for its user.
func (u *Upstream) mayAct(c claims) string {
	switch a := c.MayAct; {
	case a == nil, a.Issuer != "" && a.Issuer != u.cfg.Issuer:
		return ""
	case a.ClientID != "" && a.Subject != "" && a.ClientID != a.Subject:
		return ""
	case a.ClientID != "":
		return a.ClientID
	default:
		return a.Subject
	}
}

// addressClaims are the provider's names of what says the address and whether it
// is verified.
func (u *Upstream) addressClaims() []string {
	names := []string{"email", "email_verified", "xms_edov"}
	for _, ours := range []string{"email", "email_verified"} {
		if theirs, ok := u.cfg.Claims[ours]; ok {
			names = append(names, theirs)
		}
	}
	return names
}

// named are the claims under our names.
func (u *Upstream) named(c claims) map[string]any {
	all := maps.Clone(c.all)
	maps.DeleteFunc(all, func(name string, _ any) bool { return protocol(name) })
	for ours, theirs := range u.cfg.Claims {
		delete(all, ours)
		if value, ok := c.all[theirs]; ok {
			all[ours] = value
		}
	}
	return all
}

// withEmail takes the address, if the provider speaks for its domain (CONFORMANCE
// CA-17).
func (u *Upstream) withEmail(s oauth.Subject, c claims) (oauth.Subject, error) {
	text, _ := s.Claims["email"].(string)
	if text == "" {
		return s, errNoEmail
	}
	address, err := oauth.ParseAddress(text)
	switch {
	case err != nil:
		return oauth.Subject{}, refuse("the e-mail address is not acceptable")
	case !u.domains[address.Domain]:
		return oauth.Subject{}, refuse("the e-mail address is of a domain that this provider does not speak for")
	}
	s.Email, s.EmailVerified = text, u.verified(c)
	return s, nil
}

// verified: the JSON value true and nothing else (CONFORMANCE A10), and about the
// claim that the address was taken from.
func (u *Upstream) verified(c claims) bool {
	_, renamed := u.cfg.Claims["email"]
	_, flag := u.cfg.Claims["email_verified"]
	switch {
	case u.cfg.AssumeVerified:
		return true
	case renamed && !flag:
		return false
	case u.preset.verified != nil && !flag:
		return u.preset.verified(c)
	}
	name := "email_verified"
	if flag {
		name = u.cfg.Claims[name]
	}
	return c.all[name] == true
}

var errSubjectDiffers = errors.New("userinfo speaks of another user")
