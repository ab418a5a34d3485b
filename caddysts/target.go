package caddysts

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Target names resource servers that may receive claims.
type Target struct {
	// URI prefixes (same origin and whole path segments), logical names, or `*`
	// for every URI. No name may stand in two targets.
	Names []string `json:"names,omitempty"`
	// The claims released to them, instead of the `releases` outside.
	Releases []string `json:"releases,omitempty"`
	// A condition in CEL over `claims`, `email`, `sub`, `target`, `client` and
	// `now`. If it is false or cannot be evaluated, nothing is released, and no
	// broader target is tried. Default: none.
	When string `json:"when,omitempty"`
	// Whether the user is asked before anything is released. It needs the embedded
	// provider.
	Consent bool `json:"consent,omitempty"`
	// `dpop`: claims tokens for them are always bound to a key of the client.
	// Default: only if the client, or its access token, shows one.
	Require string `json:"require,omitempty"`
}

// requireDPoP is the only value of require.
const requireDPoP = "dpop"

func (t Target) settings() (sts.Target, error) {
	if t.Require != "" && t.Require != requireDPoP {
		return sts.Target{}, fmt.Errorf("target '%s': require '%s' is unknown; write dpop", t.name(), t.Require)
	}
	return sts.Target{
		Names: t.Names, Release: t.Releases, When: t.When, Consent: t.Consent, RequireDPoP: t.Require == requireDPoP,
	}, nil
}

// name is what messages call a target.
func (t Target) name() string {
	if len(t.Names) == 0 {
		return ""
	}
	return t.Names[0]
}

// parseTarget reads
//
//	target <uri_prefix|name|*...> {
//		release <claims...>
//		when    <CEL>
//		consent
//		require dpop
//	}
func (h *Handler) parseTarget(d *caddyfile.Dispenser) error {
	var t Target
	if err := targets(&t.Names, true)(d); err != nil {
		return err
	}
	err := syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"release": releases(&t.Releases),
			"when":    t.parseWhen,
			"consent": syntax.Flag(&t.Consent),
			"require": t.parseRequire,
		},
		Order: []string{"release", "when", "consent", "require"},
	}.Read(d)
	h.Targets = append(h.Targets, t)
	return err
}

// parseWhen reads the condition and compiles it at once.
func (t *Target) parseWhen(d *caddyfile.Dispenser) error {
	return syntax.When(d, fmt.Sprintf("target '%s'", t.name()), &t.When, sts.CheckWhen)
}

func (t *Target) parseRequire(d *caddyfile.Dispenser) error {
	if err := syntax.Text(directive, &t.Require)(d); err != nil {
		return err
	}
	if t.Require != requireDPoP {
		return d.Errf("%s: require '%s' is unknown; write dpop", directive, t.Require)
	}
	return nil
}

// checkConsent: users of other people's providers cannot be asked here.
func (h *Handler) checkConsent() error {
	for _, t := range h.Targets {
		if t.Consent && h.Provider == nil {
			return fmt.Errorf("target '%s': %w", t.name(), sts.ErrConsent)
		}
	}
	return nil
}
