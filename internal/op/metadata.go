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
	m.IDTokenSigningAlgValuesSupported = []string{p.cfg.IDTokens.Alg()}
	m.CodeChallengeMethodsSupported = []string{"S256"}
	m.ScopesSupported = slices.Clone(scopes)
	m.AuthorizationResponseIss = true
	if !slices.Contains(m.GrantTypesSupported, oauth.GrantAuthorizationCode) {
		m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantAuthorizationCode)
	}
	m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantRefreshToken)
	m.DPoPSigningAlgValuesSupported = dpop.Algs()
	if !p.cfg.NoDeviceFlow {
		m.DeviceAuthorizationEndpoint = p.url("device_authorization")
		m.GrantTypesSupported = append(m.GrantTypesSupported, oauth.GrantDeviceCode)
	}
}

func (p *Provider) hasFirstParty() bool {
	for _, c := range p.clients {
		if c.FirstParty && !c.Disabled {
			return true
		}
	}
	return false
}
