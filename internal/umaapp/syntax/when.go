package syntax

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/cel"
)

// When reads the rest of the line, or one back-quoted text, as CEL and checks it
// at once, so that a mistake names file, line and column. what is whose condition
// it is, such as `policy 'p'`; twice is an error.
func When(d *caddyfile.Dispenser, what string, to *string, check func(string) error) error {
	if *to != "" {
		return d.Errf("%s: when is set twice; join the conditions with &&", what)
	}
	line := d.Line()
	args := d.RemainingArgsRaw()
	if len(args) == 0 {
		return d.ArgErr()
	}
	*to = strings.Join(args, " ")
	if len(args) == 1 {
		*to = strings.Trim(*to, "`")
	}
	if err := Caret(check(*to)); err != nil {
		return fmt.Errorf("%s, %s:%d: %w", what, d.File(), line, err)
	}
	return nil
}

// Caret puts the lines that show where a mistake is behind an error of CEL.
func Caret(err error) error {
	var e *cel.Error
	if errors.As(err, &e) && e.Snippet != "" {
		return fmt.Errorf("%w\n%s", err, e.Snippet)
	}
	return err
}
