package caddyrs

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

const directive = "uma_protect"

// parser reads one directive.
type parser struct {
	httpcaddyfile.Helper
	h             Handler
	lines         map[string]int // where a scalar was written
	resourceLines []int
	scopeLines    map[scopeKey]int
}

func (p *parser) parse(isMatcher bool, matcherText string) error {
	p.scopeLines = map[scopeKey]int{}
	p.Next()
	if !p.NextArg() {
		if isMatcher {
			return p.Errf("uma_protect: the issuer of the UMA server is missing ('%s' was read as a request matcher); write: uma_protect %s https://as.example.com", matcherText, matcherText)
		}
		return p.Errf("uma_protect: the issuer of the UMA server is missing; write: uma_protect https://as.example.com")
	}
	p.h.Issuer = p.Val()
	if err := checkIssuer(p.h.Issuer); err != nil {
		return p.Errf("uma_protect: %v", err)
	}
	if p.NextArg() {
		return p.ArgErr()
	}
	start := *p.Dispenser // for errors about the directive as a whole
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		if err := p.word(); err != nil {
			return err
		}
	}
	return p.finish(&start)
}

// finish does the checks that need the whole block.
func (p *parser) finish(at *caddyfile.Dispenser) error {
	if p.h.ClientID == "" {
		return at.Errf("uma_protect: %v", missingClientID(p.h.Issuer))
	}
	if err := p.checkReach(); err != nil {
		return err
	}
	if err := p.checkCredentials(); err != nil {
		return at.Errf("uma_protect: %v", err)
	}
	if err := p.h.checkSettings(); err != nil {
		return at.Errf("uma_protect: %v", err)
	}
	if err := p.h.engineConfig().Validate(); err != nil {
		return at.Errf("uma_protect: %v", err)
	}
	return nil
}

// words are the subdirectives of this version.
func (p *parser) words() map[string]func() error {
	h := &p.h
	return map[string]func() error{
		"client_id":             func() error { return p.scalar(&h.ClientID) },
		"client_secret":         func() error { return p.scalar(&h.ClientSecret) },
		"private_key_jwt":       func() error { return p.scalar(&h.PrivateKeyJWT) },
		"tls_client_auth":       p.tlsClientAuth,
		"resource_uri":          func() error { return p.scalar(&h.ResourceURI) },
		"owner":                 func() error { return p.scalar(&h.Owner) },
		"resource":              p.resource,
		"delete_undeclared":     func() error { return p.flag(&h.DeleteUndeclared) },
		"scope":                 func() error { return p.scope("", &h.Scopes) },
		"require":               func() error { return p.binding(&h.Require) },
		"dpop_nonces":           func() error { return p.flag(&h.DPoPNonces) },
		"check":                 p.check,
		"revocation":            p.revocation,
		"max_rpt_lifetime":      func() error { return p.duration(&h.MaxRPTLifetime, false) },
		"leeway":                func() error { return p.duration(&h.Leeway, true) },
		"cache":                 func() error { return p.positive(&h.Cache) },
		"max_instances":         func() error { return p.positive(&h.MaxInstances) },
		"header_up":             p.headerUp,
		"assertion":             p.assertion,
		"forward_authorization": func() error { return p.flag(&h.ForwardAuthorization) },
		"cors":                  p.cors,
		"rate_limit":            p.rateLimit,
		"errors":                func() error { return p.only(&h.Errors, "pass") },
		"metadata":              func() error { return p.only(&h.Metadata, metadataOff) },
		"realm":                 func() error { return p.scalar(&h.Realm) },
		"trust_pool":            p.trustPool,
	}
}

func (p *parser) word() error {
	words := p.words()
	if parse, ok := words[p.Val()]; ok {
		return parse()
	}
	return syntax.Unknown(p.Dispenser, directive, slices.Sorted(maps.Keys(words))...)
}

// once refuses a second line of a word that has one value.
func (p *parser) once(word string) error {
	if line, again := p.lines[word]; again {
		return p.Errf("uma_protect: '%s' is given twice (line %d and line %d)", word, line, p.Line())
	}
	p.lines[word] = p.Line()
	return nil
}

// one reads the only argument of the current word.
func (p *parser) one() (string, error) {
	args := p.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return "", p.ArgErr()
	}
	return args[0], nil
}

func (p *parser) scalar(to *string) error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	value, err := p.one()
	*to = value
	return err
}

// only reads a word with one possible argument.
func (p *parser) only(to *string, value string) error {
	word := p.Val()
	if err := p.scalar(to); err != nil {
		return err
	}
	if *to != value {
		return p.Errf("uma_protect: %s can only be followed by %s", word, value)
	}
	return nil
}

func (p *parser) duration(to *caddy.Duration, zero bool) error {
	word := p.Val()
	if err := p.once(word); err != nil {
		return err
	}
	text, err := p.one()
	if err != nil {
		return err
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d < 0 || d == 0 && !zero {
		return p.Errf("uma_protect: %s: '%s' is no positive duration", word, text)
	}
	if d == 0 {
		d = -1 // none, as opposed to the default
	}
	*to = caddy.Duration(d)
	return nil
}

func (p *parser) positive(to *int) error {
	word := p.Val()
	if err := p.once(word); err != nil {
		return err
	}
	text, err := p.one()
	if err != nil {
		return err
	}
	if *to, err = strconv.Atoi(text); err != nil || *to < 1 {
		return p.Errf("uma_protect: %s: '%s' is no positive number", word, text)
	}
	return nil
}

func (p *parser) headerUp() error {
	args := p.RemainingArgs()
	if len(args) != 2 {
		return p.ArgErr()
	}
	field := HeaderField{Field: args[0], Value: args[1]}
	if err := checkHeaderUp([]HeaderField{field}); err != nil {
		return p.Errf("uma_protect: %v", err)
	}
	p.h.HeaderUp = append(p.h.HeaderUp, field)
	return nil
}

// flag reads a word that has no argument.
func (p *parser) flag(to *bool) error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	if p.NextArg() {
		return p.ArgErr()
	}
	*to = true
	return nil
}

func (p *parser) cors() error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return p.ArgErr()
	}
	p.h.CORS = append(p.h.CORS, args...)
	if err := checkCORS(p.h.CORS); err != nil {
		return p.Errf("uma_protect: %v", err)
	}
	return nil
}

func (p *parser) rateLimit() error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	args := p.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		p.h.RateLimit = &RateLimit{Tickets: -1}
		return nil
	}
	if len(args) != 2 {
		return p.ArgErr()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return p.Errf("uma_protect: rate_limit: '%s' is no positive number", args[0])
	}
	window, err := caddy.ParseDuration(args[1])
	if err != nil || window <= 0 {
		return p.Errf("uma_protect: rate_limit: '%s' is no positive duration", args[1])
	}
	p.h.RateLimit = &RateLimit{Tickets: n, Window: caddy.Duration(window)}
	return nil
}

func (p *parser) trustPool() error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	if !p.NextArg() {
		return p.ArgErr()
	}
	name := p.Val()
	mod, err := caddyfile.UnmarshalModule(p.Dispenser, "tls.ca_pool.source."+strings.ToLower(name))
	if err != nil {
		return err
	}
	p.h.TrustPoolRaw = caddyconfig.JSONModuleObject(mod, "provider", name, nil)
	return nil
}
