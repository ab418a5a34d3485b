package caddyrs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// identityFields are header fields by which backends learn who the user is. A
// client that sent one would be believed (CONFORMANCE SEC-19). They stand here
// as lookAlike gives them.
var identityFields = []string{ //nolint:gochecknoglobals // a table of constants
	"remote-user", "remote-email", "remote-groups", "remote-group", "remote-name", "remote-ident",
	"x-remote-user", "x-remote-email", "x-remote-groups", "x-remote-group", "x-remote-name",
	"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-name",
	"x-forwarded-preferred-username", "x-forwarded-access-token",
	"x-auth-request-user", "x-auth-request-email", "x-auth-request-groups",
	"x-auth-request-preferred-username", "x-auth-request-access-token",
	"x-auth-user", "x-auth-email", "x-auth-groups", "x-authenticated-user", "x-authenticated-userid",
	"x-authentik-username", "x-authentik-email", "x-authentik-groups", "x-authentik-uid",
	"x-webauth-user", "x-webauth-email", "x-webauth-name", "x-webauth-groups", "x-user", "x-user-email",
	"x-original-user", "x-proxy-user", "x-token-subject", "x-token-user-name", "x-token-user-email",
	"x-goog-authenticated-user-email", "x-goog-authenticated-user-id", "x-ms-client-principal",
	"x-ms-client-principal-name", "x-ms-client-principal-id", "cf-access-authenticated-user-email",
}

// pathFields make some backends read another path than that of the request line.
var pathFields = []string{"x-original-url", "x-rewrite-url", "x-override-url"} //nolint:gochecknoglobals // a table of constants

// proxyFields say how a request came to the proxy in front. They count only if a
// trusted proxy has set them: some backends choose host, path, scheme or method
// by them. Caddy's proxy sets those in forwardedFields itself.
var proxyFields = []string{ //nolint:gochecknoglobals // a table of constants
	"forwarded", "x-forwarded-uri", "x-forwarded-path", "x-forwarded-prefix", "x-forwarded-method", "x-forwarded-port",
	"x-forwarded-server", "x-forwarded-scheme", "x-forwarded-protocol", "x-forwarded-ssl", "x-original-uri", "x-original-path",
	"x-original-method", "x-original-host", "x-envoy-original-path", "x-envoy-original-host", "x-host", "x-http-host-override",
	"x-script-name", "x-url-scheme", "front-end-https",
}

// certFields count only if a trusted proxy has set them.
var certFields = []string{ //nolint:gochecknoglobals // a table of constants
	"client-cert", "client-cert-chain", "x-client-cert", "x-forwarded-client-cert", "x-forwarded-tls-client-cert",
	"x-forwarded-tls-client-cert-info", "x-ssl-cert", "x-ssl-client-cert", "x-ssl-client-dn", "x-ssl-client-s-dn",
	"x-ssl-client-verify", "ssl-client-cert", "ssl-client-verify", "ssl-client-s-dn",
}

// forwardedFields are set by Caddy's proxy itself in their proper spelling; only
// their look-alikes are removed.
var forwardedFields = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} //nolint:gochecknoglobals // a table of constants

// headerRules say what the backend must not see and what it shall.
type headerRules struct {
	rules  map[string]fieldRule // by what lookAlike gives
	fields []HeaderField
	own    []string // what lookAlike gives for fields and the assertion's
}

// fieldRule says when a field is removed.
type fieldRule struct {
	always    bool
	untrusted bool   // unless a trusted proxy is in front
	but       string // unless it is spelled like this
}

func newHeaderRules(up []HeaderField, assertion *Assertion, forwardAuthorization bool) headerRules {
	h := headerRules{rules: map[string]fieldRule{}, fields: up}
	for _, name := range forwardedFields {
		h.rules[lookAlike(name)] = fieldRule{but: name}
	}
	for _, name := range slices.Concat(certFields, proxyFields) {
		h.rules[name] = fieldRule{untrusted: true}
	}
	always := slices.Concat(identityFields, pathFields)
	for _, f := range up {
		h.own = append(h.own, lookAlike(f.Field))
	}
	if assertion != nil {
		h.own = append(h.own, lookAlike(assertion.Field))
	}
	always = append(always, h.own...)
	if !forwardAuthorization { // CONFORMANCE SEC-20
		always = append(always, "authorization", "dpop")
	}
	for _, name := range always {
		h.rules[name] = fieldRule{always: true}
	}
	return h
}

