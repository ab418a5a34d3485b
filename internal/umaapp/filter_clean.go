package umaapp

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
	"initial_tokens", "key_encryption_keys", "login_hint", "logout_token", "passwd", "password", "password_hash", "pct", "private_key", "pushed_claims", "refresh_token",
	"registration_access_token", "request", "rpt", "secret", "secrets", "session", "sid", "state", "subject_token", "ticket", "token", "user_code",
	"username", "verification_uri_complete",
}

// secretFields are header fields that are nothing but credentials.
var secretFields = []string{ //nolint:gochecknoglobals // a table of constants
	"authorization", "cookie", "dpop", "proxy-authorization", "set-cookie", "x-access-token", "x-api-key", "x-auth-token",
	"x-forwarded-access-token", "x-id-token",
}

var (
	// inJSON finds "name":"value" in a text that holds JSON.
	inJSON = regexp.MustCompile(`(?i)"(` + strings.Join(secretParams, "|") + `)(\\?"\s*:\s*\\?")((?:[^"\\]|\\[^"])*)`)
	// ours are tokens with a prefix of their own (DESIGN §8), jwt are those of
	// everybody: three or five parts, of which the first is JSON.
	ours = regexp.MustCompile(`\b(pat|rt|rpt|pct|rat)_[A-Za-z0-9_-]{20,}`)
	jwt  = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2,4}`)
	// account is a person in a URI (RFC 7565), as WebFinger asks for.
	account = regexp.MustCompile(`(?i)\bacct(:|%3A)[^@%\s&]+(@|%40)`)
)

// plainWords are among secretParams and mean something else as the name of a field.
var plainWords = []string{"code", "request", "session", "sid", "state", "username"} //nolint:gochecknoglobals // a table of constants

// isSecretName tells whether what has this name is a credential.
func isSecretName(name string) bool {
	low := strings.ToLower(name)
	return slices.Contains(secretFields, low) || slices.Contains(secretParams, low) && !slices.Contains(plainWords, low)
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
	if strings.ContainsAny(text, "= ") {
		text = cleanWords(text)
	}
	if strings.Contains(text, `":`) || strings.Contains(text, `" :`) || strings.Contains(text, `\":`) {
		text = inJSON.ReplaceAllString(text, `"${1}${2}`+redacted)
	}
	if strings.Contains(text, "t_") {
		text = ours.ReplaceAllString(text, redacted)
	}
	if strings.Contains(text, "eyJ") {
		text = jwt.ReplaceAllString(text, redacted)
	}
	if len(text) >= minLong {
		text = cleanLong(text)
	}
	if strings.Contains(text, "@") || strings.Contains(text, "%40") {
		text = account.ReplaceAllString(text, "acct${1}"+redacted+"${2}")
	}
	return text
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
