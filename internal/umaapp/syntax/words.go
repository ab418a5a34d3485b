// Package syntax is how our directives read what people write: blocks of words, lines
// with a flag, a text or a duration, conditions and placeholders of secrets. So the
// same mistake has the same message in each of them.
package syntax

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

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
