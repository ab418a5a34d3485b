// Package limit bounds how often a source may ask, in bounded memory.
package limit

import "time"

type Limiter struct{}

// New allows n per window and source, remembering at most size sources; n <= 0
// allows everything (a nil *Limiter too).
func New(n int, window time.Duration, size int, now func() time.Time) *Limiter { panic("later") }

// Allow takes one; if not, it says how long to wait.
func (l *Limiter) Allow(source string) (ok bool, wait time.Duration) { panic("later") }

// Source is the key of an IP address: IPv4 as it is, IPv6 per /64.
func Source(ip string) string { panic("later") }
