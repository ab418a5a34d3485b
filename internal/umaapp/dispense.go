package umaapp

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Words reads the lines of the block that follows, with the words of one level
// and those that a later version will have.
type Words struct {
	Directive string
	Known     map[string]func(*caddyfile.Dispenser) error
	// Order lists the known words for messages.
	Order []string
	Later []string
}

// Read reads the block that belongs to the current line.
func (w Words) Read(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := w.line(d); err != nil {
			return err
		}
	}
	return nil
}

func (w Words) line(d *caddyfile.Dispenser) error {
	if read, ok := w.Known[d.Val()]; ok {
		return read(d)
	}
	for _, later := range w.Later {
		if d.Val() == later {
			return NotYet(d, w.Directive)
		}
	}
	return Unknown(d, w.Directive, w.Order...)
}

// List reads a line whose words are appended; at least one.
func List(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		*to = append(*to, args...)
		return nil
	}
}

// Flag reads a line that is one bare word.
func Flag(to *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if d.NextArg() {
			return d.ArgErr()
		}
		*to = true
		return nil
	}
}

// Off reads `<word> off`, for what is on by default.
func Off(directive string, to *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if args := d.RemainingArgs(); len(args) != 1 || args[0] != "off" {
			return d.Errf("%s: %s is on by default; write '%s off' or leave the line out", directive, word, word)
		}
		*to = true
		return nil
	}
}

// Text reads a line with one argument; twice is an error.
func Text(directive string, to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word, args := d.Val(), d.RemainingArgs()
		if len(args) != 1 || args[0] == "" {
			return d.ArgErr()
		}
		if *to != "" {
			return d.Errf("%s: %s is set twice", directive, word)
		}
		*to = args[0]
		return nil
	}
}

// Duration reads a line with one duration; twice is an error.
func Duration(directive string, to *caddy.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word, args := d.Val(), d.RemainingArgs()
		if len(args) != 1 {
			return d.ArgErr()
		}
		if *to != 0 {
			return d.Errf("%s: %s is set twice", directive, word)
		}
		value, err := caddy.ParseDuration(args[0])
		if err != nil || value <= 0 {
			return d.Errf("%s: %s: '%s' is not a duration such as 5m", directive, word, args[0])
		}
		*to = caddy.Duration(value)
		return nil
	}
}

// RateLimit is a number of events in a window of time.
type RateLimit struct {
	// How many events.
	Limit int `json:"limit,omitempty"`
	// In which time.
	Window caddy.Duration `json:"window,omitempty"`
	// Whether there is no limit at all.
	Off bool `json:"off,omitempty"`
}

// limitedSources is how many sources one limiter remembers.
const limitedSources = 100_000

// Limiter makes the limiter, with n in a window if l is nil.
func (l *RateLimit) Limiter(n int, window time.Duration) *limit.Limiter {
	if l != nil {
		n, window = l.Limit, time.Duration(l.Window)
	}
	if l != nil && l.Off {
		return nil
	}
	return limit.New(n, window, limitedSources, time.Now)
}

// Times is a limit that is n times as wide.
func (l *RateLimit) Times(n int) *RateLimit {
	if l == nil {
		return nil
	}
	wider := *l
	wider.Limit *= n
	return &wider
}

// Rate reads `<n> <window>` or `off`; twice is an error.
func Rate(directive string, to **RateLimit) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word, args := d.Val(), d.RemainingArgs()
		if *to != nil {
			return d.Errf("%s: rate_limit %s is set twice", directive, word)
		}
		if len(args) == 1 && args[0] == "off" {
			*to = &RateLimit{Off: true}
			return nil
		}
		if len(args) != 2 {
			return d.ArgErr()
		}
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return d.Errf("%s: '%s' is not a number of requests", directive, args[0])
		}
		window, err := caddy.ParseDuration(args[1])
		if err != nil || window <= 0 {
			return d.Errf("%s: '%s' is not a duration such as 1m", directive, args[1])
		}
		*to = &RateLimit{Limit: n, Window: caddy.Duration(window)}
		return nil
	}
}

// handler is a module that a directive sets up.
type handler interface {
	caddyhttp.MiddlewareHandler
	// Unmarshal reads the directive; eaten is what was read as a matcher.
	Unmarshal(d *caddyfile.Dispenser, eaten string) error
}

// RegisterEndpoints registers a directive whose handler serves endpoints, before
// basic_auth: neither a catch-all nor the protection of the same site may
// swallow the token endpoint. It does what RegisterHandlerDirective does, but
// remembers what was read as a matcher, for the error message.
func RegisterEndpoints[T handler](directive string, create func() T) {
	httpcaddyfile.RegisterDirective(directive, func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		if !h.Next() {
			return nil, h.ArgErr()
		}
		eaten := ""
		if peek := *h.Dispenser; peek.NextArg() {
			eaten = peek.Val()
		}
		matchers, err := h.ExtractMatcherSet()
		if err != nil {
			return nil, err
		}
		if matchers == nil {
			eaten = ""
		}
		m := create()
		if err := m.Unmarshal(h.Dispenser, eaten); err != nil {
			return nil, err
		}
		return h.NewRoute(matchers, m), nil
	})
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "basic_auth")
}

// Issuer reads the rest of the line of a directive: its issuer and nothing else.
// role is what the issuer is of, such as `UMA server`.
func Issuer(d *caddyfile.Dispenser, directive, role, eaten string) (string, error) {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0 && eaten != "":
		return "", d.Errf("%s: the issuer of the %s is missing ('%s' was read as a request matcher); write: %s %s https://as.example.com", directive, role, eaten, directive, eaten)
	case len(args) == 0:
		return "", d.Errf("%s: the issuer of the %s is missing; write: %s https://as.example.com", directive, role, directive)
	case len(args) > 1:
		return "", d.Errf("%s: only the issuer stands on this line, '%s' is too much", directive, args[1])
	}
	if _, err := oauth.ParseIssuer(args[0]); err != nil {
		return "", d.Errf("%s: issuer '%s' %w", directive, args[0], err)
	}
	return args[0], nil
}
