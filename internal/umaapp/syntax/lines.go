package syntax

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

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
