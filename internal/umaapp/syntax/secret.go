package syntax

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// minSecret is the least length of a client secret: 32 characters of base64 are
// 192 bits, far beyond guessing.
const minSecret = 32

// Secret expands {env.X} and {file./abs/path} in a client secret, in Provision,
// so that the expanded text never shows in /config/. Empty results are errors,
// and so are short secrets and those of the example, unless the issuer's host is
// localhost or *.localhost.
func Secret(directive, field, value, issuer string) (string, error) {
	secret, err := Expand(directive, field, value)
	if err != nil {
		return "", err
	}
	if isLocalhost(issuer) {
		return secret, nil
	}
	if strings.Contains(secret, "example-only") {
		return "", fmt.Errorf("%s: %s is the one of the example, which everybody knows; make one with: openssl rand -base64 32", directive, field)
	}
	if len(secret) < minSecret {
		return "", fmt.Errorf("%s: %s is shorter than %d characters; make one with: openssl rand -base64 32", directive, field, minSecret)
	}
	if secret == value {
		WarnLiteral(directive, field)
	}
	return secret, nil
}

var placeholder = regexp.MustCompile(`^\{([a-z_]+)\.([^{}]*)\}$`)

// Expand does the expansion alone, for values that are no shared secrets, such
// as password hashes. A placeholder must be the whole value; anything else
// stands for itself.
func Expand(directive, field, value string) (string, error) {
	name := directive + ": " + field
	m := placeholder.FindStringSubmatch(value)
	switch {
	case m == nil && strings.Contains(value, "{env.") || m == nil && strings.Contains(value, "{file."):
		return "", fmt.Errorf("%s: a placeholder must be the whole value", name)
	case m == nil && value == "":
		return "", fmt.Errorf("%s is empty", name)
	case m == nil:
		return value, nil
	}
	switch kind, rest := m[1], m[2]; {
	case kind == "env":
		return fromEnv(name, rest)
	case kind == "file" && filepath.IsAbs(rest):
		return fromFile(name, rest)
	default:
		return "", notExpandable(name, value)
	}
}

func fromEnv(name, variable string) (string, error) {
	value, set := os.LookupEnv(variable)
	if !set {
		return "", fmt.Errorf("%s is empty: environment variable %s is not set", name, variable)
	}
	if value == "" {
		return "", fmt.Errorf("%s is empty: environment variable %s is empty", name, variable)
	}
	return value, nil
}

// fromFile reads through Caddy's replacer: at most 1 MiB, one newline at the end
// removed.
func fromFile(name, path string) (string, error) {
	value, ok := caddy.NewReplacer().GetString("file." + path)
	if !ok || value == "" {
		return "", fmt.Errorf("%s is empty: file %s is empty or cannot be read", name, path)
	}
	return value, nil
}

// notExpandable names what was written: inside a site Caddy turns {file.secret}
// into a placeholder of the request, which has no value at load.
func notExpandable(name, value string) error {
	if rest, ok := strings.CutPrefix(value, "{http.request.uri.path.file."); ok {
		value = "{file." + rest
	}
	if strings.HasPrefix(value, "{file.") {
		return fmt.Errorf("%s: '%s' is a request placeholder inside a site; use an absolute path: {file./path/to/secret}", name, value)
	}
	return fmt.Errorf("%s: '%s' cannot be used here; write {env.NAME} or {file./path/to/secret}", name, value)
}

var warned sync.Map //nolint:gochecknoglobals // one warning per process, not one per reload

// WarnLiteral says once that a secret stands in the configuration itself.
func WarnLiteral(directive, field string) {
	if _, again := warned.LoadOrStore(directive+"\x00"+field, true); again {
		return
	}
	caddy.Log().Named("uma").Warn("a secret stands in the configuration and can be read at the admin API and in autosave.json; write {env.NAME} or {file./path/to/secret}",
		zap.String("directive", directive), zap.String("field", field))
}

// isLocalhost tells whether an issuer is one of this machine only (RFC 6761 §6.3).
func isLocalhost(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	return IsLocalhost(u.Hostname())
}

// IsLocalhost tells whether a host is this machine whatever DNS says (RFC 6761 §6.3).
func IsLocalhost(host string) bool {
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
