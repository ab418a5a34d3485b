package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// report says what is wrong with the requirements and ends with the counts. It
// tells whether everything is in order.
func report(out io.Writer, l *list, r results) bool {
	problems, notes := compare(l, r.passed)
	if len(r.passed) == 0 {
		problems = append(problems, "no test passed")
	}
	for _, n := range notes {
		fmt.Fprintln(out, "requirements:", n)
	}
	for _, p := range problems {
		fmt.Fprintln(out, "requirements: FAIL:", p)
	}
	fmt.Fprintln(out, "requirements:", l.summary())
	if r.skips > 0 {
		fmt.Fprintf(out, "%d skipped\n", r.skips)
	}
	failed := r.failed + len(problems)
	fmt.Fprintf(out, "%d passed, %d failed\n", len(r.passed), failed)
	return failed == 0
}

// compare gives what makes the run red, and what is only worth telling.
func compare(l *list, passed []string) (problems, notes []string) {
	shown, unknown := l.shown(passed)
	for _, e := range l.lines {
		switch {
		case e.state == stateTest && !shown[e.id]:
			problems = append(problems, e.id+" is marked test, but no test that carries it ran and passed")
		case e.state == stateLater && shown[e.id]:
			notes = append(notes, e.id+" is marked later, but a test that carries it passed; run with -update")
		case strings.HasPrefix(e.state, stateUnsupported) && shown[e.id]:
			notes = append(notes, e.id+" is marked unsupported, but a test that carries it passed")
		}
	}
	for _, id := range unknown {
		problems = append(problems, id+" stands in the name of a test, but not in the list")
	}
	return problems, notes
}

// summary counts the states.
func (l *list) summary() string {
	counts := make(map[string]int)
	for _, e := range l.lines {
		if e.id != "" {
			kind, _, _ := strings.Cut(e.state, ":")
			counts[kind]++
		}
	}
	var parts []string
	for _, kind := range slices.Sorted(slices.Values([]string{stateTest, stateLater, stateReview, stateUnsupported})) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}
