// Package clientauth finds out whether a request comes from the client that it
// names: none (public clients), client secrets by Basic or in the body (RFC 6749
// §2.3), private_key_jwt (RFC 7523 §3, OpenID Connect Core §9), and mutual TLS
// (RFC 8705 §2). A Table does so among the clients of a configuration; who finds
// clients elsewhere, too, has an Authenticator.
//
// Every failure is one answer, 401 invalid_client: nobody learns which
// client_ids exist, nor what is wrong.
package clientauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Client is a registered client.
type Client struct {
	ID string
	// Public clients have no credentials.
	Public bool
	Credentials
	// Method is the only method of authentication that is taken of it (RFC 7591
	// §2, token_endpoint_auth_method); "" = each one that its credentials allow.
	Method string
	// GrantTypes are those that it may use; nil = every one.
	GrantTypes []string
	// Scopes are pre-registered for the client (UMA Grant §3.3.1).
	Scopes []string
	// DPoPBound clients are refused without a proof (RFC 9449 §5.2).
	DPoPBound bool
	// TLSBound clients want tokens that are bound to their certificate (RFC 8705
	// §3.4); public ones, too (§4).
	TLSBound bool
	// Disabled clients are refused.
	Disabled bool

	// Certificate is set by Authenticator: the thumbprint x5t#S256 of the
	// certificate that what it gets is to be bound to (RFC 8705 §3.1); "" = none.
	Certificate string
}

// MayUse tells whether the client is registered for a grant type.
func (c Client) MayUse(grantType string) bool {
	return c.GrantTypes == nil || slices.Contains(c.GrantTypes, grantType)
}

// takes tells whether a method may be used at all. A client that registered for
// one must not be talked down to another (RFC 9700 §2.5).
func (c Client) takes(method string) bool { return c.Method == "" || c.Method == method }

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
	return len(c.Secrets) == 0 && !c.HasKeys() && c.TLSSubject == ""
}

// HasKeys tells whether there are public keys, here or at a URI.
func (c Credentials) HasKeys() bool { return c.JWKSURI != "" || len(c.JWKS) != 0 }

// maxURI is the longest jwks_uri in bytes.
const maxURI = 2048

// What is wrong with credentials.
var (
	errTwoSets   = errors.New("jwks and jwks_uri must not be given together")
	errNoKeys    = errors.New("the key set holds no key that signatures can be verified with: each needs a kid, and must be RSA, EC or Ed25519")
	errJWKSURI   = errors.New("jwks_uri must be an https URL without fragment or user information")
	errOwnNoKeys = errors.New("a self-signed certificate needs jwks or jwks_uri to be compared with")
)

// Check finds what could never authenticate anybody.
func (c Credentials) Check() error {
	if c.JWKSURI != "" && len(c.JWKS) != 0 {
		return errTwoSets // RFC 7591 §2
	}
	if c.TLSSelfSigned && !c.HasKeys() {
		return errOwnNoKeys
	}
	if c.JWKSURI != "" && !isFetchable(c.JWKSURI) {
		return errJWKSURI
	}
	if c.TLSSubject != "" {
		if _, err := ParseDN(c.TLSSubject); err != nil {
			return fmt.Errorf("the subject of the certificate: %w", err)
		}
	}
	return c.checkKeys()
}

// isFetchable accepts what the client for strangers could fetch at all.
func isFetchable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && len(uri) <= maxURI && u.Scheme == "https" && u.Hostname() != "" && u.Opaque == "" &&
		u.User == nil && u.Fragment == "" && u.String() == uri
}

func (c Credentials) checkKeys() error {
	if len(c.JWKS) == 0 {
		return nil
	}
	keys, err := jose.ParseJWKS(c.JWKS)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	if len(keys) == 0 || !c.TLSSelfSigned && keys.Named() == 0 {
		return errNoKeys
	}
	return nil
}

// HashSecret is how a secret is kept. Secrets have at least 32 random
// characters, so a fast hash is enough.
func HashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// Clients are the registered clients by client_id.
type Clients map[string]Client

// accepts compares a secret, or finds that none is needed.
func accepts(client Client, creds oauth.Credentials) bool {
	switch creds.Method {
	case oauth.AuthNone:
		return client.Public && client.takes(creds.Method)
	case oauth.AuthSecretBasic, oauth.AuthSecretPost:
		return hasSecret(client, creds.Secret) && !client.Public && client.takes(creds.Method)
	default:
		return false
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

func missingID() *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidRequest, "client_id is missing")
}

// Invalid is the answer to every failure, for the method that was tried.
func Invalid(method string) *oauth.Error {
	e := &oauth.Error{
		Code: oauth.CodeInvalidClient, Status: http.StatusUnauthorized,
		Description: "the client is unknown or its credentials are wrong",
	}
	if method == oauth.AuthSecretBasic {
		e.Header = http.Header{"WWW-Authenticate": {`Basic realm="client"`}}
	}
	return e
}
