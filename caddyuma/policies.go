package caddyuma

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// revision identifies what decides about people: the policies and, of the e-mail
// domains, who is denied and whose issuer is pinned. It is the hash of their
// canonical JSON, so that it is the same on each node of a cluster and after every
// reload that changes something else, and another one when a policy changes or its
// guest's settings do. Of two policies that both match, the first decides: their
// order counts.
func revision(policies []Policy, domains []EmailDomain) (string, error) {
	raw, err := json.Marshal([]any{policies, welcome(domains)})
	if err != nil {
		return "", err
	}
	// Once more, for the sake of the guests: in maps the members are sorted.
	var tree any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return "", err
	}
	canonical, err := json.Marshal(tree)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

// welcome is what of the e-mail domains can end a grant that is alive.
func welcome(domains []EmailDomain) []EmailDomain {
	var list []EmailDomain
	for _, e := range domains {
		switch {
		case e.Deny:
			list = append(list, EmailDomain{Domains: e.Domains, Deny: true})
		case e.NoWebFinger:
			list = append(list, EmailDomain{Domains: e.Domains, BaseURL: e.BaseURL, NoWebFinger: true})
		}
	}
	return list
}

// loadGuests makes the guests of the policies. Caddy forgets their settings
// then.
func (h *Handler) loadGuests(ctx caddy.Context, policies []uma.Policy) error {
	for i := range h.Policies {
		p := &h.Policies[i]
		if p.EvaluateRaw == nil {
			continue
		}
		mod, err := ctx.LoadModule(p, "EvaluateRaw")
		if err != nil {
			return fmt.Errorf("policy '%s': evaluate: %w", p.Name, err)
		}
		guest, ok := mod.(policy.Policy)
		if !ok {
			return fmt.Errorf("policy '%s': evaluate: %w", p.Name, errNoPolicy(mod))
		}
		policies[i].Guest = policy.Guard(guest, 0)
	}
	return nil
}
