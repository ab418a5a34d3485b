package chain

import (
	"bytes"
	"crypto/hmac"
	"strconv"
)

// entry is the link of one line.
type entry struct {
	Head
	prev  string
	keyed bool
	text  []byte // what is hashed
}

// parse reads the link of a line without its line end.
func parse(line []byte) (entry, bool) {
	start := bytes.LastIndex(line, []byte(`"chain":{"id":"`))
	if start < 1 || line[0] != '{' {
		return entry{}, false
	}
	if comma := line[start-1] == ','; comma == (start == 1) {
		return entry{}, false
	}
	r := rest(line[start:])
	var e entry
	r.skip(`"chain":{"id":"`)
	e.Chain = r.until('"')
	r.skip(`,"seq":`)
	seq := r.until(',')
	r.skip(`"prev":"`)
	e.prev = r.until('"')
	e.text = line[:len(line)-len(r)]
	e.keyed = bytes.HasPrefix(r, []byte(`,"mac":"`))
	if e.keyed {
		r.skip(`,"mac":"`)
	} else {
		r.skip(`,"hash":"`)
	}
	e.Hash = r.until('"')
	n, ok := parseSeq(seq)
	e.Seq = n
	return e, ok && string(r) == "}}" && isText(e.Chain, idLength) && isText(e.prev, hashLength) && isText(e.Hash, hashLength)
}

// rest is what is left of a line; nil once something did not fit.
type rest []byte

func (r *rest) skip(what string) {
	after, ok := bytes.CutPrefix(*r, []byte(what))
	if !ok {
		after = nil
	}
	*r = after
}

// until gives what stands before the next end, and goes behind it.
func (r *rest) until(end byte) string {
	text, after, ok := bytes.Cut(*r, []byte{end})
	if !ok {
		*r = nil
		return ""
	}
	*r = after
	return string(text)
}

// holds tells whether the hash is that of the line, with one of the keys.
func (e *entry) holds(keys [][]byte) bool {
	if !e.keyed {
		keys = [][]byte{nil}
	}
	for _, key := range keys {
		if hmac.Equal([]byte(sum(key, e.text)), []byte(e.Hash)) {
			return true
		}
	}
	return false
}

// maxTime is where the time of a line ends at the latest: encoders write it first.
const maxTime = 256

// at is the time of a line, as Caddy's JSON encoder writes it by default: a number in
// the first members. 0 = there is none.
func (e *entry) at() float64 {
	_, text, _ := bytes.Cut(e.text[:min(len(e.text), maxTime)], []byte(`"ts":`))
	number, _, _ := bytes.Cut(text, []byte{','})
	at, err := strconv.ParseFloat(string(number), 64)
	if err != nil {
		return 0
	}
	return at
}

// Last finds the last line with a link in the end of a file. An unfinished line
// behind it does not count.
func Last(text []byte) (Head, bool) {
	for {
		end := bytes.LastIndexByte(text, '\n')
		if end < 0 {
			return Head{}, false
		}
		text = text[:end]
		if e, ok := parse(text[bytes.LastIndexByte(text, '\n')+1:]); ok {
			return e.Head, true
		}
	}
}
