package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// list is integration/requirements.txt: one line `ID TAB state` for each
// requirement, in the order of the file, with its comments.
type list struct {
	lines []entry
	ids   map[string]int // position in lines
}

// entry is a line; id is "" in a comment or an empty line.
type entry struct{ id, state, text string }

// States of a requirement. The latter two are followed by a colon and words: the
// file to review and why, or the reason. `later` may be followed by what is still
// missing; then no test makes it `test` by itself.
const (
	stateTest        = "test"
	stateLater       = "later"
	stateReview      = "review"
	stateUnsupported = "unsupported"
)

var (
	idPattern    = regexp.MustCompile(`^[A-Z]+(-[A-Z]+)*-[0-9]{2,}$`)
	statePattern = regexp.MustCompile(`^(test|later|(later|review|unsupported): .*\S)$`)
)

func parse(text string) (*list, error) {
	l := &list{ids: make(map[string]int)}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := l.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(l.ids) == 0 {
		return nil, errors.New("no requirement in it")
	}
	return l, nil
}

func (l *list) add(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		l.lines = append(l.lines, entry{text: line})
		return nil
	}
	id, state, ok := strings.Cut(line, "\t")
	switch {
	case !ok || !idPattern.MatchString(id):
		return fmt.Errorf("%q is no requirement: ID, a tab, the state", line)
	case !statePattern.MatchString(state):
		return fmt.Errorf("%s: the state %q is not test, later, 'later: what is missing', 'review: file and why' or 'unsupported: reason'", id, state)
	}
	if _, twice := l.ids[id]; twice {
		return fmt.Errorf("%s stands there twice", id)
	}
	l.ids[id] = len(l.lines)
	l.lines = append(l.lines, entry{id: id, state: state})
	return nil
}

// String is the text of the file.
func (l *list) String() string {
	var b strings.Builder
	for _, e := range l.lines {
		if e.id != "" {
			b.WriteString(e.id + "\t" + e.state)
		}
		b.WriteString(e.text + "\n")
	}
	return b.String()
}

// update marks what was shown and tells whether anything changed.
func (l *list) update(names []string) bool {
	shown, _ := l.shown(names)
	changed := false
	for id := range shown {
		if e := &l.lines[l.ids[id]]; e.state == stateLater {
			e.state, changed = stateTest, true
		}
	}
	return changed
}

// shown gives the requirements that names of tests carry, and the ids in them
// that have the form of one but do not stand in the list.
func (l *list) shown(names []string) (shown map[string]bool, unknown []string) {
	shown = make(map[string]bool)
	pattern := l.pattern()
	for _, name := range names {
		for _, m := range pattern.FindAllStringSubmatch(name, -1) {
			id := strings.ReplaceAll(m[1], "_", "-") + "-" + m[2]
			if _, ok := l.ids[id]; ok {
				shown[id] = true
			} else if !slices.Contains(unknown, id) {
				unknown = append(unknown, id)
			}
		}
	}
	slices.Sort(unknown)
	return shown, unknown
}

// pattern finds ids in the name of a test: UG-43 or UG_43, behind the word Test
// or whatever is no letter or digit.
func (l *list) pattern() *regexp.Regexp {
	var prefixes []string
	for id := range l.ids {
		prefix := id[:strings.LastIndexByte(id, '-')]
		prefix = strings.ReplaceAll(prefix, "-", "[-_]")
		if !slices.Contains(prefixes, prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	// The longest first: CA-EXT-01 is not CA-…
	slices.SortFunc(prefixes, func(a, b string) int { return len(b) - len(a) })
	return regexp.MustCompile(`(?:^|Test|Fuzz|[^A-Za-z0-9])(` + strings.Join(prefixes, "|") + `)[-_]([0-9]+)`)
}
