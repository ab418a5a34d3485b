package umaapp

import (
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Credentials are what a client authenticates with; any one of them will do.
type Credentials struct {
	// The secrets, several during a rotation: placeholders `{env.X}` or
	// `{file./path}`, or literal text.
	ClientSecrets []string `json:"client_secrets,omitempty"`
	// Where its public keys are, the https URL of a JWK Set, for `private_key_jwt`
	// and self-signed certificates. It is asked like a stranger's: public address,
	// port 443.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// A file with its public keys, a JWK Set of at most 256 KiB, instead of
	// `jwks_uri`. It is read when the configuration is loaded.
	JWKSFile string `json:"jwks_file,omitempty"`
	// The subject of its certificate as RFC 4514 writes it, such as
	// `CN=api,O=Alice`. The site of the issuer must ask for certificates and check
	// them against a CA: `tls { client_auth … }`.
	TLSClientAuth string `json:"tls_client_auth,omitempty"`
	// Whether a certificate will do whose key is one of `jwks_uri` or `jwks_file`.
	// The site of the issuer must ask for certificates: `tls { client_auth … }`.
	SelfSignedTLSClientAuth bool `json:"self_signed_tls_client_auth,omitempty"`
}

// Words gives a block the words of credentials, in front of its own.
func (c *Credentials) Words(w syntax.Words) syntax.Words {
	maps.Copy(w.Known, map[string]func(*caddyfile.Dispenser) error{
		"client_secret":               syntax.List(&c.ClientSecrets),
		"jwks_uri":                    syntax.Text(w.Directive, &c.JWKSURI),
		"jwks_file":                   syntax.Text(w.Directive, &c.JWKSFile),
		"tls_client_auth":             c.subject(w.Directive),
		"self_signed_tls_client_auth": syntax.Flag(&c.SelfSignedTLSClientAuth),
	})
	w.Order = append([]string{"client_secret", "jwks_uri", "jwks_file", "tls_client_auth", "self_signed_tls_client_auth"}, w.Order...)
	return w
}

// subject: one with spaces that is not quoted is several arguments.
func (c *Credentials) subject(directive string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if peek := *d; peek.CountRemainingArgs() > 1 {
			return d.Errf("%s: tls_client_auth takes one subject; write: tls_client_auth \"%s\"", directive, strings.Join(peek.RemainingArgs(), " "))
		}
		return syntax.Text(directive, &c.TLSClientAuth)(d)
	}
}

// Empty tells whether nothing is written down.
func (c Credentials) Empty() bool {
	return len(c.ClientSecrets) == 0 && c.JWKSURI == "" && c.JWKSFile == "" && c.TLSClientAuth == "" && !c.SelfSignedTLSClientAuth
}

// Lookup finds what a configuration points at.
type Lookup struct {
	// Secret expands the text of a secret.
	Secret func(field, text string) (string, error)
	// Keys reads a JWK Set.
	Keys func(file string) ([]byte, error)
}

// Settings are those of the engine, for the client id of a kind ("client").
func (c Credentials) Settings(kind, id string, from Lookup) (clientauth.Credentials, error) {
	hashes, err := HashSecrets("client_secret of "+id, c.ClientSecrets, from)
	settings := clientauth.Credentials{
		Secrets: hashes, JWKSURI: c.JWKSURI, TLSSubject: c.TLSClientAuth, TLSSelfSigned: c.SelfSignedTLSClientAuth,
	}
	if err != nil || c.JWKSFile == "" {
		return settings, err
	}
	if settings.JWKS, err = from.Keys(c.JWKSFile); err != nil {
		err = fmt.Errorf("%s '%s': jwks_file: %w", kind, id, err)
	}
	return settings, err
}

// HashSecrets is what is kept of secrets.
func HashSecrets(field string, secrets []string, from Lookup) ([][32]byte, error) {
	var hashes [][32]byte
	for _, text := range secrets {
		plain, err := from.Secret(field, text)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, clientauth.HashSecret(plain))
	}
	return hashes, nil
}

// maxKeyFile is far more than the keys of one client need.
const maxKeyFile = 256 << 10

// ReadKeyFile reads a file with keys; what is in it is the engine's affair. Only
// regular files: a pipe could keep the load of the configuration waiting.
func ReadKeyFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	f, err := os.Open(name) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) == 0:
		return nil, fmt.Errorf("%s is empty", name)
	case len(data) > maxKeyFile:
		return nil, fmt.Errorf("%s is larger than 256 KiB", name)
	}
	return data, nil
}

// AnyJWKS stands for the keys of a file that is read in Provision only (RFC 7517
// appendix A.1).
func AnyJWKS(string) ([]byte, error) {
	return []byte(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"1",` +
		`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`), nil
}

// WarnCertificates: a handler cannot see whether its site asks for certificates.
// checked: some client's must come from a CA; wanted: any will do.
func WarnCertificates(log *zap.Logger, issuer string, checked, wanted bool) {
	switch {
	case checked:
		log.Warn("tls_client_auth works only if the site of the issuer asks for certificates and checks them: client_auth in its tls block, with mode verify_if_given and a trust_pool",
			zap.String("iss", issuer))
	case wanted:
		log.Warn("certificates of clients are wanted, and come only if the site of the issuer asks for them: client_auth in its tls block, with mode request",
			zap.String("iss", issuer))
	}
}
