package op

import "context"

// EndGrants ends what a user has granted a client, or all clients.
func EndGrants(p *Provider, user, client string) error {
	return p.endGrants(context.Background(), user, client, "test")
}

// SealAs seals a text with the provider's own keys, for a purpose of its own.
func SealAs(p *Provider, text string, data ...string) (string, error) {
	return p.box.Seal(context.Background(), []byte(text), data...)
}

// Secret makes what stands for a session or a code, and gives its id.
func Secret() (id string) { return hashID(secret()) }
