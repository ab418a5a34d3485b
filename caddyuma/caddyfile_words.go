package caddyuma

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/suggest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// What the bare words mean. A refresh is no new assessment: who has left the
// organisation keeps access until the end, so the end is a day away and not a
// month. A PCT stands for a person's claims, which change.
const (
	refreshLifetime = 24 * time.Hour
	pctLifetime     = time.Hour
)

// Values of rpt.
const (
	rptJWT    = "jwt"
	rptOpaque = "opaque"
)

// choice reads a line with one of the values; twice is an error.
func choice(to *string, values ...string) read {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if err := syntax.Text(directive, to)(d); err != nil {
			return err
		}
		if slices.Contains(values, *to) {
			return nil
		}
		hint := ""
		if near := suggest.Nearest(*to, values); near != "" {
			hint = fmt.Sprintf(", did you mean '%s'?", near)
		}
		return d.Errf("%s: %s '%s' is unknown; write %s%s", directive, word, *to, alternatives(values), hint)
	}
}

// binding reads `require`.
func binding(to *string) read { return choice(to, "dpop", "mtls") }

// alternatives joins two or more values: a, b or c.
func alternatives(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// durationOr reads a line with one duration, or none: then it is standard.
func durationOr(to *caddy.Duration, standard time.Duration) read {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if d.CountRemainingArgs() > 0 {
			if err := syntax.Duration(directive, to)(d); err != nil {
				return err
			}
			if err := uma.CheckTime(word, time.Duration(*to)); err != nil {
				return d.WrapErr(named(err))
			}
			return nil
		}
		if *to != 0 {
			return d.Errf("%s: %s is set twice", directive, word)
		}
		*to = caddy.Duration(standard)
		return nil
	}
}

// parseDocuments: a line without domains means every one, which a second line
// must not quietly narrow.
func (h *Handler) parseDocuments(d *caddyfile.Dispenser) error {
	domains := d.RemainingArgs()
	for _, text := range domains {
		if _, err := parsePattern(text); err != nil {
			return d.Errf("%s: client_metadata_documents: '%s' is no domain; write example.com or *.example.com", directive, text)
		}
	}
	if m := h.ClientMetadataDocuments; m != nil && (len(m.Domains) == 0 || len(domains) == 0) {
		return d.Errf("%s: client_metadata_documents stands there for every domain and a second time: keep one line", directive)
	}
	if h.ClientMetadataDocuments == nil {
		h.ClientMetadataDocuments = new(ClientMetadataDocuments)
	}
	h.ClientMetadataDocuments.Domains = append(h.ClientMetadataDocuments.Domains, domains...)
	return nil
}

func (h *Handler) parseRegistration(d *caddyfile.Dispenser) error {
	if h.Registration == nil {
		h.Registration = &Registration{at: here(d)}
	}
	if d.CountRemainingArgs() == 0 {
		return d.Errf("%s: %s", directive, errNoInitialAccessToken)
	}
	return syntax.List(&h.Registration.InitialAccessTokens)(d)
}

// parseEvaluate reads the guest of a policy.
func (p *Policy) parseEvaluate(d *caddyfile.Dispenser) error {
	if p.EvaluateRaw != nil {
		return d.Errf("%s: policy '%s': evaluate is set twice; write one policy for each guest", directive, p.Name)
	}
	if !d.NextArg() {
		return d.Errf("%s: policy '%s': write: evaluate <module>", directive, p.Name)
	}
	name := d.Val()
	if _, err := caddy.GetModule(guests + "." + name); err != nil {
		return d.Errf("%s: policy '%s': no guest '%s'; %s", directive, p.Name, name, installedGuests(name))
	}
	mod, err := caddyfile.UnmarshalModule(d, guests+"."+name)
	if err != nil {
		return err
	}
	if _, ok := mod.(policy.Policy); !ok {
		return d.Errf("%s: policy '%s': %w", directive, p.Name, errNoPolicy(mod))
	}
	p.EvaluateRaw = caddyconfig.JSONModuleObject(mod, "policy", name, nil)
	return nil
}

// installedGuests names the guests of this Caddy, and the one that may be meant.
func installedGuests(name string) string {
	var names []string
	for _, m := range caddy.GetModules(guests) {
		names = append(names, m.ID.Name())
	}
	if len(names) == 0 {
		return "this Caddy has none: build it with a module of the namespace " + guests
	}
	text := "this Caddy has: " + strings.Join(names, ", ")
	if near := suggest.Nearest(name, names); near != "" {
		text += fmt.Sprintf(", did you mean '%s'?", near)
	}
	return text
}
