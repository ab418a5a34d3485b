// Command simulation shows what discovery costs when many people come from many
// domains, and what an attacker can do to them. The caches, budgets and limits are
// those of the server (internal/discovery, internal/jose, internal/limit); clock
// and network are simulated, so hours pass in seconds.
//
//	go run ./integration/simulation                               # some minutes; tables in Markdown
//	go run ./integration/simulation -markdown docs/internet.md    # puts them there
//	go run ./integration/simulation -carries docs/internet.md     # at once: what follows from the benchmark's figures
//
// The clock is the one of testing/synctest, which works in tests alone: so the
// program is one big test.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// options are the flags.
type options struct {
	seed     uint64
	domains  int
	exponent float64
	only     *regexp.Regexp
	short    bool
	markdown string
	figures  string
	carries  string
}

func main() {
	o, err := parseFlags(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	if o.carries != "" {
		if err := writeCapacity(o.carries, o.figures); err != nil {
			fmt.Fprintln(os.Stderr, "simulation:", err)
			os.Exit(1)
		}
		return
	}
	os.Args = os.Args[:1] // the flags of package testing are not ours
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "simulation", F: func(t *testing.T) {
		t.Helper()
		if err := simulate(t, o, os.Stdout, os.Stderr); err != nil {
			t.Fatal(err)
		}
	}}}, nil, nil)
}

func parseFlags(args []string, help io.Writer) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("simulation", flag.ContinueOnError)
	f.SetOutput(help)
	f.Uint64Var(&o.seed, "seed", 1, "another world")
	f.IntVar(&o.domains, "domains", 1_000_000, "e-mail domains")
	f.Float64Var(&o.exponent, "exponent", 1, "of the Zipf distribution")
	f.StringVar(&only, "only", "", "run only scenarios whose name matches this `regexp`")
	f.BoolVar(&o.short, "short", false, "a tenth of the time")
	f.StringVar(&o.markdown, "markdown", "", "write the tables between the marks of this `file`")
	f.StringVar(&o.figures, "figures", "docs/performance.md", "the `file` with the benchmark's figures")
	f.StringVar(&o.carries, "carries", "", "only compute what one node carries, and write it between the marks of this `file`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.only, err = regexp.Compile(only); err != nil || f.NArg() > 0 || o.domains < 1 {
		fmt.Fprintln(help, "simulation: unusable arguments", f.Args(), err)
		return o, errors.Join(flag.ErrHelp, err)
	}
	return o, nil
}

func simulate(t *testing.T, o options, out, log io.Writer) error {
	t.Helper()
	w := newWorld(o.seed, o.domains, o.exponent)
	var text strings.Builder
	both := io.MultiWriter(out, &text)
	for _, table := range tables() {
		fmt.Fprintf(both, "### %s\n\n%s", table.title, header)
		for _, s := range table.scenarios {
			if !o.only.MatchString(s.name) {
				continue
			}
			if o.short {
				s.warmUp, s.length = s.warmUp/10, s.length/10
			}
			r := s.run(t, w)
			fmt.Fprintf(both, "%s", r.row())
			fmt.Fprintf(log, "%s: %s; %d of %d flows waited for keys; errors %v; busiest domain %s; %d of people, %d at known domains, %d others; %d tokens of the attacker\n",
				s.name, r.real.Round(time.Millisecond), r.forKeys, r.tally.all, r.why, r.worstHost, r.known.all, r.place.all, r.stranger.all, r.tally.attacks)
		}
		fmt.Fprintln(both)
	}
	if o.markdown == "" {
		return nil
	}
	return write(o.markdown, "simulation", text.String())
}
