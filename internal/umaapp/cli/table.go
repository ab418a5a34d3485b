package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// table is printed in columns. On a terminal the columns that may be cut are, so that
// a line stays a line; elsewhere nothing is, because somebody may search in it.
type table struct {
	head []string
	drop []int // columns that a narrow terminal does without, the first one first
	cut  []int // columns that may be shortened, by their number
	rows [][]string
}

// add adds a row; what is in it was written by a stranger.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = orNone(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(out io.Writer) error { return t.printWidth(out, widthOf(out)) }

// widthOf is the width of a terminal; 0 = it is none.
func widthOf(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

const (
	columnGap = 2
	leastCut  = 8 // what is left of a column at least
	gone      = -columnGap
)

func (t *table) printWidth(out io.Writer, width int) error {
	widths := t.widths()
	if width > 0 {
		t.leaveOut(widths, width)
		t.shorten(widths, width)
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		var padded []string
		for i, cell := range row {
			if widths[i] == gone {
				continue
			}
			cell = shortened(cell, widths[i])
			padded = append(padded, cell+strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString(strings.TrimRight(strings.Join(padded, strings.Repeat(" ", columnGap)), " ") + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// total is how wide a line is.
func total(widths []int) int {
	sum := -columnGap
	for _, w := range widths {
		sum += w + columnGap
	}
	return sum
}

// leaveOut takes whole columns until the line fits, or no more may go.
func (t *table) leaveOut(widths []int, width int) {
	for _, i := range t.drop {
		if total(widths) <= width {
			return
		}
		widths[i] = gone
	}
}

// shorten takes from the widest column that may be cut until the line fits, or nothing
// is left to take.
func (t *table) shorten(widths []int, width int) {
	for over := total(widths) - width; over > 0; over-- {
		widest := -1
		for _, i := range t.cut {
			if widths[i] > leastCut && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func shortened(cell string, width int) string {
	runes := []rune(cell)
	if len(runes) <= width {
		return cell
	}
	return string(runes[:width-1]) + "…"
}

// fact is a line of what is said about one thing; one without a value is left out.
type fact struct{ name, value string }

func printFacts(out io.Writer, facts []fact) error {
	var b strings.Builder
	widest := 0
	for _, f := range facts {
		if f.value != "" {
			widest = max(widest, len(f.name))
		}
	}
	for _, f := range facts {
		if f.value != "" {
			_, _ = fmt.Fprintf(&b, "%-*s  %s\n", widest, f.name, printable(f.value))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Times for people are those of where the administrator is. Outside of tables, which
// have no room for it, they say so; JSON has UTC (RFC 3339).
const (
	toMinute = "2006-01-02 15:04Z07:00"
	toSecond = "2006-01-02 15:04:05Z07:00"
)

// at is a time to the minute; "" = there is none.
func at(t time.Time) string { return local(t, toMinute) }

// precisely is at to the second.
func precisely(t time.Time) string { return local(t, toSecond) }

// day is at to the day.
func day(t time.Time) string { return local(t, time.DateOnly) }

// cell is at in a table.
func cell(t time.Time) string { return local(t, "2006-01-02 15:04") }

func local(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(layout)
}

// countOf is a number, with a + if there may be more.
func countOf(n int, more bool) string {
	text := fmt.Sprint(n)
	if more {
		text += "+"
	}
	return text
}

// counted is a number and what it counts.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
