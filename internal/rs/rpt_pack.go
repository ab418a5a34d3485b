package rs

import (
	"strings"
	"unsafe"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

// pack makes claims small enough to be remembered by the hundred thousand: lists
// without room to grow, and one text that holds all others but the issuer, which is
// nearly always the same.
func (c *rptClaims) pack(issuer string) {
	c.Audience, c.Permissions, c.released = exact(c.Audience), exact(c.Permissions), exact(c.released)
	for i := range c.Permissions {
		p := &c.Permissions[i]
		p.ResourceScopes = exact(unique(p.ResourceScopes))
	}
	c.safe = Safe(c.Subject) && Safe(c.ClientID) && Safe(c.DecisionID)
	var text strings.Builder
	text.Grow(c.textSize())
	c.each(func(s *string) {
		if *s == issuer {
			*s = issuer
			return
		}
		start := text.Len()
		text.WriteString(*s)
		*s = text.String()[start:]
	})
}

// unique leaves out what was there before.
func unique(list []string) []string {
	seen := make(map[string]struct{}, len(list))
	var all []string
	for _, s := range list {
		if _, again := seen[s]; !again {
			seen[s] = struct{}{}
			all = append(all, s)
		}
	}
	return all
}

// exact copies a list into one of its very length; nil for an empty one.
func exact[S ~[]T, T any](list S) S {
	if len(list) == 0 {
		return nil
	}
	made := make(S, len(list))
	copy(made, list)
	return made
}

// each visits every text of the claims.
func (c *rptClaims) each(visit func(*string)) {
	for _, s := range []*string{&c.Issuer, &c.Subject, &c.ClientID, &c.DecisionID} {
		visit(s)
	}
	if c.Confirm != nil {
		visit(&c.Confirm.jkt)
		visit(&c.Confirm.x5t)
	}
	if c.Status.List != nil {
		visit(&c.Status.List.URI)
	}
	for i := range c.Audience {
		visit(&c.Audience[i])
	}
	for i := range c.Permissions {
		p := &c.Permissions[i]
		visit(&p.ResourceID)
		for j := range p.ResourceScopes {
			visit(&p.ResourceScopes[j])
		}
	}
	for i := range c.released {
		visit(&c.released[i].Name)
		visit(&c.released[i].Value)
	}
}

func (c *rptClaims) textSize() int {
	n := 0
	c.each(func(s *string) { n += len(*s) })
	return n
}

// size is what the claims take besides themselves, in bytes.
func (c *rptClaims) size() int {
	const text, permission = int(unsafe.Sizeof("")), int(unsafe.Sizeof(oauth.Permission{}))
	n := c.textSize() + text*len(c.Audience) + permission*len(c.Permissions) + 2*text*len(c.released)
	for i := range c.Permissions {
		n += text * len(c.Permissions[i].ResourceScopes)
	}
	if c.Confirm != nil {
		n += int(unsafe.Sizeof(confirmation{}))
	}
	if c.Status.List != nil {
		n += int(unsafe.Sizeof(statuslist.Reference{}))
	}
	return n
}
