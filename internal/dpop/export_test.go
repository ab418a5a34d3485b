package dpop

import "time"

// Use remembers a proof without verifying one.
func Use(r *Replays, jti, source string, until time.Time) error {
	return r.use(identity("", jti, ""), source, until)
}

// Normalize is how URIs are compared.
func Normalize(uri string) (string, error) { return normalize(uri) }
