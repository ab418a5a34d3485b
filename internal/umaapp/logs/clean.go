package logs

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// redacted stands in place of a credential, as in Caddy's own logs.
const redacted = "REDACTED"

// secretParams are parameters, of queries, forms and header fields, and members of
// configurations and documents, whose values are credentials or lead to one.
// `request` is what pages of the embedded provider know a login or a consent by, or
// a request object; login_hint is somebody's address.
var secretParams = []string{ //nolint:gochecknoglobals // a table of constants
	"access_token", "actor_token", "api_key", "apikey", "assertion", "auth_session", "authorization_code", "claim_token", "client_assertion",
	"client_secret", "client_secrets", "code", "code_verifier", "consent_uri", "device_code", "id_token", "id_token_hint", "initial_access_token",
	"initial_tokens", "key_encryption_keys", "login_hint", "logout_token", "passphrase", "passwd", "password", "password_hash", "pct", "private_key", "pushed_claims", "refresh_token",
	"registration_access_token", "request", "rpt", "secret", "secrets", "session", "sid", "state", "subject_token", "ticket", "token", "user_code",
	"username", "verification_uri_complete",
}

// secretFields are header fields that are nothing but credentials.
var secretFields = []string{ //nolint:gochecknoglobals // a table of constants
	"authorization", "cookie", "dpop", "proxy_authorization", "set_cookie", "x_api_key",
}

// secretEnds are what the names of other people's credentials end with.
var secretEnds = []string{"_token", "_secret", "_password", "_passwd", "_passphrase", "_api_key"} //nolint:gochecknoglobals // a table of constants

// before is what a token may follow: \b does not see the end of an escape.
const before = `(\b|\\[nrt]|\\u[0-9a-fA-F]{4})`

var (
	// ours are tokens with a prefix of their own (DESIGN §8), jwt are those of
	// everybody: three or five parts, of which the first is JSON, and what is disclosed
	// behind them (RFC 9901).
	ours = regexp.MustCompile(before + `(?:pat|rt|rpt|pct|rat)_[A-Za-z0-9_-]{20,}`)
	jwt  = regexp.MustCompile(`(\b|_|\\[nrt]|\\u[0-9a-fA-F]{4})eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2,4}(?:~[A-Za-z0-9_.-]*)*`)
	// account is a person in a URI (RFC 7565), as WebFinger asks for.
	account = regexp.MustCompile(`(?i)\bacct(:|%3A)[^@%\s&]+(@|%40)`)
	// userinfo is that of a URL, with a password (RFC 3986 §3.2.1).
	userinfo = regexp.MustCompile(`(:\\?/\\?/)[^\s/?#@"'<>\\]*:[^\s/?#"'<>\\]*@`)
)

// plainWords are among secretParams and mean something else as the name of a field.
var plainWords = []string{"code", "request", "session", "sid", "state", "username"} //nolint:gochecknoglobals // a table of constants

func isPlainWord(name string) bool { return slices.Contains(plainWords, strings.ToLower(name)) }

// isSecretParam tells whether what stands behind name= is a credential. Names are
// written with _, with - or as camelCase.
func isSecretParam(name string) bool {
	low := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	if isListed(low) {
		return true
	}
	return isCamel(name) && isListed(snake(name))
}

func isListed(low string) bool {
	return slices.Contains(secretFields, low) || slices.Contains(secretParams, low) || slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(low, end) })
}

// isSecretName tells whether what has this name is a credential.
func isSecretName(name string) bool {
	return isSecretParam(name) && !isPlainWord(name)
}

// snake parts camelCase: clientSecret is client_secret.
func snake(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if isHump(name, i) {
			b.WriteByte('_')
		}
		b.WriteByte(name[i])
	}
	return strings.ReplaceAll(strings.ToLower(b.String()), "-", "_")
}

// isHump tells whether a word begins at i in camelCase.
func isHump(name string, i int) bool {
	return i > 0 && name[i] >= 'A' && name[i] <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z'
}

func isCamel(name string) bool {
	for i := range len(name) {
		if isHump(name, i) {
			return true
		}
	}
	return false
}

// clean takes credentials out of a text.
func clean(text string) string {
	if len(text) < 8 {
		return text
	}
	text = plainly(text)
	if !strings.Contains(text, "%") {
		return text
	}
	return cleanEscaped(text)
}

// plainly cleans what is not hidden by escapes.
func plainly(text string) string {
	if strings.ContainsAny(text, "=: \t") {
		text = cleanWords(text)
	}
	if strings.Contains(text, "t_") {
		text = ours.ReplaceAllStringFunc(text, cleanOurs)
	}
	if strings.Contains(text, "eyJ") {
		text = jwt.ReplaceAllString(text, "${1}"+redacted)
	}
	if strings.Contains(text, "@") && strings.Contains(text, ":") {
		text = userinfo.ReplaceAllString(text, "${1}"+redacted+"@")
	}
	if len(text) >= minLong {
		text = cleanLong(text)
	}
	if strings.Contains(text, "@") || strings.Contains(text, "%40") {
		text = account.ReplaceAllString(text, "acct${1}"+redacted+"${2}")
	}
	return text
}

// cleanOurs leaves words alone that only begin like a token: rt_names_of_functions.
func cleanOurs(found string) string {
	prefix, random, _ := strings.Cut(found, "_")
	if strings.ToLower(random) == random && !strings.ContainsAny(random, "0123456789") {
		return found
	}
	return strings.TrimRight(prefix, "acprt") + redacted
}

// maxEscapes is how often an address may be escaped inside another one.
const maxEscapes = 4

// cleanEscaped looks below the escapes of a URL. A text that hides a credential
// there is cut at its query, where the first one can stand.
func cleanEscaped(text string) string {
	below := text
	for range maxEscapes {
		next := unescape(below)
		if next == below {
			return text
		}
		if below = next; plainly(below) != below {
			before, _, found := strings.Cut(text, "?")
			if !found || clean(before) != before {
				return redacted
			}
			return before + "?" + redacted
		}
	}
	return redacted
}

// unescape takes one level of escapes off, as far as they are some.
func unescape(text string) string {
	if out, err := url.PathUnescape(text); err == nil {
		return out
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := url.PathUnescape(text[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
