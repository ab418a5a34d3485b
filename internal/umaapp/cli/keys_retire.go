package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// retireOptions are the flags of `keys retire`.
type retireOptions struct {
	keyOptions
	reason string
	yes    bool
}

func keysRetireCommand() *cobra.Command {
	o := new(retireOptions)
	cmd := &cobra.Command{
		Use:   "retire [flags] KID",
		Short: "Take a key back, in an emergency",
		Long: `
For a key that somebody else may have. It verifies nothing from now on and is
published no longer, and what was made with it is dead. If it was in use, the next
key is used at once. The answer says by when whom that reaches. It cannot be undone.
For a change without loss see 'rotate'. The subject key cannot be retired. Before a
KID that begins with - write --.
` + longKeysAdmin,
		Example: `  caddy uma keys list
  caddy uma keys retire --reason "backup was stolen" QK3e…`,
		Args: between(1, 1, "the kid of the key"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, retireKey(cmd, o, args[0])) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for the log")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

type retired struct {
	Key   keyRow   `json:"key"`
	Used  keyRow   `json:"used"`
	Lost  string   `json:"lost"`
	Reach keyReach `json:"reach"`
}

func retireKey(cmd *cobra.Command, o *retireOptions, kid string) error {
	if !o.yes {
		if err := o.ask(cmd, kid); err != nil {
			return err
		}
	}
	var answer retired
	body := map[string]string{"kid": kid}
	if o.reason != "" {
		body["reason"] = o.reason
	}
	printed, err := o.changeKeys(cmd, "retire", body, &answer)
	if err != nil || printed {
		return err
	}
	return printRetired(cmd.OutOrStdout(), &answer)
}

// ask shows the key and wants a yes.
func (o *retireOptions) ask(cmd *cobra.Command, kid string) error {
	file, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return usagef("there is no terminal to ask whether you are sure; use --yes")
	}
	_, list, err := o.list()
	if err != nil {
		return err
	}
	for _, k := range list.Keys {
		if k.KID == kid {
			return confirm(file, cmd.ErrOrStderr(), &k)
		}
	}
	return errors.New("no key has this kid; see caddy uma keys list")
}

// confirm asks once; what is no clear yes is a no.
func confirm(in io.Reader, out io.Writer, k *keyRow) error {
	_, _ = fmt.Fprintf(out, "This is the %s key '%s' of %s. What was made with it stops working. Retire it? [y/N] ",
		printable(k.State), printable(k.Purpose), printable(k.Issuer))
	line, err := bufio.NewReader(io.LimitReader(in, maxShown)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	if err != nil || answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// printRetired says what happens when, in the numbers of the server.
func printRetired(out io.Writer, r *retired) error {
	_, err := fmt.Fprintf(out, "Retired: key '%s' of %s, %s\nIn use:  %s\nLost:    %s\n\n",
		printable(r.Key.Purpose), printable(r.Key.Issuer), printable(r.Key.KID), printable(r.Used.KID), printable(r.Lost))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(who, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%s:\t%s\n", who, fmt.Sprintf(format, args...))
	}
	at := r.Reach
	line("here", "at once")
	line("other nodes on the same storage", "within %v, if they can read it", seconds(at.OtherNodes))
	if r.Key.Alg != "secret" {
		line("programs with this configuration", "%v later at most: so long they keep our key set (%v if they cannot fetch it)", seconds(at.KeySets), seconds(at.KeySetsStale))
		line("other servers", "when they fetch our key set again; this program does after %v, unless it is told otherwise there", seconds(at.Default))
		line("tokens of the key in use", "good at once: who does not know it fetches our key set, at most once in %v", seconds(at.Refetch))
	}
	return w.Flush()
}
