package clientauth

import (
	"fmt"
	"net/url"
	"strings"
)

// Fault is Check for credentials that a configuration states: it speaks the
// words of the configuration. It gives the rest of a sentence that begins with
// the name of the client, or "".
func (c Credentials) Fault() string {
	switch {
	case c.JWKSURI != "" && len(c.JWKS) > 0: // RFC 7591 §2: MUST NOT both be present
		return " has both jwks_uri and jwks_file: remove one of them"
	case c.JWKSURI != "" && !isKeysURI(c.JWKSURI):
		return fmt.Sprintf(": jwks_uri '%s' must be an https URL without user or fragment", c.JWKSURI)
	case c.TLSSelfSigned && !c.HasKeys(): // RFC 8705 §2.2
		return ": self_signed_tls_client_auth compares the certificate with the client's keys: add jwks_uri or jwks_file"
	case c.TLSSubject != "" && strings.Index(c.TLSSubject, "=") < 1: // RFC 8705 §2.1
		return fmt.Sprintf(": tls_client_auth '%s' is no subject of a certificate; write it as RFC 4514 does: \"CN=api,O=Alice\"", c.TLSSubject)
	}
	if err := c.Check(); err != nil { // what stands in the keys and names themselves
		return fmt.Sprintf(": %v", err)
	}
	return ""
}

func isKeysURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURI && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && !strings.Contains(s, "#")
}

// Kind names what there is of credentials, or "".
func (c Credentials) Kind() string {
	switch {
	case len(c.Secrets) > 0:
		return "a secret"
	case c.HasKeys():
		return "keys"
	case c.TLSSubject != "" || c.TLSSelfSigned:
		return "a certificate"
	}
	return ""
}
