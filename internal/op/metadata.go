package op

import (
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Extend adds the provider's members to the metadata of the STS (RFC 8414 §2,
// OpenID Connect Discovery §3).
func (p *Provider) Extend(m *oauth.Metadata) {
	m.AuthorizationEndpoint = p.url("authorize")
	if p.hasFirstParty() {
		m.AuthorizationChallengeEndpoint = p.url("challenge")
	}
	m.EndSessionEndpoint = p.url("logout")
	m.ResponseTypesSupported = []string{"code"}
	m.SubjectTypesSupported = []string{"public"}
	m.CodeChallengeMethodsSupported = []string{"S256"}
	m.AuthorizationResponseIss = true
	if !slices.Contains(m.GrantTypesSupported, oauth.GrantAuthorizationCode) {
		m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantAuthorizationCode)
	}
	m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantRefreshToken)
	if !p.cfg.NoDeviceFlow {
		m.DeviceAuthorizationEndpoint = p.url("device_authorization")
		m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantDeviceCode)
	}
	p.extendTokens(m)
}

// extendTokens says what can be done with tokens. Clients authenticate as at the
// token endpoint; only those that do may introspect.
func (p *Provider) extendTokens(m *oauth.Metadata) {
	m.IDTokenSigningAlgValuesSupported = []string{p.cfg.IDTokens.Alg()}
	m.DPoPSigningAlgValuesSupported = dpop.Algs()
	m.ScopesSupported = slices.Clone(scopes)
	m.ClaimsSupported = slices.Concat(
		[]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "email", "email_verified", "groups"}, profile)
	m.UserinfoEndpoint = p.url("userinfo")
	m.RevocationEndpoint = p.url("revoke")
	m.RevocationEndpointAuthMethodsSupported = slices.Clone(m.TokenEndpointAuthMethodsSupported)
	m.RevocationEndpointAuthSigningAlgs = slices.Clone(m.TokenEndpointAuthSigningAlgs)
	if p.hasConfidential() {
		m.IntrospectionEndpoint = p.url("introspect")
		m.IntrospectionEndpointAuthMethodsSupported = slices.DeleteFunc(
			slices.Clone(m.TokenEndpointAuthMethodsSupported), func(s string) bool { return s == oauth.AuthNone })
		m.IntrospectionEndpointAuthSigningAlgs = slices.Clone(m.TokenEndpointAuthSigningAlgs)
	}
}

func (p *Provider) hasFirstParty() bool {
	return p.hasClient(func(c *Client) bool { return c.FirstParty })
}

func (p *Provider) hasConfidential() bool {
	return p.hasClient(func(c *Client) bool { return !c.Public })
}

func (p *Provider) hasClient(fits func(*Client) bool) bool {
	for _, c := range p.clients {
		if fits(c) && !c.Disabled {
			return true
		}
	}
	return false
}
