package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestFilled(t *testing.T) {
	word := strings.Repeat("ü", 39)
	for text, want := range map[string]string{
		"":                         "",
		"\na\nb  c\n\n  x   y\nd":  "\na b c\n\n  x   y\nd",
		word + " " + word:          word + " " + word,
		word + "\n" + word + "ü a": word + "\n" + word + "ü a",
		strings.Repeat("l", 200):   strings.Repeat("l", 200),
	} {
		if diff := cmp.Diff(want, filled(text)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// A terminal of eighty columns shows each help as it was written.
func TestHelpWidth(t *testing.T) {
	root := &cobra.Command{Use: "uma"}
	addCommands(root, fakePrompt(""))
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Long) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%s: %d: %s", cmd.CommandPath(), n, line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
