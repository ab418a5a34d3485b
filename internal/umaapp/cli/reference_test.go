package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var updateReference = flag.Bool("update-reference", false, "write docs/commands.md")

// tree gives every command that does something.
func tree() []*cobra.Command {
	top := &cobra.Command{Use: "caddy"}
	uma := &cobra.Command{Use: "uma"}
	top.AddCommand(uma)
	addCommands(uma, nil)
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.HasSubCommands() {
			all = append(all, c)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(uma)
	return all
}

// TestReference: docs/commands.md is what the commands say of themselves. Write it
// with -update-reference.
func TestReference(t *testing.T) {
	const file = "../../../docs/commands.md"
	var want bytes.Buffer
	want.WriteString("# Commands\n\nEvery command and flag of `caddy uma`, as `--help` says it; made by a test. What the commands are for: " +
		"[Reference](reference.md#caddy-uma).\n\nExit status: 0 done, 1 refused, 2 wrong usage, 3 a server does not answer.\n")
	for _, c := range tree() {
		describe(&want, c)
	}
	if *updateReference {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is of other commands (%v); write it again: go test ./internal/umaapp/cli -run TestReference -update-reference", file, err)
	}
}

func describe(w *bytes.Buffer, c *cobra.Command) {
	path := strings.TrimSuffix(c.CommandPath(), c.Name())
	fmt.Fprintf(w, "\n## `%s`\n\n    %s%s\n\n%s.\n", c.CommandPath(), path, c.Use, strings.TrimSuffix(c.Short, "."))
	if long := strings.TrimSpace(c.Long); long != "" {
		fmt.Fprintf(w, "\n```text\n%s\n```\n", long)
	}
	rows := false
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if !rows {
			w.WriteString("\n| flag | default | |\n|---|---|---|\n")
			rows = true
		}
		name, standard := "`--"+f.Name+"`", f.DefValue
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if standard == "false" || standard == "[]" {
			standard = ""
		}
		if standard != "" {
			standard = "`" + standard + "`"
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", name, standard, strings.ReplaceAll(f.Usage, "|", `\|`))
	})
}

// commandIn finds commands in the reference.
var commandIn = regexp.MustCompile("`(caddy uma [a-z-]+(?: [a-z-]+)?)")

// TestReferenceCommands: the reference names every command, and none that is not
// there.
func TestReferenceCommands(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## `caddy uma`\n")
	if !found {
		t.Fatal("the reference has no section on the commands")
	}
	var known []string
	for _, c := range tree() {
		known = append(known, c.CommandPath())
		if short := strings.TrimPrefix(c.CommandPath(), "caddy uma "); !strings.Contains(section, "`"+c.CommandPath()) && !strings.Contains(section, "`"+short+"`") {
			t.Errorf("docs/reference.md does not name %s", c.CommandPath())
		}
	}
	for _, m := range commandIn.FindAllStringSubmatch(section, -1) {
		one, _, _ := strings.Cut(strings.TrimPrefix(m[1], "caddy uma "), " ")
		if !slices.Contains(known, m[1]) && !slices.Contains(known, "caddy uma "+one) {
			t.Errorf("docs/reference.md names %s, which is no command", m[1])
		}
	}
}
