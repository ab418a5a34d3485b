// Command bench measures what protection with uma_protect costs. It starts a Caddy
// with all variants on ports of its own, and puts load on a base and a variant in
// turns, so that whatever else the machine does hits both; what counts are the
// ratios.
//
//	go run ./integration/bench -short     # half a minute; fails on errors and wrong statuses alone
//	go run ./integration/bench            # some twenty minutes; fails if a goal is missed
//
// Output: one line of JSON for each measurement, then tables in Markdown.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	short, judge bool
	only         *regexp.Regexp
	rounds       int
	each         time.Duration
	floods, rate int64
	markdown     string
	profiles     string
}

func main() {
	if socket := os.Getenv(asCaddy); socket != "" {
		runCaddy(socket)
		return
	}
	o, err := parseFlags(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	if err := bench(o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, help io.Writer) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(help)
	f.BoolVar(&o.short, "short", false, "3 pairs of 0.3 s, no floods, no goals")
	f.BoolVar(&o.judge, "judge", true, "fail if a goal is missed (full run)")
	f.StringVar(&only, "only", "", "measure only pairs and floods whose name matches this `regexp`")
	f.IntVar(&o.rounds, "rounds", 9, "pairs of measurements (full run)")
	f.DurationVar(&o.each, "each", 2*time.Second, "time of one measurement (full run)")
	f.Int64Var(&o.floods, "floods", 1_000_000, "requests in a flood (full run); 0 = no floods")
	f.Int64Var(&o.rate, "flood-rate", 5000, "requests of a flood per second; 0 = as many as possible")
	f.StringVar(&o.markdown, "markdown", "", "write the tables to this `file`, between its marks if it has them")
	f.StringVar(&o.profiles, "profiles", "", "write a CPU profile of the server for each pair to this `folder`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.short {
		o.rounds, o.each, o.floods, o.judge = 3, 300*time.Millisecond, 0, false
	}
	var err error
	if o.only, err = regexp.Compile(only); err != nil || f.NArg() > 0 || o.rounds < 1 || o.each <= 0 {
		fmt.Fprintln(help, "bench: unusable arguments", f.Args(), err)
		return o, errors.Join(flag.ErrHelp, err)
	}
	return o, nil
}

// bench does a run.
func bench(o options, out, log io.Writer) (err error) {
	w, err := build()
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		_ = w.close()
		os.Exit(1)
	}()
	r := &results{machine: newMachine(o.rounds, o.each)}
	report := lines(out)
	if err := r.machine.probe(w, func(s *spanned) *float64 { return &s.Before }); err != nil {
		return err
	}
	if err := o.pairs(w, r, report, log); err != nil {
		return err
	}
	if err := o.struck(w, r, report, log); err != nil {
		return err
	}
	if err := r.machine.probe(w, func(s *spanned) *float64 { return &s.After }); err != nil {
		return err
	}
	report(r.machine)
	if !o.short {
		r.verdicts = append(judgeAll(r.outcomes), r.verdicts...)
	}
	for _, v := range r.verdicts {
		report(v)
	}
	fmt.Fprintf(out, "\n%s", r.markdown())
	if o.markdown != "" {
		if err := writeMarkdown(o.markdown, r.markdown()); err != nil {
			return err
		}
	}
	return r.failure(o.judge)
}

func (o options) pairs(w *world, r *results, report func(any), log io.Writer) error {
	for _, v := range variants() {
		if !o.only.MatchString(v.name) {
			continue
		}
		fmt.Fprintf(log, "%s: %s\n", v.name, v.what)
		base, x, err := v.setUp(w)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		p := pair{name: v.name, what: v.what, base: base, x: x}
		if v.after != nil {
			p.after = func() (map[string]float64, error) { return v.after(w) }
		}
		result, err := p.compare(o.rounds, o.each, report)
		if err != nil {
			return err
		}
		report(result)
		r.outcomes = append(r.outcomes, result)
		if o.profiles != "" {
			if err := o.profile(w, v.name, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// profile puts the load of a side on the server once more.
func (o options) profile(w *world, name string, s side) error {
	folder, err := filepath.Abs(o.profiles)
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err != nil {
		return err
	}
	file := filepath.Join(folder, strings.NewReplacer("/", "-").Replace(name)+".pprof")
	if err := w.main.profile(file); err != nil {
		return err
	}
	_, err = s.measure(o.each)
	return errors.Join(err, w.main.profile(""))
}

func (o options) struck(w *world, r *results, report func(any), log io.Writer) error {
	if o.floods <= 0 {
		return nil
	}
	for _, f := range floods() {
		if !o.only.MatchString("flood of " + f.name) {
			continue
		}
		fmt.Fprintf(log, "flood of %s: %s\n", f.name, f.what)
		d, err := f.run(w, o.floods, o.rate)
		if err != nil {
			return fmt.Errorf("flood of %s: %w", f.name, err)
		}
		report(d)
		r.damages = append(r.damages, d)
		r.verdicts = append(r.verdicts, d.verdicts()...)
	}
	return nil
}

// failure says what is wrong with a run: errors and unexpected answers always,
// missed goals if they are judged.
func (r *results) failure(judge bool) error {
	var errs []error
	for _, o := range r.outcomes {
		if o.Errors+o.Unexpected > 0 {
			errs = append(errs, fmt.Errorf("%s: %d errors, %d unexpected answers; the first: %s", o.Pair, o.Errors, o.Unexpected, o.FirstError))
		}
	}
	for _, d := range r.damages {
		if d.Errors+d.Unexpected > 0 {
			errs = append(errs, fmt.Errorf("flood of %s: %d errors, %d unexpected answers; the first: %s", d.Flood, d.Errors, d.Unexpected, d.FirstError))
		}
	}
	for _, v := range r.verdicts {
		if judge && !v.Held {
			errs = append(errs, fmt.Errorf("goal missed: %s, measured %.2f", v.Goal, v.Value))
		}
	}
	return errors.Join(errs...)
}
