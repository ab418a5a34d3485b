package oauth

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// Members reads a stranger's JSON object without making anything of it. It
// refuses what DecodeObject into a map[string]any refuses (a repeated member at
// any depth, trailing data, deep nesting, a number that is too large) and what is
// not UTF-8: decoders replace that, each in its own way. each, if not nil, gets
// the members of the object itself in order, the value as it is written; what it
// got before an error counts for nothing.
func Members(data []byte, each func(name, value []byte)) error {
	r := reader{data: data}
	r.space()
	switch {
	case !utf8.Valid(data):
		return errors.Join(ErrNotJSON, errors.New("not UTF-8"))
	case r.peek() != '{':
		return errors.Join(ErrNotJSON, errors.New("not an object"))
	case !r.object(1, each):
		return errors.Join(ErrNotJSON, errors.New("malformed, nested too deeply or with a repeated member"))
	}
	r.space()
	if r.at != len(data) {
		return errors.Join(ErrNotJSON, errors.New("there is more after the object"))
	}
	return nil
}

// names are those of one object. The first are compared one by one; a stranger
// may send thousands, and those go into a set.
type names struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

// add tells whether the name is new.
func (s *names) add(name []byte) bool {
	for _, other := range s.few[:s.n] {
		if bytes.Equal(name, other) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, there := s.many[string(name)]; there {
		return false
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
	}
	s.many[string(name)] = struct{}{}
	return true
}
