package umaapp

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("uma", parseOption)
	syntax.RegisterEndpoints(health.Directive, func() *health.Handler { return new(health.Handler) })
}

// parseOption reads the global option
//
//	uma {
//		store             bolt [<path>] | postgres <dsn>
//		keys              storage | store <key_encryption_key> [<older_key> ...]
//		key_rotation      <duration>|off
//		algorithm         ES256|EdDSA|PS256|RS256
//		trust_pool        <module> ...
//		trust_internal_ca [<ca_id>]
//		connect_to        <host>:<port> <addr>:<port>
//		cache             <n> [<max_age>]
//		refetch_pause     <duration>
//		audit_subject     plain|hash|off
//		audit_requests    first|all
//	}
//
// A second block adds to the first.
func parseOption(d *caddyfile.Dispenser, existing any) (any, error) {
	a := new(App)
	if before, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(before.Value, a); err != nil {
			return nil, err
		}
	}
	d.Next() // the option's name
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	words := a.words()
	block := syntax.Words{Directive: "uma", Known: words, Order: slices.Sorted(maps.Keys(words)), Later: []string{"network_proxy"}}
	if err := block.Read(d); err != nil {
		return nil, err
	}
	if a.TrustPoolRaw != nil && a.TrustInternalCA != "" {
		return nil, d.WrapErr(errTwoTrusts)
	}
	return httpcaddyfile.App{Name: "uma", Value: caddyconfig.JSON(a, nil)}, nil
}

// words are the subdirectives of this version.
func (a *App) words() map[string]func(*caddyfile.Dispenser) error {
	return map[string]func(*caddyfile.Dispenser) error{
		"store":             a.parseStore,
		"keys":              a.parseKeys,
		"key_rotation":      a.parseRotation,
		"algorithm":         oneOf(&a.Algorithm, checkAlgorithm),
		"trust_pool":        a.parseTrustPool,
		"trust_internal_ca": a.parseInternalCA,
		"connect_to":        a.parseConnectTo,
		"cache":             a.parseCache,
		"refetch_pause":     syntax.Duration("uma", &a.RefetchPause),
		"audit_subject":     oneOf(&a.AuditSubject, checkAuditSubject),
		"audit_requests":    oneOf(&a.AuditRequests, checkAuditRequests),
	}
}

// oneOf reads a line with one argument that passes check; twice is an error.
func oneOf(to *string, check func(string) error) func(*caddyfile.Dispenser) error {
	read := syntax.Text("uma", to)
	return func(d *caddyfile.Dispenser) error {
		if err := read(d); err != nil {
			return err
		}
		if err := check(*to); err != nil {
			return d.WrapErr(err)
		}
		return nil
	}
}

func (a *App) parseStore(d *caddyfile.Dispenser) error {
	if a.StoreRaw != nil {
		return twice(d)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	if _, err := caddy.GetModule("uma.stores." + name); err != nil {
		if name == "postgres" {
			return d.Err("uma: this binary has no store postgres; build it with github.com/caddy-uma/caddy-uma/caddyuma/postgres")
		}
		return d.Errf("uma: there is no store '%s'; write: store bolt, or store postgres", name)
	}
	mod, err := caddyfile.UnmarshalModule(d, "uma.stores."+name)
	if err != nil {
		return err
	}
	a.StoreRaw = caddyconfig.JSONModuleObject(mod, "module", name, nil)
	return nil
}

func (a *App) parseKeys(d *caddyfile.Dispenser) error {
	if a.Keys != "" {
		return twice(d)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	a.Keys, a.KeyEncryptionKeys = d.Val(), d.RemainingArgs()
	if err := checkKeys(a.Keys, a.KeyEncryptionKeys); err != nil {
		return d.WrapErr(err)
	}
	return noMore(d)
}

func (a *App) parseRotation(d *caddyfile.Dispenser) error {
	if a.KeyRotation != 0 {
		return twice(d)
	}
	if peek := *d; peek.NextArg() && peek.Val() == "off" {
		a.KeyRotation = -1
		d.NextArg()
		return noMore(d)
	}
	return syntax.Duration("uma", &a.KeyRotation)(d)
}

func (a *App) parseTrustPool(d *caddyfile.Dispenser) error {
	if a.TrustPoolRaw != nil {
		return twice(d)
	}
	raw, err := ParseTrustPool(d)
	a.TrustPoolRaw = raw
	return err
}

// ParseTrustPool reads the arguments and block of a trust_pool line; the field it
// fills has the tag `namespace=tls.ca_pool.source inline_key=provider`.
func ParseTrustPool(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	name := d.Val()
	mod, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(mod, "provider", name, nil), nil
}

func (a *App) parseInternalCA(d *caddyfile.Dispenser) error {
	if a.TrustInternalCA != "" {
		return twice(d)
	}
	a.TrustInternalCA = "local"
	if d.NextArg() {
		a.TrustInternalCA = d.Val()
	}
	return noMore(d)
}

func (a *App) parseConnectTo(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.ArgErr()
	}
	from, to := strings.ToLower(args[0]), args[1]
	if err := checkConnectTo(from, to); err != nil {
		return d.WrapErr(err)
	}
	if before, ok := a.ConnectTo[from]; ok && before != to {
		return d.Errf("uma: connect_to %s leads to both %s and %s", from, before, to)
	}
	if a.ConnectTo == nil {
		a.ConnectTo = make(map[string]string)
	}
	a.ConnectTo[from] = to
	return nil
}

func (a *App) parseCache(d *caddyfile.Dispenser) error {
	if a.CacheOptions != nil {
		return twice(d)
	}
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return d.Errf("uma: cache '%s' must be a number of issuers, at least 1", args[0])
	}
	a.CacheOptions = &CacheOptions{Issuers: n}
	if len(args) == 1 {
		return nil
	}
	age, err := caddy.ParseDuration(args[1])
	if err != nil || age <= 0 {
		return d.Errf("uma: cache: '%s' is not a duration such as 15m", args[1])
	}
	a.CacheOptions.MaxAge = caddy.Duration(age)
	return nil
}

// noMore is an error if a line has spare arguments or a block.
func noMore(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("uma: unexpected block")
	}
	return nil
}

func twice(d *caddyfile.Dispenser) error {
	return d.Errf("uma: %s is set twice", d.Val())
}
