package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/suggest"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Directive is the name of the handler in a Caddyfile.
const Directive = "uma_health"

// Unmarshal reads
//
//	uma_health [<matcher>] {
//		fail <checks...>
//		warn <checks...>
//		details
//	}
func (h *Handler) Unmarshal(d *caddyfile.Dispenser, _ string) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("%s: '%s' is too much; this directive takes a matcher and nothing else on its line", Directive, d.Val())
	}
	block := syntax.Words{
		Directive: Directive,
		Known: map[string]func(*caddyfile.Dispenser) error{
			"fail": syntax.List(&h.Fail), "warn": syntax.List(&h.Warn), "details": syntax.Flag(&h.Details),
		},
		Order: []string{"details", "fail", "warn"},
	}
	if err := block.Read(d); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// check holds JSON to what the Caddyfile parser lets through, too.
func (h *Handler) check() error {
	for _, name := range slices.Concat(h.Fail, h.Warn) {
		if err := checkName(name); err != nil {
			return err
		}
	}
	for _, name := range h.Fail {
		if slices.Contains(h.Warn, name) {
			return fmt.Errorf("%s: '%s' stands behind both fail and warn", Directive, name)
		}
	}
	return nil
}

func checkName(name string) error {
	var known []string
	for _, w := range words {
		known = append(known, w.name)
	}
	if slices.Contains(known, name) {
		return nil
	}
	if near := suggest.Nearest(name, known); near != "" {
		return fmt.Errorf("%s: there is no check '%s', did you mean '%s'?", Directive, name, near)
	}
	return errors.New(Directive + ": there is no check '" + name + "'; known: " + strings.Join(known, ", "))
}

var _ syntax.Handler = (*Handler)(nil)
