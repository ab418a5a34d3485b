package oauth

import (
	"errors"
	"strings"
)

// Param is one parameter of a challenge.
type Param struct{ Name, Value string }

// Challenge is one challenge of a WWW-Authenticate header (RFC 9110 §11.6.1).
type Challenge struct {
	Scheme string
	Params []Param
}

// Get gives the value of a parameter; names are compared without case
// (RFC 9110 §11.2).
func (c Challenge) Get(name string) string {
	for _, p := range c.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// String writes the challenge with all values as quoted strings (UMA Grant
// §3.2.1). Parameters without a value are left out.
func (c Challenge) String() string {
	var b strings.Builder
	size := len(c.Scheme)
	for _, p := range c.Params {
		size += len(p.Name) + len(p.Value) + len(`, =""`)
	}
	b.Grow(size)
	b.WriteString(c.Scheme)
	sep := " "
	for _, p := range c.Params {
		if p.Value == "" {
			continue
		}
		b.WriteString(sep)
		b.WriteString(p.Name)
		b.WriteString(`="`)
		b.WriteString(quote(p.Value))
		b.WriteString(`"`)
		sep = ", "
	}
	return b.String()
}

// quote escapes a value for a quoted string and drops control characters, so
// that no value can end the header field.
func quote(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x20, r == 0x7f:
			continue
		case r == '"', r == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isPlain tells whether a value can stand in a quoted string as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// ErrChallenge says that a WWW-Authenticate header is malformed.
var ErrChallenge = errors.New("malformed WWW-Authenticate header")

// ParseChallenges reads all WWW-Authenticate header lines of a response: one
// line may hold several challenges, several lines are one list.
func ParseChallenges(lines []string) ([]Challenge, error) {
	var all []Challenge
	for _, line := range lines {
		p := challengeParser{rest: line}
		list, err := p.challenges()
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

type challengeParser struct{ rest string }

func (p *challengeParser) challenges() ([]Challenge, error) {
	var list []Challenge
	for p.skip(" \t,"); p.rest != ""; p.skip(" \t,") {
		word := p.token()
		if word == "" || p.rest != "" && !strings.ContainsAny(p.rest[:1], " \t,=") {
			return nil, ErrChallenge
		}
		p.skip(" \t")
		if p.takes('=') && len(list) > 0 && !p.startsToken68() {
			if err := p.param(&list[len(list)-1], word); err != nil {
				return nil, err
			}
			continue
		}
		list = append(list, Challenge{Scheme: word})
		if err := p.firstParam(&list[len(list)-1]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// firstParam reads what follows a scheme: a parameter, a token68 (which is of no
// use to us) or nothing.
func (p *challengeParser) firstParam(c *Challenge) error {
	before := p.rest
	word := p.token()
	p.skip(" \t")
	if word != "" && p.takes('=') && !p.startsToken68() {
		return p.param(c, word)
	}
	p.rest = strings.TrimLeft(before, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")
	if p.rest != before {
		p.skip("=")
	}
	p.skip(" \t")
	if p.rest != "" && p.rest[0] != ',' {
		return ErrChallenge
	}
	return nil
}

// startsToken68 tells `Negotiate abc==` from `realm="x"`: behind the sign comes
// another one, a comma or nothing.
func (p *challengeParser) startsToken68() bool {
	after := strings.TrimLeft(p.rest[1:], " \t")
	return after == "" || after[0] == '=' || after[0] == ','
}

func (p *challengeParser) takes(c byte) bool { return p.rest != "" && p.rest[0] == c }

func (p *challengeParser) param(c *Challenge, name string) error {
	p.rest = strings.TrimLeft(p.rest[1:], " \t")
	value, err := p.value()
	if err != nil {
		return err
	}
	for _, have := range c.Params {
		if strings.EqualFold(have.Name, name) { // RFC 9110 §11.2: only once
			return ErrChallenge
		}
	}
	c.Params = append(c.Params, Param{Name: name, Value: value})
	p.skip(" \t")
	if p.rest != "" && p.rest[0] != ',' {
		return ErrChallenge
	}
	return nil
}

func (p *challengeParser) value() (string, error) {
	if !p.takes('"') {
		if word := p.token(); word != "" {
			return word, nil
		}
		return "", ErrChallenge
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\':
			if i++; i == len(p.rest) {
				return "", ErrChallenge
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", ErrChallenge
}

func (p *challengeParser) skip(set string) { p.rest = strings.TrimLeft(p.rest, set) }

func (p *challengeParser) token() string {
	end := 0
	for end < len(p.rest) && isTokenChar(p.rest[end]) {
		end++
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// isTokenChar tells characters of a token (RFC 9110 §5.6.2).
func isTokenChar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
