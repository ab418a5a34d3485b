package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/suggest"
)

// group is a command that only has commands below it.
func group(name, short, long string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return finish(cmd, noCommand(cmd, args[0]))
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

// noCommand is the error for a word that is no command, with what may be meant.
func noCommand(cmd *cobra.Command, word string) error {
	var known []string
	for _, sub := range cmd.Commands() {
		known = append(known, sub.Name())
	}
	hint := ""
	if near := suggest.Nearest(word, known); near != "" {
		hint = fmt.Sprintf("did you mean '%s'? ", near)
	}
	path := strings.TrimPrefix(cmd.CommandPath(), "caddy ")
	return usagef("there is no command %q; %ssee caddy %s --help", word, hint, path)
}

// isWord tells whether a text can be an id that the servers choose: base64url, of one
// of these lengths. Nothing else gets into a path.
func isWord(text string, lengths ...int) bool {
	for i := range len(text) {
		c := text[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return slices.Contains(lengths, len(text)) || len(lengths) == 0 && text != ""
}

// Lengths of ids: of what is random, and of what is a hash.
const (
	idLength   = 22
	hashLength = 43
)
