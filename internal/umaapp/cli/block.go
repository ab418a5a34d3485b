package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

const longBlock = `
A block keeps somebody out, whatever the policies say: one address, a domain
(bob.example; *.bob.example for its subdomains) or an issuer (https://…). It stands
in the store, so it holds at once at all servers that share it, and after reloads.`

// blockOptions are the flags of `caddy uma block`.
type blockOptions struct {
	adminOptions
	length string
	reason string
}

func blockCommand() *cobra.Command {
	o := new(blockOptions)
	cmd := &cobra.Command{
		Use:   "block [flags] EMAIL|DOMAIN|ISSUER",
		Short: "Keep somebody out, from now on",
		Long: longBlock + `
What is live of them ends: refresh tokens and PCTs at once, RPTs where they are
checked within the time that the resource server has in its line 'revocation'.

--for says for how long; without it, until 'unblock'. The last block of the same
counts. --reason is shown by 'blocks' and stands in the log uma.audit.
` + longAdmin,
		Example: `  caddy uma block --for 7d --reason "lost laptop" bob@bob.example
  caddy uma block bob.example
  caddy uma block https://id.bob.example`,
		Args: one("an e-mail address, a domain or an issuer"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, o.run(cmd, args[0])) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.length, "for", "", "how long, such as 12h or 7d")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why")
	return cmd
}

func unblockCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use:   "unblock [flags] EMAIL|DOMAIN|ISSUER",
		Short: "Take a block back",
		Long: `
Takes back what 'block' did. What has ended stays so: who was blocked begins again
at the resource.
` + longAdmin,
		Args: one("an e-mail address, a domain or an issuer"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, unblock(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

func blocksCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use:   "blocks [flags]",
		Short: "Show who is blocked",
		Long:  longBlock + "\n" + longAdmin,
		Args:  between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return finish(cmd, showAll(cmd, a, "blocks", "Nobody is blocked.", printBlocks))
		},
	}
	a.flags(cmd)
	return cmd
}

// block is of the answers of the admin API.
type block struct {
	Kind   string    `json:"kind"`
	Who    string    `json:"who"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	Ended  int       `json:"ended"`
}

func (o *blockOptions) run(cmd *cobra.Command, who string) error {
	body := map[string]any{"who": who}
	if o.length != "" {
		d, err := caddy.ParseDuration(o.length)
		if err != nil || d < time.Second {
			return usagef("--for %s is no time; write hours or days, such as 12h or 7d", o.length)
		}
		body["for"] = int64(d / time.Second)
	}
	if o.reason != "" {
		body["reason"] = o.reason
	}
	b, printed, err := changeBlock(cmd, &o.adminOptions, "block", body)
	if err != nil || printed {
		return err
	}
	until := "until 'caddy uma unblock'"
	if !b.Until.IsZero() {
		until = "until " + at(b.Until)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is blocked %s; ended: %s.\n", printable(b.Who), until, grants(b.Ended))
	return err
}

func grants(n int) string { return counted(n, "grant") }

func unblock(cmd *cobra.Command, a *adminOptions, who string) error {
	_, printed, err := changeBlock(cmd, a, "unblock", map[string]any{"who": who})
	if err != nil || printed {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is not blocked any more.\n", printable(who))
	return err
}

// changeBlock asks for a change; printed tells that the answer is out already.
func changeBlock(cmd *cobra.Command, a *adminOptions, what string, body any) (b block, printed bool, err error) {
	answer, err := a.change(what, body)
	if err != nil {
		return b, false, err
	}
	if err := json.Unmarshal(answer, &b); err != nil || b.Kind == "" { // {} is nobody's answer: nobody is blocked
		return b, false, unreadable(err)
	}
	if a.json {
		return b, true, printJSON(cmd.OutOrStdout(), answer)
	}
	return b, false, nil
}

func printBlocks(out io.Writer, blocks []block) error {
	t := &table{head: []string{"BLOCKED", "KIND", "SINCE", "UNTIL", "REASON"}, cut: []int{4}}
	for _, b := range blocks {
		t.add(cmp.Or(b.Who, "(cannot be read)"), b.Kind, day(b.Since), cell(b.Until), b.Reason)
	}
	return t.print(out)
}
