package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
}

// results is what the stream said. passed has the names of tests, with those of
// their subtests as `parent/sub`.
type results struct {
	passed        []string
	failed, skips int
}

// follower keeps the output of running tests until it is known whether they
// failed.
type follower struct {
	out     io.Writer
	results results
	output  map[string][]string // key: package, space, test
	order   []string            // keys in the order in which the tests began
	failing map[string]bool     // packages in which a test failed
}

// maxLine bounds a line of the stream; a test that prints more at once is cut up
// by test2json.
const maxLine = 16 << 20

func follow(in io.Reader, out io.Writer) (results, error) {
	f := &follower{out: out, output: make(map[string][]string), failing: make(map[string]bool)}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		f.line(scanner.Bytes())
	}
	return f.results, scanner.Err()
}

// line passes on what is no event, such as a message of the go command itself.
func (f *follower) line(text []byte) {
	var e event
	if err := json.Unmarshal(text, &e); err != nil || e.Action == "" {
		fmt.Fprintf(f.out, "%s\n", text)
		return
	}
	if e.Test == "" {
		f.pkg(e)
		return
	}
	f.test(e)
}

func (f *follower) pkg(e event) {
	switch e.Action {
	case "build-output":
		f.print(e.Output)
	case "output":
		if e.Output != "PASS\n" && e.Output != "FAIL\n" {
			f.print(e.Output)
		}
	case "fail":
		// A package that did not build, or that ended in the middle of a test.
		if !f.failing[e.Package] {
			f.results.failed++
		}
		f.flush(e.Package)
	}
}

func (f *follower) test(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		f.order = append(f.order, key)
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			f.output[key] = append(f.output[key], e.Output)
		}
	case "pass":
		f.results.passed = append(f.results.passed, e.Test)
		delete(f.output, key)
	case "skip":
		f.results.skips++
		f.show(key)
	case "fail":
		f.results.failed++
		f.failing[e.Package] = true
		f.show(key)
	}
}

func (f *follower) show(key string) {
	for _, s := range f.output[key] {
		f.print(s)
	}
	delete(f.output, key)
}

// flush shows what tests of a package said that never came to an end.
func (f *follower) flush(pkg string) {
	rest := f.order[:0]
	for _, key := range f.order {
		if strings.HasPrefix(key, pkg+" ") {
			f.show(key)
		} else {
			rest = append(rest, key)
		}
	}
	f.order = rest
}

func (f *follower) print(s string) { io.WriteString(f.out, s) }
