package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// figures are the tables of docs/performance.md: the benchmark's own numbers.
type figures struct {
	rows map[string][]string
	sync float64 // ms
	err  error
}

func readFigures(name string) (*figures, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseFigures(string(text)), nil
}

// parseFigures keeps the cells of each row below the first cell of the table's
// head and its own.
func parseFigures(text string) *figures {
	f, head := &figures{rows: map[string][]string{}}, ""
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			head = ""
			if _, after, ok := strings.Cut(line, "fdatasync: "); ok {
				_, f.err = fmt.Sscanf(after, "%f", &f.sync)
			}
		case head == "":
			head = strings.Join(cells[:min(2, len(cells))], "|")
		default:
			f.rows[head+"|"+cells[0]] = cells[1:]
		}
	}
	return f
}

// number is the first number in a cell; what is missing is noted.
func (f *figures) number(table, row string, column int) float64 {
	cells := f.rows[table+"|"+row]
	if column >= len(cells) {
		f.err = errors.Join(f.err, fmt.Errorf("the table %q has no row %q with %d cells", table, row, column+1))
		return 1
	}
	word, _, _ := strings.Cut(strings.ReplaceAll(cells[column], ",", ""), " ")
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || n <= 0 {
		f.err = errors.Join(f.err, fmt.Errorf("the table %q, row %q: %q is no number", table, row, cells[column]))
		return 1
	}
	return n
}

const (
	pairs = "pair|per second"
	calls = "call|bolt: median"
	sizes = "for a million resources, grants and decisions|bolt"
)

// speed and cpu are those of one side of a pair of the benchmark.
func (f *figures) speed(side string) float64 { return f.number(pairs, side, 0) }
func (f *figures) cpu(side string) float64   { return f.number(pairs, side, 2) }
