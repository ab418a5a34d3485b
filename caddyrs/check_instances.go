package caddyrs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// mostInstances is the highest max_instances that the authorization server takes.
const mostInstances = 100_000

// checkInstances checks patterns and owners. The parser has done so with most of it,
// JSON has not.
func (h *Handler) checkInstances() error {
	var err error
	dynamic := len(h.Resources) == 0 && isOwnerTemplate(h.Owner)
	if dynamic {
		_, err = parseOwner(h.Owner, nil)
	}
	for _, r := range h.Resources {
		if r == nil || r.Name == "" {
			return errors.New("a resource has no name")
		}
		err = errors.Join(err, h.checkResource(r))
		dynamic = dynamic || len(r.Patterns) > 0 || isOwnerTemplate(h.ownerFor(r))
	}
	switch {
	case err != nil:
		return err
	case h.MaxInstances < 0 || h.MaxInstances > mostInstances:
		return fmt.Errorf("max_instances must be a number from 1 to %d", mostInstances)
	case h.MaxInstances > 0 && !dynamic:
		return errors.New("max_instances is for resources with captures; write one, such as: resource photo /users/:user/photos/:id")
	}
	return nil
}

func (h *Handler) checkResource(r *Resource) error {
	if len(r.Patterns) > 0 && (len(r.MatcherSetsRaw) > 0 || len(r.matchers) > 0) {
		return fmt.Errorf("resource '%s': captures and matchers cannot stand together", r.Name)
	}
	for _, path := range r.Patterns {
		if _, err := newPattern(path); err != nil {
			return fmt.Errorf("resource '%s': '%s' %w", r.Name, path, err)
		}
		if err := sameCaptures(r, path); err != nil {
			return err
		}
	}
	if owner := h.ownerFor(r); isOwnerTemplate(owner) {
		if _, err := parseOwner(owner, r.captures()); err != nil {
			return fmt.Errorf("resource '%s': %w", r.Name, err)
		}
	}
	return nil
}

// sameCaptures: all paths of a resource lead to the same values.
func sameCaptures(r *Resource, path string) error {
	names := captureNames(path)
	for _, name := range r.captures() {
		if !slices.Contains(names, name) {
			return fmt.Errorf("resource '%s': '%s' lacks the capture :%s of '%s'", r.Name, path, name, r.Patterns[0])
		}
	}
	if len(names) > len(r.captures()) {
		return fmt.Errorf("resource '%s': '%s' has captures that '%s' lacks", r.Name, path, r.Patterns[0])
	}
	return nil
}

// captures are the names of the captures of a resource.
func (r *Resource) captures() []string {
	if len(r.Patterns) == 0 {
		return nil
	}
	return captureNames(r.Patterns[0])
}

// ownerFor is the owner that is configured for a resource, perhaps a template.
func (h *Handler) ownerFor(r *Resource) string {
	if r.Owner != "" {
		return r.Owner
	}
	return h.Owner
}

// provisionInstances compiles what has been checked.
func (h *Handler) provisionInstances() error {
	if len(h.Resources) == 0 && isOwnerTemplate(h.Owner) {
		parts, err := parseOwner(h.Owner, nil)
		h.owners = [][]ownerPart{parts}
		return err
	}
	h.owners = make([][]ownerPart, len(h.Resources))
	for i, r := range h.Resources {
		for _, path := range r.Patterns {
			p, err := newPattern(path)
			if err != nil {
				return err
			}
			r.patterns, h.byPath = append(r.patterns, p), true
		}
		if owner := h.ownerFor(r); isOwnerTemplate(owner) {
			var err error
			if h.owners[i], err = parseOwner(owner, r.captures()); err != nil {
				return err
			}
		}
	}
	return nil
}

// engineInstances tells the engine about patterns and owners.
func (h *Handler) engineInstances(cfg *rs.Config) {
	cfg.MaxInstances = h.MaxInstances
	if isOwnerTemplate(h.Owner) {
		cfg.Owner = ""
		if len(h.Resources) == 0 {
			cfg.Resources = []rs.Resource{{OwnerTemplate: h.Owner}}
		}
	}
	for i, r := range h.Resources {
		to := &cfg.Resources[i]
		to.Captures = r.captures()
		if owner := h.ownerFor(r); isOwnerTemplate(owner) {
			to.Owner, to.OwnerTemplate = "", owner
		}
	}
}
