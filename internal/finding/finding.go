// Package finding has the words of `caddy uma doctor`: what a part of the running
// configuration found out about itself, with cause and cure.
package finding

import (
	"cmp"
	"fmt"
	"slices"
)

// Level is how bad a finding is.
type Level string

// Levels, from good to bad.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failure Level = "failure"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Subject is the part of the configuration, such as a directive with its issuer.
	Subject string `json:"subject"`
	// Check is what was looked at, for machines.
	Check string `json:"check"`
	Level Level  `json:"level"`
	// What is how it stands.
	What string `json:"what"`
	// Cause and Cure are empty if all is well.
	Cause string `json:"cause,omitempty"`
	Cure  string `json:"cure,omitempty"`
}

// List collects the findings about one subject. The zero value is usable.
type List struct {
	Subject string
	All     []Finding
}

// OK adds that something is well.
func (l *List) OK(check, format string, args ...any) {
	l.add(Finding{Check: check, Level: OK, What: fmt.Sprintf(format, args...)})
}

// Warn adds what works and is perhaps not meant.
func (l *List) Warn(check, what, cause, cure string) {
	l.add(Finding{Check: check, Level: Warning, What: what, Cause: cause, Cure: cure})
}

// Fail adds what does not work.
func (l *List) Fail(check, what, cause, cure string) {
	l.add(Finding{Check: check, Level: Failure, What: what, Cause: cause, Cure: cure})
}

func (l *List) add(f Finding) {
	f.Subject, f.What, f.Cause, f.Cure = plain(l.Subject), plain(f.What), plain(f.Cause), plain(f.Cure)
	l.All = append(l.All, f)
}

// Sort puts findings in the order of their subjects; within one they stay as they are.
// What was said twice is said once.
func Sort(all []Finding) []Finding {
	slices.SortStableFunc(all, func(x, y Finding) int { return cmp.Compare(x.Subject, y.Subject) })
	said := map[Finding]bool{}
	return slices.DeleteFunc(all, func(f Finding) bool {
		twice := said[f]
		said[f] = true
		return twice
	})
}

// Worst is the level of the worst finding.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		if f.Level == Failure {
			return Failure
		}
		if f.Level != OK {
			worst = Warning
		}
	}
	return worst
}
