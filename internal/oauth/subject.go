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
	// Email and EmailVerified are the user's address and what the provider says
	// of it.
	Email         string
	EmailVerified bool
	// Claims are further claims of the user, by name.
	Claims map[string]any
	// Audience is whom the access token was made for.
	Audience []string
	// Expires is when the access token ends.
	Expires time.Time
}

// ErrSubjectToken says that a text is no live access token of a user. The cause
// is wrapped with it; any other error means that it could not be found out.
var ErrSubjectToken = errors.New("not a live access token of a user")
