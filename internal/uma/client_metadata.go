package uma

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// clientMetadata is what a client says of itself (RFC 7591 §2, UMA Grant §2, RFC
// 8705 §2.1.2 and §3.4, RFC 9449 §5.2), with the defaults filled in. A member
// that is null counts as omitted (RFC 7592 §2.2).
type clientMetadata struct {
	RedirectURIs       []string        `json:"redirect_uris,omitempty"`
	ClaimsRedirectURIs []string        `json:"claims_redirect_uris,omitempty"`
	Method             string          `json:"token_endpoint_auth_method"`
	GrantTypes         []string        `json:"grant_types"`
	ResponseTypes      []string        `json:"response_types"`
	Scope              string          `json:"scope,omitempty"`
	Contacts           []string        `json:"contacts,omitempty"`
	JWKSURI            string          `json:"jwks_uri,omitempty"`
	JWKS               json.RawMessage `json:"jwks,omitempty"`
	SoftwareID         string          `json:"software_id,omitempty"`
	SoftwareVersion    string          `json:"software_version,omitempty"`
	DPoPBound          bool            `json:"dpop_bound_access_tokens,omitempty"`
	TLSBound           bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	TLSSubject         string          `json:"tls_client_auth_subject_dn,omitempty"`
	// Texts are for people, also in several languages: client_name#de (RFC 7591
	// §2.2). The name is that in the record; requests have them one by one.
	Texts map[string]string `json:"#texts,omitempty"`
}

// Bounds of metadata.
const (
	maxList  = 20  // entries
	maxTexts = 100 // texts and their translations
	maxTag   = 35  // a language tag (RFC 5646 §4.4.1)
)

// clientTexts are the members that may have a language tag; true = a URL.
var clientTexts = map[string]bool{
	"client_name": false, "client_uri": true, "logo_uri": true, "tos_uri": true, "policy_uri": true,
}

// Values that are registered; all others are refused, so that nobody waits for
// what is not there.
var (
	clientMethods = []string{
		oauth.AuthNone, oauth.AuthSecretBasic, oauth.AuthSecretPost,
		oauth.AuthPrivateKeyJWT, oauth.AuthTLS, oauth.AuthSelfSignedTLS,
	}
	clientGrants = []string{oauth.GrantUMATicket, oauth.GrantRefreshToken, oauth.GrantClientCredentials}
)

func badMetadata(format string, args ...any) *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidClientMetadata, format, args...)
}

// parseClientMetadata reads a registration request or metadata document. Unknown
// members are ignored (RFC 7591 §2), as is a software_statement (§2.3).
func parseClientMetadata(body []byte) (clientMetadata, error) {
	var m clientMetadata
	members := map[string]json.RawMessage{}
	if err := oauth.DecodeObject(body, &members); err != nil {
		return m, badMetadata("the metadata must be one JSON object without repeated members").Because(err)
	}
	if err := oauth.DecodeObject(body, &m); err != nil {
		return m, badMetadata("a member has a wrong type").Because(err)
	}
	if string(m.JWKS) == "null" {
		m.JWKS = nil
	}
	var err error
	if m.Texts, err = parseTexts(members); err != nil {
		return m, err
	}
	m.fillDefaults()
	return m, m.check(members)
}

// fillDefaults: RFC 7591 §2. A client that does not ask for the UMA grant is one
// of the authorization code, and can do nothing here (CONFORMANCE OA-21).
func (m *clientMetadata) fillDefaults() {
	if m.Method == "" {
		m.Method = oauth.AuthSecretBasic
	}
	if m.GrantTypes == nil {
		m.GrantTypes = []string{oauth.GrantAuthorizationCode}
	}
	if m.ResponseTypes == nil {
		m.ResponseTypes = m.responseTypes()
	}
}

// responseTypes are those that belong to the grant types (RFC 7591 §2.1).
func (m *clientMetadata) responseTypes() []string {
	if slices.Contains(m.GrantTypes, oauth.GrantAuthorizationCode) {
		return []string{"code"}
	}
	return []string{}
}

func (m *clientMetadata) check(members map[string]json.RawMessage) error {
	if err := m.checkLists(); err != nil {
		return err
	}
	if err := m.checkGrants(); err != nil {
		return err
	}
	return m.checkMethod(members)
}

func (m *clientMetadata) checkLists() error {
	for _, uris := range [][]string{m.RedirectURIs, m.ClaimsRedirectURIs} {
		if len(uris) > maxList || slices.ContainsFunc(uris, func(uri string) bool { return !isRedirectURI(uri) }) {
			return oauth.Errorf(oauth.CodeInvalidRedirectURI, "redirection URIs must be absolute https URLs without fragment, or http URLs of this host's loopback address; at most %d", maxList)
		}
	}
	if len(m.Contacts) > maxList || slices.ContainsFunc(m.Contacts, func(s string) bool { return !isShort(s) }) {
		return badMetadata("contacts must be at most %d short strings", maxList)
	}
	if len(m.SoftwareID) > maxText || len(m.SoftwareVersion) > maxText {
		return badMetadata("software_id and software_version are too long")
	}
	return nil
}

