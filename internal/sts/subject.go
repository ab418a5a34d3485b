package sts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// user is whom the claims token will speak of.
type user struct {
	oauth.Subject
	address oauth.Address
	sub     string // our identifier, see subjectID
	// actor is the client that acts though the token was issued to another one
	// (RFC 8693 §4.1); "" = none.
	actor string
}

// Reasons why a subject token is refused, for events.
var (
	errNoUser     = errors.New("the subject token is not bound to a user")
	errExpired    = errors.New("the subject token has expired")
	errPresenter  = errors.New("the subject token was issued to another client")
	errAudience   = errors.New("the subject token was not made for this server")
	errManyAuds   = errors.New("the subject token of a public client has further audiences and is bound to no key")
	errUnbound    = errors.New("the provider does not tell whose the subject token is, and the client does not authenticate")
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
	if err := checkKey(subject.JKT, req.jkt); err != nil {
		return nil, err
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
	u := &user{Subject: subject, address: address, sub: subjectID(subject)}
	if !subject.Unbound && subject.ClientID != client.ID {
		u.actor = client.ID
	}
	return u, nil
}

// checkSubject is CONFORMANCE A26: whose access token may be exchanged.
func (s *Server) checkSubject(client clientauth.Client, subject oauth.Subject) error {
	switch {
	case subject.Issuer == "" || subject.ID == "":
		return errNoUser
	case !s.now().Before(subject.Expires):
		return errExpired
	case (subject.Unbound || subject.Confidential) && client.Public:
		return errUnbound
	case subject.Unbound:
		return nil // the administrator has accepted such tokens in writing
	case !s.mayPresent(client, subject):
		return errPresenter
	case subject.Self == "" || !slices.Contains(subject.Audience, subject.Self):
		return errAudience
	case client.Public && len(subject.Audience) != 1 && subject.JKT == "":
		// The client_id of a public client is public text: another audience of
		// the token could present it here in the client's name. It could not make
		// the proof, though, that a bound token needs (checkKey).
		return errManyAuds
	}
	return nil
}

// mayPresent: the client that the token was issued to, or the one that it names
// and that may act for others here. Both must say so: the provider of the token,
// and the administrator of this server.
func (s *Server) mayPresent(client clientauth.Client, subject oauth.Subject) bool {
	if subject.ClientID == client.ID {
		return true
	}
	return subject.ClientID != "" && s.mayAct[client.ID] && subject.MayAct == client.ID
}

// invalidSubject: RFC 8693 §2.2.2 says invalid_request, not invalid_grant
// (CONFORMANCE A35). One sentence for all reasons.
func invalidSubject(reason error) error {
	return oauth.Errorf(oauth.CodeInvalidRequest,
		"subject_token is not a live access token of a user of this server that was issued to this client").Because(reason)
}

// subjectID is injective over (upstream issuer, upstream subject): no two users
// of two providers become one (CONFORMANCE CA-17). The length in front keeps
// the two texts apart.
func subjectID(subject oauth.Subject) string {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint64(len(subject.Issuer)))
	h.Write([]byte(subject.Issuer))
	h.Write([]byte(subject.ID))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
