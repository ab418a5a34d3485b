package upstream

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// preset is what is known of a vendor's access tokens.
type preset struct {
	check Check // "" = as configured
	types []string
	// tellsApart: a claim tells access tokens from ID tokens.
	tellsApart bool
	// needsAudience and audienceHint: what has to be set up at the vendor.
	needsAudience bool
	audienceHint  string
	// mapperHint says what is missing if a token is not for us.
	mapperHint string
	// issuer is what the issuer looks like; nil = anything. issuerHint says so.
	issuer     *regexp.Regexp
	issuerHint string
	// noUserinfo: access tokens for us are not taken by the userinfo endpoint.
	noUserinfo bool
	// confidential: only a client that authenticates may exchange them.
	confidential bool
	// access refuses what is no access token of a user. "" = it is one.
	access func(c claims) (reason string)
	// verified tells whether the claim email is; nil = email_verified.
	verified func(c claims) bool
}

// presets by name. "" is generic: RFC 9068.
func presets() map[string]preset {
	generic := preset{types: []string{"at+jwt"}, access: noIDToken}
	return map[string]preset{
		"": generic, "generic": generic,
		"keycloak": {
			types: []string{"JWT"}, tellsApart: true, access: keycloakAccess,
			mapperHint: "; at Keycloak an audience mapper of the client puts it there",
		},
		"entra": {
			types: []string{"JWT"}, tellsApart: true, access: entraAccess, verified: entraVerified, noUserinfo: true,
			issuer:        regexp.MustCompile(`^https://[^/]+/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/v2\.0$`),
			issuerHint:    "https://login.microsoftonline.com/<tenant id>/v2.0, with the id of one tenant",
			needsAudience: true, audienceHint: "the Application ID URI (api://…) or client id of an API that you expose; tokens for Microsoft Graph cannot be checked by anybody else",
		},
		"google": {
			check: checkTokeninfo, confidential: true,
			issuer: regexp.MustCompile(`^https://accounts\.google\.com$`), issuerHint: "https://accounts.google.com",
		},
	}
}

// marks are claims of ID tokens (OpenID Connect Core §2, §3.3.2.11).
var marks = []string{"nonce", "at_hash", "c_hash", "s_hash"}

func idTokenMark(c claims) string {
	for _, name := range marks {
		if c.has(name) {
			return "it has the claim " + name + " of an ID token"
		}
	}
	return ""
}

// accessKinds are the values of the claims typ and token_use of an access token,
// in lower case. JWT says nothing.
var accessKinds = []string{"bearer", "dpop", "access", "access_token", "at+jwt", "application/at+jwt", "jwt"}

// otherKind: introspection calls refresh tokens active, too, and token_type need not
// be there (RFC 7662 §2.2). Keycloak says the kind in typ (Refresh, Offline, ID),
// Cognito and others in token_use. With merge_jwks the audience does not tell: that of
// Keycloak's refresh tokens is the issuer.
func otherKind(c claims) string {
	for _, name := range []string{"typ", "token_use"} {
		if c.has(name) && !slices.Contains(accessKinds, strings.ToLower(c.text(name))) {
			return "its claim " + name + " is not that of an access token"
		}
	}
	return ""
}

func noIDToken(c claims) string {
	if reason := cmp.Or(idTokenMark(c), otherKind(c)); reason != "" {
		return reason
	}
	if !isAccessType(accessType(c.typ)) && slices.Contains(c.Audience, c.client()) && c.client() != "" {
		return "its audience is the client, as that of an ID token"
	}
	return ""
}

// keycloakAccess: the claim typ is Bearer (DPoP for bound ones) in access tokens,
// ID, Refresh, Offline, Logout in others. Service accounts are users at Keycloak,
// with names of a reserved form.
func keycloakAccess(c claims) string {
	if typ := c.text("typ"); typ != "Bearer" && typ != "DPoP" {
		return "its claim typ is not Bearer"
	}
	if strings.HasPrefix(c.text("preferred_username"), "service-account-") || c.has("clientHost") || c.has("clientAddress") {
		return "it is of a service account"
	}
	return noIDToken(c)
}

// entraAccess: access tokens on behalf of a user have scp, ID tokens and those of
// applications do not. Only v2.0 tokens have azp and the issuer with /v2.0.
func entraAccess(c claims) string {
	switch {
	case c.text("ver") != "2.0":
		return "it is no v2.0 token: set requestedAccessTokenVersion of the API to 2"
	case c.text("scp") == "":
		return "it has no scp, so it is no access token on behalf of a user"
	case c.text("idtyp") == "app":
		return "it is of an application"
	}
	return idTokenMark(c)
}

// entraVerified: anybody can write any address into the profile of a user of his
// own tenant. Only xms_edov says that the owner of the domain has verified it.
func entraVerified(c claims) bool {
	switch v := c.all["xms_edov"].(type) {
	case bool:
		return v
	case string:
		return v == "1" || v == "true"
	case float64:
		return v == 1
	}
	return false
}
