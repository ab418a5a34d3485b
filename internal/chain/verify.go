package chain

import (
	"errors"
	"fmt"
	"io"
)

// Bounds of what a verifier remembers, whatever it reads.
const (
	maxChains   = 1024
	maxWaiting  = 65536 // lines that came before their turn, of all chains
	maxAhead    = 16384 // and of one chain
	maxRecent   = 64    // hashes of a chain that another one may begin behind
	maxProblems = 20    // that are described; all are counted
)

// Verifier reads logs and finds what is not as it was written. Lines may stand a
// little out of order, as lines do that several requests write at once; lines of
// several chains may be mixed, if all of them but the first are there from their
// beginning.
type Verifier struct {
	keys    [][]byte
	anchors map[Head]bool // whether it was found

	file    string
	number  int // of the line in the file
	lines   int
	chains  map[string]*seen
	order   []string
	waiting int
	found   []Problem
	count   int
	keyless int
	notes   []string
}

// Problem is something that is not as it was written.
type Problem struct {
	File string
	Line int // 0 = not of one line
	What string
}

// String says where and what.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.What
	case p.Line == 0:
		return p.File + ": " + p.What
	default:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
	}
}

// Report is what came of a verification.
type Report struct {
	Lines  int
	Chains []Span
	// Problems are the first ones, Count is the number of all, Keyless of those that
	// only say that a line has a MAC and there was no key to check it with.
	Problems []Problem
	Count    int
	Keyless  int
	// Notes say what is no fault and limits what was proved.
	Notes []string
}

// Span is what was there of one chain.
type Span struct {
	First uint64
	Last  Head
	Lines int
	Keyed bool
}

// seen is what is known of one chain.
type seen struct {
	first   uint64 // 0 = no line had its turn yet
	head    Head
	lines   int
	keyed   bool
	latest  float64 // of the times of its lines, in the unit of the encoder; 0 = unknown
	held    bool    // one of the keys fits at least one line
	waiting map[uint64]early
	turns   turns
	recent  []string
}

// early is a line that came before its turn.
type early struct {
	Head
	prev, file string
	number     int
	at         float64
}

// NewVerifier makes one. Without keys, chains without a key are checked; with keys
// a line without a MAC is a problem. Each anchor must be found.
func NewVerifier(keys [][]byte, anchors []Head) *Verifier {
	v := &Verifier{keys: keys, anchors: map[Head]bool{}, chains: map[string]*seen{}}
	for _, a := range anchors {
		v.anchors[a] = false
	}
	return v
}

// Read checks a file; several are read in the order of their lines. name is for
// the report.
func (v *Verifier) Read(name string, r io.Reader) {
	v.file, v.number = name, 0
	in, err := newLines(r)
	if err != nil {
		v.problem("cannot be read: %v", err)
		return
	}
	for {
		line, whole, err := in.next()
		if errors.Is(err, io.EOF) {
			return
		}
		v.number++
		switch {
		case errors.Is(err, errLong):
			v.problem("%v", err)
		case err != nil:
			v.problem("cannot be read any further: %v", err)
			return
		case len(line) > 0:
			v.line(line, whole)
		}
	}
}

func (v *Verifier) problem(format string, args ...any) {
	v.report(v.file, v.number, fmt.Sprintf(format, args...))
}

func (v *Verifier) report(file string, line int, what string) {
	if v.count++; len(v.found) < maxProblems {
		v.found = append(v.found, Problem{file, line, what})
	}
}

func (v *Verifier) note(format string, args ...any) {
	if len(v.notes) < maxProblems {
		v.notes = append(v.notes, fmt.Sprintf(format, args...))
	}
}

func (v *Verifier) line(line []byte, whole bool) {
	v.lines++
	e, ok := parse(line)
	switch {
	case !ok && !whole:
		v.note("%s ends in the middle of a line: it is being written, or was not finished", v.file)
	case !ok:
		v.problem("the line has no link: it was not written by the encoder, or was changed")
	case e.keyed && v.keys == nil:
		v.noKey()
	case !e.keyed && v.keys != nil:
		v.problem("the line was made without the key")
	case !e.holds(v.keys):
		v.problem("the line was changed%s", v.orKey(e))
		v.pass(e) // what follows is looked at by what the line says of itself
	default:
		v.pass(e)
		if c := v.chains[e.Chain]; c != nil {
			c.held = true
		}
	}
}

// noKey says it once: it is the same of all lines.
func (v *Verifier) noKey() {
	if v.keyless++; v.keyless > 1 {
		v.count++
		return
	}
	v.problem("the log was written with a key, without which nothing can be said: --key-file")
}

// orKey: as long as no key fits, it may be the key that is wrong.
func (v *Verifier) orKey(e entry) string {
	if c := v.chains[e.Chain]; e.keyed && (c == nil || !c.held) {
		return ", or was made with another key"
	}
	return ""
}
