package oauth

import (
	"bytes"
	"strconv"

	"github.com/go-jose/go-jose/v4/json"
)

// reader goes through a JSON text (RFC 8259). Its methods tell whether what they
// are named after stands here, and step over it.
type reader struct {
	data []byte
	at   int
}

// peek is the next byte; at the end it is NUL, with which nothing begins.
func (r *reader) peek() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

func (r *reader) value(depth int) bool {
	switch r.peek() {
	case '{':
		return r.object(depth+1, nil)
	case '[':
		return r.array(depth + 1)
	case '"':
		_, ok := r.text()
		return ok
	case 't':
		return r.word("true")
	case 'f':
		return r.word("false")
	case 'n':
		return r.word("null")
	}
	return r.number()
}

func (r *reader) object(depth int, each func(name, value []byte)) bool {
	if depth > maxDepth {
		return false
	}
	r.at++
	r.space()
	if r.take('}') {
		return true
	}
	var seen names
	for {
		name, ok := r.name()
		if !ok || !seen.add(name) {
			return false
		}
		start := r.at
		if !r.value(depth) {
			return false
		}
		if each != nil {
			each(name, r.data[start:r.at])
		}
		if more, ok := r.next('}'); !more {
			return ok
		}
	}
}

// name is the name of a member, with the colon and the space around it.
func (r *reader) name() (name []byte, ok bool) {
	if name, ok = r.text(); !ok {
		return nil, false
	}
	r.space()
	ok = r.take(':')
	r.space()
	return name, ok
}

// next steps to what comes after a member or element: another one, or the end.
func (r *reader) next(end byte) (more, ok bool) {
	r.space()
	if r.take(end) {
		return false, true
	}
	ok = r.take(',')
	r.space()
	return ok, ok
}

func (r *reader) array(depth int) bool {
	if depth > maxDepth {
		return false
	}
	r.at++
	r.space()
	if r.take(']') {
		return true
	}
	for {
		if !r.value(depth) {
			return false
		}
		if more, ok := r.next(']'); !more {
			return ok
		}
	}
}

// text is a string, without its quotes and escapes.
func (r *reader) text() ([]byte, bool) {
	if !r.take('"') {
		return nil, false
	}
	start, escaped := r.at, false
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; {
		case c == '"':
			r.at++
			if escaped {
				return unescape(r.data[start-1 : r.at])
			}
			return r.data[start : r.at-1], true
		case c == '\\':
			escaped = true
			r.at++ // whatever is escaped does not end the string
		case c < 0x20:
			return nil, false
		}
	}
	return nil, false
}

// unescape reads a string as DecodeJSON does, so that two spellings of a name are
// one name.
func unescape(quoted []byte) ([]byte, bool) {
	var s string
	err := json.Unmarshal(quoted, &s)
	return []byte(s), err == nil
}

func (r *reader) word(word string) bool {
	if !bytes.HasPrefix(r.data[r.at:], []byte(word)) {
		return false
	}
	r.at += len(word)
	return true
}

// safeNumber is a length that a number without an exponent needs at least to be
// beyond the range.
const safeNumber = 300

func (r *reader) number() bool {
	start := r.at
	r.take('-')
	if !r.take('0') && !r.digits() {
		return false
	}
	if r.take('.') && !r.digits() {
		return false
	}
	exponent := r.take('e') || r.take('E')
	if exponent {
		_ = r.take('+') || r.take('-')
		if !r.digits() {
			return false
		}
	}
	if !exponent && r.at-start < safeNumber {
		return true
	}
	_, err := strconv.ParseFloat(string(r.data[start:r.at]), 64)
	return err == nil
}

func (r *reader) digits() bool {
	start := r.at
	for r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9' {
		r.at++
	}
	return r.at > start
}
