package oauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Methods of client authentication (OpenID Connect Core §9, RFC 8705 §2).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"
	AuthSelfSignedTLS = "self_signed_tls_client_auth"
)

// AssertionTypeJWT is the client_assertion_type of private_key_jwt (RFC 7523
// §2.2).
const AssertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Credentials are the client credentials of a request as they were sent.
// Nothing has been compared yet: that is internal/clientauth's job.
type Credentials struct {
	// ClientID may be absent with private_key_jwt: the assertion names the client,
	// too (RFC 7521 §4.2).
	ClientID string
	// Method is none, client_secret_basic, client_secret_post or private_key_jwt.
	// Certificates are no part of a form.
	Method string
	Secret string
	// Assertion and AssertionType are sent with private_key_jwt (RFC 7523 §2.2).
	Assertion, AssertionType string
}

// ParseCredentials finds the client credentials of a token request. RFC 6749
// §2.3: a client must not use more than one method in a request. Basic
// credentials are form-encoded first (§2.3.1).
func ParseCredentials(h http.Header, f Form) (Credentials, error) {
	c := Credentials{
		ClientID: f.Get("client_id"), Method: AuthNone, Secret: f.Get("client_secret"),
		Assertion: f.Get("client_assertion"), AssertionType: f.Get("client_assertion_type"),
	}
	used := 0
	if c.Secret != "" {
		c.Method = AuthSecretPost
		used++
	}
	if c.Assertion != "" || c.AssertionType != "" {
		c.Method = AuthPrivateKeyJWT
		used++
	}
	id, secret, found, err := parseBasic(h)
	if err != nil {
		return Credentials{}, err
	}
	if found {
		used++
		if c.ClientID != "" && c.ClientID != id {
			return Credentials{}, Errorf(CodeInvalidRequest, "client_id differs from the Authorization header")
		}
		c.ClientID, c.Secret, c.Method = id, secret, AuthSecretBasic
	}
	if used > 1 {
		return Credentials{}, Errorf(CodeInvalidRequest, "more than one way of client authentication is used")
	}
	return c, nil
}

func parseBasic(h http.Header) (id, secret string, found bool, err error) {
	scheme, rest, err := ParseAuthorization(h)
	if err != nil || scheme != "basic" {
		return "", "", false, err
	}
	bad := invalidBasic()
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil {
		return "", "", false, bad.Because(err)
	}
	user, pass, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false, bad
	}
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(pass)
	if err := errors.Join(err1, err2); err != nil {
		return "", "", false, bad.Because(err)
	}
	return id, secret, true, nil
}

func invalidBasic() *Error {
	return &Error{
		Code: CodeInvalidClient, Status: http.StatusUnauthorized,
		Description: "the Authorization header is malformed",
		Header:      http.Header{"WWW-Authenticate": {`Basic realm="client"`}},
	}
}

// ParseAuthorization splits the Authorization header into its scheme in lower
// case and what follows. No header gives "" and no error; two headers are an
// error (CONFORMANCE OA-09).
func ParseAuthorization(h http.Header) (scheme, credentials string, err error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return "", "", Errorf(CodeInvalidRequest, "more than one Authorization header")
	}
	if len(values) == 0 {
		return "", "", nil
	}
	scheme, credentials, _ = strings.Cut(strings.TrimSpace(values[0]), " ")
	return lowerScheme(scheme), strings.TrimSpace(credentials), nil
}

// lowerScheme is strings.ToLower, without memory for what is sent most.
func lowerScheme(scheme string) string {
	switch scheme {
	case "Bearer":
		return "bearer"
	case "DPoP":
		return "dpop"
	}
	return strings.ToLower(scheme)
}
