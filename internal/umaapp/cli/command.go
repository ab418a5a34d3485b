// Package cli is the command `caddy uma`: a requesting party's client on the
// command line, and what administrators of an authorization server ask of a
// running Caddy. The three adapters import it for its registration; the protocol
// is in caddyuma/rqp, here are flags, secrets, the terminal and exit codes.
package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "uma",
		Usage: "<command>",
		Short: "Requests to resources that are protected by UMA, and their administration",
		Long: `
For a requesting party, somebody who wants to use a resource of another
organisation and whose own provider vouches for his e-mail address: get, login,
logout, ticket-challenge.

For the administrator of a server, asked of the admin API of its running Caddy:
decisions, explain, grants, block, unblock, blocks, clients, resource-servers,
resources, domains, sessions, keys, nodes. While it is stopped: store. About its
log: audit. About an e-mail domain and its provider: doctor.

Exit status: 0 done, 1 refused, 2 wrong usage, 3 a server does not answer.`,
		CobraFunc: func(cmd *cobra.Command) { addCommands(cmd, new(terminal)) },
	})
}

// Exit codes.
const (
	exitDone = iota
	exitRefused
	exitUsage
	exitUnreachable
)

func addCommands(cmd *cobra.Command, tty prompter) {
	cmd.AddCommand(getCommand(tty), loginCommand(), logoutCommand(), ticketChallengeCommand(), domainsCommand(), explainCommand(), blockCommand(), unblockCommand(), blocksCommand(), resourcesCommand(), doctorCommand(), keysCommand(), nodesCommand(), storeCommand(), auditCommand(),
		clientsCommand(), serversCommand(), grantsCommand(), decisionsCommand(), sessionsCommand())
	prepare(cmd.Commands())
	cmd.Args = cobra.ArbitraryArgs
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return finish(cmd, noCommand(cmd, args[0]))
	}
}

// prepare makes wrong flags errors in our words, also below subcommands.
func prepare(list []*cobra.Command) {
	for _, sub := range list {
		sub.SetFlagErrorFunc(flagError)
		sub.DisableFlagsInUseLine = true
		prepare(sub.Commands())
	}
}

// flagError: a flag of a command that is spelt wrong is not known to the one above it;
// then the word is what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return finish(cmd, noCommand(cmd, words[0]))
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		err = dashed(cmd, unknown)
	}
	return finish(cmd, usageError{err})
}

// dashed: an id may begin with a dash. Ours do not any more.
func dashed(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	id := "-" + cmp.Or(unknown.GetSpecifiedShortnames(), "-"+unknown.GetSpecifiedName())
	if !isWord(id, idLength, hashLength) {
		return unknown
	}
	return fmt.Errorf("an id that begins with - stands at the end, after --: %s -- %s", cmd.CommandPath(), id)
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// unreachableError: something has to run and does not.
type unreachableError struct{ error }

var errRefused = errors.New("refused")

// finish prints an error once, in our words, and makes an exit code of it. Only
// Caddy can make an error that carries a code above 1.
func finish(cmd *cobra.Command, err error) error {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err == nil {
		return nil
	}
	if !errors.Is(err, errRefused) {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "caddy uma:", err)
	}
	code := codeOf(err)
	if code == exitRefused {
		return err
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

// one accepts exactly one argument.
func one(what string) cobra.PositionalArgs { return between(1, 1, "one argument: "+what) }

// between accepts from least to most arguments.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return finish(cmd, usagef("%s takes %s", cmd.CommandPath(), what))
		}
		return finish(cmd, notEmpty(cmd, args))
	}
}

// mayBeEmpty are flags of administrators where an empty text says what none would.
var mayBeEmpty = []string{"address", "config", "adapter", "after", "reason"} //nolint:gochecknoglobals // a table of constants

// notEmpty refuses empty words to administrators: a script whose variable is empty
// would end more than was meant, as with --client "$APP", or accept another issuer.
func notEmpty(cmd *cobra.Command, args []string) (err error) {
	if cmd.Flags().Lookup("issuer") == nil {
		return nil
	}
	if slices.Contains(args, "") {
		return usagef("an argument of %s is empty", cmd.CommandPath())
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && !slices.Contains(mayBeEmpty, f.Name) {
			err = usagef("--%s is empty; leave it out to mean all", f.Name)
		}
	})
	return err
}
