// Command requirements checks that every requirement with the state `test` in
// integration/requirements.txt was shown by a test that ran and passed:
//
//	go test -json ./... | go run ./integration/requirements
//
// A test shows a requirement if its name, or the name of a subtest, carries the
// id: TestUG_43_NeedInfo, or t.Run("UG-43 …"). What go test said is passed on in
// readable form; the last line is `N passed, N failed`, and a requirement that
// was not shown counts as failed. With -update, requirements marked `later` that
// a test showed are marked `test`.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	file := flag.String("file", "integration/requirements.txt", "the list of requirements")
	update := flag.Bool("update", false, "mark requirements `test` that are marked `later` and were shown by a test")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *file, *update)
	if err != nil {
		fmt.Fprintln(os.Stderr, "requirements:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run reads the stream of go test to its end in any case, so that the output of
// the tests is never lost to a mistake in the list.
func run(in io.Reader, out io.Writer, file string, update bool) (bool, error) {
	results, err := follow(in, out)
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	list, err := parse(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	if update && list.update(results.passed) {
		if err := os.WriteFile(file, []byte(list.String()), 0o644); err != nil {
			return false, err
		}
	}
	return report(out, list, results), nil
}
