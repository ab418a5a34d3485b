package umaapp

import (
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Defaults of the global option.
const (
	defaultRotation = 90 * 24 * time.Hour
	defaultIssuers  = 10000
	defaultMaxAge   = 15 * time.Minute
	defaultPause    = time.Minute
)

func (a *App) fillDefaults() {
	a.Keys = orDefault(a.Keys, keysStorage)
	a.Algorithm = orDefault(a.Algorithm, "ES256")
	a.AuditSubject = orDefault(a.AuditSubject, auditPlain)
	a.AuditRequests = orDefault(a.AuditRequests, auditFirst)
	a.KeyRotation = orDefault(a.KeyRotation, caddy.Duration(defaultRotation))
	a.RefetchPause = orDefault(a.RefetchPause, caddy.Duration(defaultPause))
	if a.CacheOptions == nil {
		a.CacheOptions = new(CacheOptions)
	}
	a.CacheOptions.Issuers = orDefault(a.CacheOptions.Issuers, defaultIssuers)
	a.CacheOptions.MaxAge = orDefault(a.CacheOptions.MaxAge, caddy.Duration(defaultMaxAge))
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