// checkGrants: grant types that are not there are refused. The default is not
// there either; it is taken alone, so that what was read can be written back.
func (m *clientMetadata) checkGrants() error {
	if !slices.Equal(m.GrantTypes, []string{oauth.GrantAuthorizationCode}) {
		if len(m.GrantTypes) == 0 || !allOf(m.GrantTypes, clientGrants) {
			return badMetadata("grant_types must be different ones of grant_types_supported")
		}
	}
	if !slices.Equal(m.ResponseTypes, m.responseTypes()) {
		return badMetadata("response_types do not fit grant_types")
	}
	scopes := strings.Fields(m.Scope)
	if len(m.Scope) > maxText || strings.Join(scopes, " ") != m.Scope || slices.ContainsFunc(scopes, func(s string) bool { return !isScope(s) }) {
		return badMetadata("scope must be a space-delimited list of scopes")
	}
	if slices.Contains(scopes, oauth.ScopeUMAProtection) { // CONFORMANCE OA-23
		return badMetadata("the scope uma_protection is for resource servers, which the administrator registers")
	}
	return nil
}

// allOf: each is one of the values, and none stands there twice.
func allOf(list, values []string) bool {
	for i, s := range list {
		if !slices.Contains(values, s) || slices.Contains(list[:i], s) {
			return false
		}
	}
	return true
}

// checkMethod: what a method needs must be there, and the subject of a
// certificate only with the one that needs it.
func (m *clientMetadata) checkMethod(members map[string]json.RawMessage) error {
	if !slices.Contains(clientMethods, m.Method) {
		return badMetadata("token_endpoint_auth_method must be one of token_endpoint_auth_methods_supported")
	}
	for name := range members {
		// RFC 8705 §2.1.2: exactly one member names the certificate; only the subject
		// is supported.
		if strings.HasPrefix(name, "tls_client_auth_san_") {
			return badMetadata("of the names in a certificate only tls_client_auth_subject_dn is supported")
		}
	}
	if (m.Method == oauth.AuthTLS) != (m.TLSSubject != "") {
		return badMetadata("tls_client_auth_subject_dn belongs to tls_client_auth")
	}
	creds := m.credentials()
	if !creds.HasKeys() && m.Method == oauth.AuthPrivateKeyJWT {
		return badMetadata("private_key_jwt needs jwks or jwks_uri")
	}
	if err := creds.Check(); err != nil {
		return badMetadata("the keys or the subject of the certificate are not acceptable").Because(err)
	}
	return nil
}

// parseTexts reads what is meant for people.
func parseTexts(members map[string]json.RawMessage) (map[string]string, error) {
	texts := map[string]string{}
	for name, raw := range members {
		base, tag, tagged := strings.Cut(name, "#")
		isURL, known := clientTexts[base]
		if !known || string(raw) == "null" {
			continue
		}
		var text string
		if err := oauth.DecodeJSON(raw, &text); err != nil || len(text) > maxText {
			return nil, badMetadata("%s must be a string of at most %d bytes", base, maxText)
		}
		if tagged && !isTag(tag) {
			return nil, badMetadata("%s has something behind # that is no language tag", base)
		}
		if isURL && !isPageURL(text) {
			return nil, badMetadata("%s must be an absolute http or https URL", base)
		}
		texts[name] = text
	}
	if len(texts) > maxTexts {
		return nil, badMetadata("too many texts")
	}
	return texts, nil
}

// isTag accepts the characters of a language tag (RFC 5646 §2.1).
func isTag(s string) bool {
	return s != "" && len(s) <= maxTag && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// isShort accepts a line of text.
func isShort(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// plainURL reads a URL that every program reads alike.
func plainURL(s string) (*url.URL, bool) {
	if s == "" || len(s) > maxText || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return nil, false
	}
	u, err := url.Parse(s)
	return u, err == nil && u.Opaque == "" && u.Hostname() != "" && u.User == nil
}

// isPageURL keeps javascript: and the like away from pages that show a link.
func isPageURL(s string) bool {
	u, ok := plainURL(s)
	return ok && (u.Scheme == "https" || u.Scheme == "http")
}

// isRedirectURI accepts https, and http on the loopback address (RFC 8252 §7.3,
// RFC 9700 §2.6), without a fragment (RFC 6749 §3.1.2).
func isRedirectURI(s string) bool {
	u, ok := plainURL(s)
	if !ok || strings.Contains(s, "#") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// describe is the metadata as it is returned (RFC 7591 §3.2.1).
func (m clientMetadata) describe() (map[string]any, error) {
	texts := m.Texts
	m.Texts = nil
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for name, text := range texts {
		all[name] = text
	}
	return all, nil
}
