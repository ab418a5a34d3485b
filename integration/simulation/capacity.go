package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// What the benchmark cannot know.
const (
	peak      = 5    // the busiest minute has so many times the mean of the day
	uses      = 20   // protected requests with one RPT
	inFlow    = 2    // commits of a flow: presented, outcome
	listBlock = 3600 // seconds whose RPTs share a status list
	maxList   = 64 << 20
)

// line is a row of the page: what, how it is computed, and the result.
type line struct{ what, how, result string }

// capacity computes what one of each carries.
func capacity(f *figures) (string, error) {
	flow, protect, first := f.cpu("flow: nine steps"), f.cpu("warm: uma_protect"), f.cpu("cold: uma_protect")
	perCore := 1e6 / flow
	mixed := flow + (uses-2)*protect // a flow has two protected requests already
	lines := []line{
		{"flows/s, one core", fmt.Sprintf("1,000,000 µs / %.0f µs", flow), thousands(perCore)},
		{"protected requests/s, one core, token known", fmt.Sprintf("1,000,000 / %.1f", protect), thousands(1e6 / protect)},
		{"protected requests/s, one core, each with a new token", fmt.Sprintf("1,000,000 / %.1f", first), thousands(1e6 / first)},
		{"tickets/s (401 with a challenge), one core", fmt.Sprintf("1,000,000 / %.1f", f.cpu("challenge: uma_protect")), thousands(1e6 / f.cpu("challenge: uma_protect"))},
		{"RPTs/s at the token endpoint, one core", fmt.Sprintf("1,000,000 / %.1f", f.cpu("rpt: uma_server")), thousands(1e6 / f.cpu("rpt: uma_server"))},
		{"claims tokens/s (`uma_sts`), one core", fmt.Sprintf("1,000,000 / %.1f", f.cpu("exchange: uma_sts")), thousands(1e6 / f.cpu("exchange: uma_sts"))},
		{
			"people, one core, all on it (STS, AS and resource server)",
			fmt.Sprintf("1,000,000 / (%.0f + %d × %.1f) × 86,400 / (%d a day × %d)", flow, uses-2, protect, perDay, peak),
			thousands(people24(1e6 / mixed)),
		},
		{"flows/s, one node of 2 cores, measured with the load generator on it", "the row *flow* of the benchmark", thousands(f.speed("flow: nine steps"))},
	}
	lines = append(lines, stores(f)...)
	lines = append(lines, rest(f, perCore)...)
	return markdownLines(lines), f.err
}

func stores(f *figures) []line {
	bolt, pg := 2*f.sync, f.number(calls, "ticket to RPT", 2)
	disk := f.number(sizes, "on disk", 0)
	return []line{
		{"flows/s, one bolt file, if no two commits shared a sync", fmt.Sprintf("1,000 ms / (%d commits × 2 syncs × %.2f ms)", inFlow, f.sync), thousands(1000 / (inFlow * bolt))},
		{"flows/s through the 10 connections of one node to PostgreSQL, at most", fmt.Sprintf("10 × 1,000 ms / %.1f ms (*ticket to RPT*, without the sync of the disk)", pg), thousands(10 * 1000 / pg)},
		{"disk for 1,000,000 people with 10 live grants each, bolt", fmt.Sprintf("10 × %s MiB", thousands(disk)), thousands(10*disk/1024) + " GiB"},
	}
}

func rest(f *figures, flows float64) []line {
	return []line{
		{"RPTs/s that one status list can hold (one for each hour)", fmt.Sprintf("%s / %s s", thousands(maxList), thousands(listBlock)), thousands(maxList / float64(listBlock))},
		{"status list of an hour at the flows of one core, before compression", fmt.Sprintf("%s × 3,600 bits", thousands(flows)), fmt.Sprintf("%.0f KiB", flows*listBlock/8/1024)},
		{"new people/s at domains that are known, one node", "7,200 a minute", thousands(7200. / 60)},
		{"flows/s of people nobody has seen in 15 minutes, one node, until that budget is used up", fmt.Sprintf("7,200 / 60 × %d flows of a session", perSession), thousands(7200 / 60 * perSession)},
		{"memory, one node, under the load of the benchmark", "the row *durable: on disk*, RSS", fmt.Sprintf("%.0f MiB", f.number(pairs, "durable: on disk", 6))},
	}
}

// people24 is how many people make so many flows a second in their busiest minute.
func people24(flows float64) float64 { return flows * 86400 / (perDay * peak) }

func markdownLines(lines []line) string {
	var b strings.Builder
	b.WriteString("| what | from the figures | result |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | %s | **%s** |\n", l.what, l.how, l.result)
	}
	return b.String()
}

// thousands writes a number with three digits that count.
func thousands(n float64) string {
	if n >= 1000 {
		step := math.Pow(10, math.Floor(math.Log10(n))-2)
		if n != math.Trunc(n) {
			n = math.Floor(n/step) * step
		}
	}
	text := fmt.Sprintf("%.0f", math.Floor(n))
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func writeCapacity(name, from string) error {
	f, err := readFigures(from)
	if err != nil {
		return err
	}
	text, err := capacity(f)
	if err != nil {
		return err
	}
	return write(name, "capacity", text)
}

// write puts a text between two marks of a file.
func write(name, mark, text string) error {
	old, err := os.ReadFile(name) //nolint:gosec // the file that the user named
	if err != nil {
		return err
	}
	begin, end := "<!-- "+mark+": begin -->", "<!-- "+mark+": end -->"
	before, rest, begins := strings.Cut(string(old), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no marks %s and %s", name, begin, end)
	}
	return os.WriteFile(name, []byte(before+begin+"\n\n"+strings.TrimSpace(text)+"\n\n"+end+after), 0o644) //nolint:gosec // documentation
}
