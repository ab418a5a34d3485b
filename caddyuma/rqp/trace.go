package rqp

import (
	"fmt"
	"net/url"
)

// Step is something that happened in the dance.
type Step struct {
	// Number is 1 to 9 as in the diagram; 0 is preparation (metadata).
	Number int
	// Text says what happened; tokens and tickets are shortened.
	Text string
}

// String gives "4. client -> bob.example: token exchange …".
func (s Step) String() string {
	if s.Number == 0 {
		return "   " + s.Text
	}
	return fmt.Sprintf("%d. %s", s.Number, s.Text)
}

func (c *Client) trace(number int, format string, args ...any) {
	if c.cfg.Trace != nil {
		c.cfg.Trace(Step{Number: number, Text: printable(fmt.Sprintf(format, args...))})
	}
}

// short is what may be shown of a ticket or token.
func short(s string) string {
	const shown = 8
	if len(s) <= 2*shown {
		return "…" // too short to show a part of it
	}
	return plain(s[:shown], shown) + "…"
}

// where names a URL without its query, which may be private.
func where(u *url.URL) string { return plain(originOf(u)+u.EscapedPath(), 200) }
