package caddysts

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// Target names resource servers that may receive claims.
type Target struct {
	// URI prefixes (same origin and whole path segments), logical names, or `*`
	// for every URI.
	Names []string `json:"names,omitempty"`
	// The claims released to them, instead of the `releases` outside.
	Releases []string `json:"releases,omitempty"`
}

func (t Target) settings() sts.Target {
	return sts.Target{Names: t.Names, Release: t.Releases}
}

// parseTarget reads
//
//	target <uri_prefix|name|*...> {
//		release <claims...>
//	}
func (h *Handler) parseTarget(d *caddyfile.Dispenser) error {
	var t Target
	if err := targets(&t.Names, true)(d); err != nil {
		return err
	}
	err := umaapp.Words{
		Directive: directive,
		Known:     map[string]read{"release": releases(&t.Releases)},
		Order:     []string{"release"},
		Later:     []string{"when", "consent", "require"},
	}.Read(d)
	h.Targets = append(h.Targets, t)
	return err
}
