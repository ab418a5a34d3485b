package syntax

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/limit"
)

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
