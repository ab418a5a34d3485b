package caddysts

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Lifetime says how long tokens live.
type Lifetime struct {
	// Of claims tokens; at most 5m. Default: 2m.
	ClaimsToken caddy.Duration `json:"claims_token,omitempty"`
	// Of access tokens of the embedded provider. Default: 10m.
	AccessToken caddy.Duration `json:"access_token,omitempty"`
	// Of all refresh tokens of the embedded provider that come of one login; each is
	// good for one use. Default: 30d.
	RefreshToken caddy.Duration `json:"refresh_token,omitempty"`
}

// RateLimits bounds how often something may happen.
type RateLimits struct {
	// Token exchanges per user. Each client that authenticates, and each address
	// with a public one, has ten times as many attempts. Default: 60 in 1m.
	Exchange *syntax.RateLimit `json:"exchange,omitempty"`
	// Attempts to log in per client IP and per user. Default: 10 in 1m.
	Login *syntax.RateLimit `json:"login,omitempty"`
}

// Defaults that are not the engines' own.
const (
	defaultClient   = "caddy-uma"
	defaultRedirect = "http://127.0.0.1/callback"

	defaultAccess  = 10 * time.Minute
	defaultRefresh = 30 * 24 * time.Hour
	defaultSession = 12 * time.Hour
	defaultLeeway  = time.Minute
)

// or gives d, or its default.
func or(d caddy.Duration, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return time.Duration(d)
}
