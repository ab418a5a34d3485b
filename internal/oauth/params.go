package oauth

// Grant types.
const (
	GrantUMATicket         = "urn:ietf:params:oauth:grant-type:uma-ticket"     // UMA Grant §3.3.1
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 §2.1
	GrantClientCredentials = "client_credentials"                              // RFC 6749 §4.4.2
	GrantRefreshToken      = "refresh_token"                                   // RFC 6749 §6
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628 §3.4
	GrantAuthorizationCode = "authorization_code"                              // RFC 6749 §4.1.3
)

// Token types (RFC 8693 §3) and the claim token format of the profile
// (UMA Grant §3.3.1).
const (
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeJWT         = "urn:ietf:params:oauth:token-type:jwt"

	ClaimTokenFormatJWT = TokenTypeJWT
)

// Values of the JOSE header member typ. Each kind of token has one of its own,
// so that none is taken for another (RFC 8725 §3.11).
const (
	TypClaimsToken = "ca-claims+jwt" // CONFORMANCE A37
	TypAccessToken = "at+jwt"        // RFC 9068 §2.1
	TypDPoP        = "dpop+jwt"      // RFC 9449 §4.2

	TypAssertion = "rs-assertion+jwt" // of uma_protect for its backend

	TypIntrospection = "token-introspection+jwt" // RFC 9701 §5
)

// DPoP (RFC 9449): the header fields of a proof (§4.1) and of a nonce (§8), and
// the token_type and authentication scheme of a token bound to a key (§5, §7.1).
const (
	HeaderDPoP      = "DPoP"
	HeaderDPoPNonce = "DPoP-Nonce"
	SchemeDPoP      = "DPoP"
)

// MediaTypeIntrospection is that of a signed introspection answer (RFC 9701 §4).
const MediaTypeIntrospection = "application/" + TypIntrospection

// ScopeUMAProtection is the scope that makes an access token a PAT (UMA
// Federated Authorization §1.2).
const ScopeUMAProtection = "uma_protection"

// ProfileURI names the claim token profile of this project (UMA Grant §4).
const ProfileURI = "https://github.com/caddy-uma/caddy-uma/blob/main/docs/correlated-authorization.md"

// RelIssuer is the link relation by which WebFinger names an issuer (OpenID
// Connect Discovery §2).
const RelIssuer = "http://openid.net/specs/connect/1.0/issuer"

// Names of well-known documents below /.well-known/.
const (
	WellKnownUMA2     = "uma2-configuration"
	WellKnownOAuth    = "oauth-authorization-server"
	WellKnownOpenID   = "openid-configuration"
	WellKnownResource = "oauth-protected-resource"
	WellKnownFinger   = "webfinger"
)

// MaxForm is the limit of a form body in bytes (CONFORMANCE §1).
const MaxForm = 64 << 10
