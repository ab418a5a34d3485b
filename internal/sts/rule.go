package sts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Target names resource servers that may receive claims, and says when.
type Target struct {
	// Names are URI prefixes (origin and whole path segments), logical names,
	// or * for every URI. No name may stand in two targets.
	Names []string
	// Release are the claims released to them; nil = Config.Release.
	Release []string
	// When is a condition in CEL over what is known of the user, the target and
	// the client (cel.ReleaseInput); "" = always.
	When string
	// Consent asks the user first.
	Consent bool
	// RequireDPoP makes claims tokens only for clients that prove to hold a key.
	RequireDPoP bool
}

// rule is one Target of the configuration.
type rule struct {
	patterns    []pattern
	release     []string
	when        *cel.Release // nil = always
	consent     bool
	requireDPoP bool
}

// CheckWhen tells what is wrong with a condition: a *cel.Error.
func CheckWhen(expression string) error {
	_, err := cel.CompileRelease(expression)
	return err
}

func (s *Server) setTargets(cfg Config) (err error) {
	if s.denied, err = parsePatterns(cfg.DenyTargets, false); err != nil {
		return fmt.Errorf("deny_target: %w", err)
	}
	if err := CheckRelease(cfg.Release); err != nil {
		return err
	}
	for _, t := range cfg.Targets {
		r, err := t.rule(cfg)
		if err != nil {
			return err
		}
		s.rules = append(s.rules, r)
	}
	return s.checkUseful()
}

func (t Target) rule(cfg Config) (r rule, err error) {
	if r.patterns, err = parsePatterns(t.Names, true); err != nil {
		return r, err
	}
	if err := CheckRelease(t.Release); err != nil {
		return r, err
	}
	r.release = t.Release
	if r.release == nil {
		r.release = cfg.Release
	}
	r.release = slices.Clone(r.release)
	r.consent, r.requireDPoP = t.Consent || cfg.ConsentAll, t.RequireDPoP
	if t.When != "" {
		if r.when, err = cel.CompileRelease(t.When); err != nil {
			return r, fmt.Errorf("target '%s': when: %w", t.name(), err)
		}
	}
	return r, nil
}

// name is what messages call a target.
func (t Target) name() string {
	if len(t.Names) == 0 {
		return ""
	}
	return t.Names[0]
}

// checkUseful refuses targets that A27 says can never be one, and a second rule
// for one target: somebody who writes them expects something that will not
// happen.
func (s *Server) checkUseful() error {
	seen := map[string]bool{}
	for _, r := range s.rules {
		for _, p := range r.patterns {
			key := p.text
			if p.uri != nil {
				key = trimSlash(key)
			}
			_, isClient := s.clients[p.text]
			switch {
			case p.uri != nil && oauth.SameOrigin(p.uri, s.issuerURL):
				return fmt.Errorf("target '%s' is this server itself, which is never a target", p.text)
			case isClient:
				return fmt.Errorf("target '%s' is a client_id, which is never a target", p.text)
			case seen[key]:
				return fmt.Errorf("target '%s' is written twice; what it may receive stands in one place", p.text)
			}
			seen[key] = true
		}
	}
	return nil
}

// mostSpecific finds the one rule of a target. A broader one is never tried
// behind it, whatever it says: `target *` would else let through what the rule
// for this very target has refused, and a rule that is made stricter would make
// its target wider.
func (s *Server) mostSpecific(t target) (rule, error) {
	best, found := -1, rule{}
	for _, r := range s.rules {
		for _, p := range r.patterns {
			if rank, ok := p.covers(t); ok && rank > best {
				best, found = rank, r
			}
		}
	}
	if best < 0 {
		return rule{}, invalidTarget(errTargetUnlisted)
	}
	return found, nil
}

// Reasons why a rule refuses, for events.
var errWhen = errors.New("the condition of the target is false")

// admit asks what a rule demands besides the name of the target.
func (s *Server) admit(ctx context.Context, client clientauth.Client, req *exchangeRequest, u *user, r rule) error {
	if r.requireDPoP && req.jkt == "" {
		return invalidProof(errTargetProof)
	}
	if r.when == nil {
		return nil
	}
	holds, err := r.when.Evaluate(ctx, cel.ReleaseInput{
		Email:   policy.Email{Address: u.address.String(), Local: u.address.Local, Domain: u.address.Domain},
		Subject: u.sub, Claims: u.known(), Target: req.target.value, Client: client.ID, Now: s.now(),
	})
	switch {
	case ctx.Err() != nil:
		return oauth.Unavailable(ctx.Err())
	case err != nil: // what cannot be found out is not so (CONFORMANCE SEC-26)
		return invalidTarget(fmt.Errorf("the condition of the target failed: %w", err))
	case !holds:
		return invalidTarget(errWhen)
	}
	return nil
}

// known are all claims of the user, with the address as the claims token will
// state it.
func (u *user) known() map[string]any {
	claims := maps.Clone(u.Claims)
	if claims == nil {
		claims = map[string]any{}
	}
	claims["email"], claims["email_verified"] = u.address.String(), u.EmailVerified
	return claims
}
