package oauth

// Metadata is what an authorization server, a security token service or an
// OpenID provider publishes about itself (RFC 8414 §2, UMA Grant §2, UMA Fed
// §2, OpenID Connect Discovery §3). Only what is switched on appears
// (CONFORMANCE OD-13).
type Metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint,omitempty"`
	// AuthorizationChallengeEndpoint is of draft-ietf-oauth-first-party-apps.
	AuthorizationChallengeEndpoint string `json:"authorization_challenge_endpoint,omitempty"`
	// DeviceAuthorizationEndpoint: RFC 8628 §4. EndSessionEndpoint: OpenID Connect
	// RP-Initiated Logout §2.1.
	DeviceAuthorizationEndpoint string `json:"device_authorization_endpoint,omitempty"`
	EndSessionEndpoint          string `json:"end_session_endpoint,omitempty"`
	TokenEndpoint               string `json:"token_endpoint,omitempty"`
	UserinfoEndpoint            string `json:"userinfo_endpoint,omitempty"`
	RegistrationEndpoint        string `json:"registration_endpoint,omitempty"`
	JWKSURI                     string `json:"jwks_uri,omitempty"`

	PermissionEndpoint           string   `json:"permission_endpoint,omitempty"`
	ResourceRegistrationEndpoint string   `json:"resource_registration_endpoint,omitempty"`
	UMAProfilesSupported         []string `json:"uma_profiles_supported,omitempty"`

	// RFC 8414 §2, RFC 9701 §7.
	IntrospectionEndpoint                     string   `json:"introspection_endpoint,omitempty"`
	IntrospectionEndpointAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgs      []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionSigningAlgValuesSupported    []string `json:"introspection_signing_alg_values_supported,omitempty"`
	RevocationEndpoint                        string   `json:"revocation_endpoint,omitempty"`
	RevocationEndpointAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`

	ScopesSupported     []string `json:"scopes_supported,omitempty"`
	GrantTypesSupported []string `json:"grant_types_supported"`
	// ResponseTypesSupported is written even when it is empty, because typed
	// clients expect it (CONFORMANCE A22).
	ResponseTypesSupported            []string `json:"response_types_supported"`
	SubjectTypesSupported             []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgValuesSupported  []string `json:"id_token_signing_alg_values_supported,omitempty"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported,omitempty"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
	DPoPSigningAlgValuesSupported     []string `json:"dpop_signing_alg_values_supported,omitempty"`
	ClaimsSupported                   []string `json:"claims_supported,omitempty"`

	// TokenEndpointAuthSigningAlgs are those of client assertions (RFC 8414 §2).
	TokenEndpointAuthSigningAlgs      []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthSigningAlgs []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	// TLSBoundTokens says that tokens can be bound to certificates (RFC 8705 §3.3).
	TLSBoundTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// MTLSAliases are of servers that ask for certificates elsewhere (RFC 8705 §5).
	MTLSAliases *MTLSAliases `json:"mtls_endpoint_aliases,omitempty"`
	// SubjectTokenIssuers are the issuers whose access tokens a security token
	// service exchanges, where it issues none itself: people log in there. An
	// extension of ours (docs/correlated-authorization.md).
	SubjectTokenIssuers []string `json:"subject_token_issuers_supported,omitempty"`
	// ClientDocuments is of draft-ietf-oauth-client-id-metadata-document §6.
	ClientDocuments bool `json:"client_id_metadata_document_supported,omitempty"`

	AuthorizationResponseIss bool   `json:"authorization_response_iss_parameter_supported,omitempty"`
	OPTermsOfService         string `json:"op_tos_uri,omitempty"`
}

// MTLSAliases are endpoints for clients with certificates (RFC 8705 §5).
type MTLSAliases struct {
	TokenEndpoint string `json:"token_endpoint,omitempty"`
}

// ResourceMetadata is the document of a protected resource (RFC 9728 §2).
type ResourceMetadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported"`
	DPoPSigningAlgs        []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPRequired           bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	TLSBound               bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	JWKSURI                string   `json:"jwks_uri,omitempty"`
}

// Permission is an entry of `permissions` in an RPT (UMA Fed §5.1.1) and, with
// the identifier and scopes alone, of a permission request (§4.1).
type Permission struct {
	ResourceID     string   `json:"resource_id"`
	ResourceScopes []string `json:"resource_scopes"`
	Expires        int64    `json:"exp,omitempty"`
	IssuedAt       int64    `json:"iat,omitempty"`
	NotBefore      int64    `json:"nbf,omitempty"`
}

// TokenResponse is a successful answer of a token endpoint (RFC 6749 §5.1,
// RFC 8693 §2.2.1). Owner, resource URI and audience come with a PAT only: they
// tell the resource server what the authorization server has for it.
type TokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in,omitempty"`
	Scope           string `json:"scope,omitempty"`
	DecisionID      string `json:"decision_id,omitempty"`
	IDToken         string `json:"id_token,omitempty"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	// PCT and Upgraded are of UMA Grant §3.3.5. Upgraded is there only when it is
	// true.
	PCT      string `json:"pct,omitempty"`
	Upgraded bool   `json:"upgraded,omitempty"`

	ResourceURI string `json:"resource_uri,omitempty"`
	Audience    string `json:"audience,omitempty"`
	Owner       string `json:"owner,omitempty"`
}