// lookAlike maps all names to one that a backend may take for the same: CGI and
// WSGI turn both - and _ into _, others do so with every special character.
func lookAlike(name string) string { return string(appendAlike(nil, name)) }

// appendAlike is lookAlike for each field of each request.
func appendAlike(to []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			to = append(to, c+'a'-'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			to = append(to, c)
		default:
			to = append(to, '-')
		}
	}
	return to
}

// clean removes what the client must not say to the backend.
func (h headerRules) clean(r *http.Request) {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	h.cleanFields(r.Header, trusted)
	h.cleanTrailer(r, trusted)
	dropTunnel(r.Header)
	cleanConnection(r.Header)
}

// dropTunnel takes away the offer to go on in a protocol that carries further
// HTTP requests (h2c, TLS of RFC 2817): those would pass unseen to any path of
// the backend. A server may ignore Upgrade (RFC 9110 §7.8), so the request
// itself goes on; WebSocket and the like stay.
func dropTunnel(header http.Header) {
	for option := range strings.SplitSeq(strings.Join(header["Upgrade"], ","), ",") {
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(option)), "/")
		if slices.Contains([]string{"h2c", "h2", "h3", "http", "tls"}, name) {
			header.Del("Upgrade")
			header.Del("Http2-Settings")
			return
		}
	}
}

func (h headerRules) removes(name string, trusted bool) bool {
	var buf [64]byte
	rule, known := h.rules[string(appendAlike(buf[:0], name))]
	if !known {
		return false
	}
	return rule.always || rule.untrusted && !trusted || rule.but != "" && !strings.EqualFold(rule.but, name)
}

// connectionOptions are about the connection and name no field that counts.
var connectionOptions = []string{"close", "keep-alive", "upgrade", "te", "http2-settings"} //nolint:gochecknoglobals // a table of constants

// cleanConnection removes the fields that Connection names, as every proxy must
// (RFC 9110 §7.6.1), and then the names. The proxy that comes later would remove
// them only after somebody here has set them: a client could take away what tells
// the backend who he is, and be taken for nobody or for everybody.
func cleanConnection(header http.Header) {
	lines := header["Connection"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for option := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		option = strings.TrimSpace(option)
		switch {
		case option == "":
		case slices.Contains(connectionOptions, strings.ToLower(option)):
			kept = append(kept, option)
		default:
			header.Del(option)
		}
	}
	header.Del("Connection")
	if len(kept) > 0 {
		header.Set("Connection", strings.Join(kept, ", "))
	}
}

// set sets the fields for the backend; an empty or unsafe value leaves it absent.
func (h headerRules) set(r *http.Request) {
	repl := replacer(r)
	for _, f := range h.fields {
		value := repl.ReplaceAll(f.Value, "")
		if value != "" && validValue(value) {
			r.Header.Set(f.Field, value)
		}
	}
}

func checkHeaderUp(fields []HeaderField) error {
	for _, f := range fields {
		if f.Field != "" && strings.ContainsAny(f.Field[:1], "+-?>") {
			return fmt.Errorf("header_up: '%s': only plain field names, which are set", f.Field)
		}
		switch name := http.CanonicalHeaderKey(f.Field); {
		case !isToken(f.Field):
			return fmt.Errorf("header_up: '%s' is no name of a header field", f.Field)
		case slices.Contains([]string{"Host", "Connection", "Upgrade", "Te", "Trailer", "Transfer-Encoding", "Content-Length", "Keep-Alive"}, name):
			return fmt.Errorf("header_up: %s cannot be set here", name)
		}
	}
	return nil
}

// unclear refuses requests whose method or target a backend may read in another
// way than we do (CONFORMANCE SEC-21).
func unclear(r *http.Request) *rs.Refusal {
	method := rs.Method(r)
	for name, values := range r.Header {
		if !overridesMethod(name) {
			continue
		}
		if slices.ContainsFunc(values, func(v string) bool { return !strings.EqualFold(strings.TrimSpace(v), method) }) {
			return rs.BadRequest("The request names another method in a header field.")
		}
	}
	if !isOrigin(r.URL) || method == http.MethodConnect { // a tunnel is no request for a resource
		return rs.BadRequest("The target of the request is not a path.")
	}
	return nil
}

// overridesMethod tells fields that make some backends read another method than
// that of the request line.
func overridesMethod(name string) bool {
	var buf [64]byte
	switch string(appendAlike(buf[:0], name)) {
	case "x-http-method-override", "x-http-method", "x-method-override":
		return true
	}
	return false
}

func joined(list []string) string { return strings.Join(list, " ") }

// isToken tells the name of a header field (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func validValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
