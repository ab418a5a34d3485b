package oauth

import (
	"errors"
	"time"
)

// Subject is whom an access token speaks of, as the provider that issued it
// says. The security token service makes claims tokens of it.
type Subject struct {
	// Issuer is the provider, ID its identifier for the user.
	Issuer, ID string
	// ClientID is the client that the access token was issued to.
	ClientID string
	// MayAct is the one other client that may exchange the token (RFC 8693 §4.4);
	// "" = none.
	MayAct string
	// Email and EmailVerified are the user's address and what the provider says
	// of it.
	Email         string
	EmailVerified bool
	// Claims are further claims of the user, by name.
	Claims map[string]any
	// Audience is whom the access token was made for. Self is the member of it
	// that stands for this server; "" = none.
	Audience []string
	Self     string
	// Unbound says that the provider tells neither for whom the token was made nor
	// whom it was issued to: ClientID, Audience and Self say nothing. Confidential
	// says that only a client that authenticates may exchange it (CONFORMANCE A26).
	Unbound      bool
	Confidential bool
	// JKT is the thumbprint of the key that the token is bound to (RFC 9449 §6.1);
	// "" = a bearer token.
	JKT string
	// Expires is when the access token ends.
	Expires time.Time
}

// Consent is what a user may have agreed to: that a target learns something about
// him through a client.
type Consent struct {
	Subject  Subject
	ClientID string
	// Target is the audience of the claims token, Release the claims in it besides
	// sub, email and email_verified.
	Target  string
	Release []string
}

// ErrSubjectToken says that a text is no live access token of a user. The cause
// is wrapped with it; any other error means that it could not be found out.
var ErrSubjectToken = errors.New("not a live access token of a user")
