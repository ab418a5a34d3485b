// Package clientauth compares the credentials of a request with the clients
// that an engine knows: none (public clients) and client secrets by Basic or in
// the body (RFC 6749 §2.3).
package clientauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Client is a registered client.
type Client struct {
	ID string
	// Public clients have no credentials.
	Public bool
	Credentials
	// Scopes are pre-registered for the client (UMA Grant §3.3.1).
	Scopes []string
	// DPoPBound clients are refused without a proof (RFC 9449 §5.2).
	DPoPBound bool
	// Disabled clients are refused.
	Disabled bool
}

// Credentials are what a client authenticates with; any one of them will do.
type Credentials struct {
	// Secrets are hashes of the client's secrets, several during a rotation.
	Secrets [][sha256.Size]byte
	// JWKSURI is where its keys are (RFC 7523, RFC 8705 §2.2); "" = nowhere.
	JWKSURI string
	// JWKS are its keys as a JWK Set; nil = none.
	JWKS []byte
	// TLSSubject is the subject of the certificate that it authenticates with, as
	// RFC 4514 writes it (RFC 8705 §2.1); "" = none.
	TLSSubject string
	// TLSSelfSigned lets it authenticate with a certificate of one of its keys
	// (RFC 8705 §2.2).
	TLSSelfSigned bool
}

// Empty tells whether there is nothing to authenticate with.
func (c Credentials) Empty() bool {
	return len(c.Secrets) == 0 && c.JWKSURI == "" && len(c.JWKS) == 0 && c.TLSSubject == ""
}

// HashSecret is how a secret is kept. Secrets have at least 32 random
// characters, so a fast hash is enough.
func HashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// Clients are the registered clients by client_id.
type Clients map[string]Client

// Authenticate finds the client that credentials belong to. Every failure is
// the same 401 invalid_client (RFC 6749 §5.2): nobody learns which client_ids
// exist. With Basic the answer names that scheme.
func (c Clients) Authenticate(creds oauth.Credentials) (Client, error) {
	if creds.ClientID == "" && creds.Method == oauth.AuthNone {
		return Client{}, oauth.Errorf(oauth.CodeInvalidRequest, "client_id is missing")
	}
	client, known := c[creds.ClientID]
	if !accepts(client, creds) || !known || client.Disabled {
		return Client{}, invalid(creds.Method)
	}
	return client, nil
}

func accepts(client Client, creds oauth.Credentials) bool {
	switch creds.Method {
	case oauth.AuthNone:
		return client.Public
	case oauth.AuthSecretBasic, oauth.AuthSecretPost:
		return !client.Public && hasSecret(client, creds.Secret)
	default:
		return false // private_key_jwt is not supported yet
	}
}

// hasSecret compares with every secret, in constant time.
func hasSecret(client Client, secret string) bool {
	sum, found := HashSecret(secret), 0
	for _, want := range client.Secrets {
		found |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return found == 1
}

func invalid(method string) *oauth.Error {
	e := &oauth.Error{
		Code: oauth.CodeInvalidClient, Status: http.StatusUnauthorized,
		Description: "the client is unknown or its credentials are wrong",
	}
	if method == oauth.AuthSecretBasic {
		e.Header = http.Header{"WWW-Authenticate": {`Basic realm="client"`}}
	}
	return e
}
