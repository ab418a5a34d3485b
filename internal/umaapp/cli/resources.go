package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func resourcesCommand() *cobra.Command {
	return group("resources", "Registered resources", `
What resource servers have registered at an authorization server, and whether that
is what they declare.
`+longAdmin, resourcesListCommand(), resourcesShowCommand(), resourcesRevokeCommand(), resourcesDiffCommand())
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

// diffOptions are the flags of `resources diff`.
type diffOptions struct {
	adminOptions
	client string
}

func resourcesDiffCommand() *cobra.Command {
	o := new(diffOptions)
	cmd := &cobra.Command{
		Use:   "diff [flags]",
		Short: "Compare what is declared with what is registered",
		Long: `
Compares what each uma_protect of the running Caddy declares with what is registered
for its client_id at the authorization server, and changes nothing:

  + NAME   will be registered with the next request
  ~ NAME   will be changed
  - NAME   is registered and not declared: delete_undeclared deletes it
  = N      are registered as they are declared

It asks the running Caddy through its admin API: at --address, else where the
--config file says, else at Caddy's default.

Exit status: 0 all is in step, 1 there are differences, or there is no such
uma_protect, 2 wrong usage, 3 Caddy or an authorization server does not answer.`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, o.run(cmd)) },
	}
	o.flags(cmd)
	cmd.Flags().Lookup("issuer").Usage = "only of this authorization server"
	cmd.Flags().StringVar(&o.client, "client-id", "", "only of this client")
	return cmd
}

// resourceDiff is an entry of an answer of the admin API.
type resourceDiff struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Error    string `json:"error"`
	Diff     struct {
		Create     []resource        `json:"create"`
		Update     []changedResource `json:"update"`
		Undeclared []resource        `json:"undeclared"`
		InStep     int               `json:"in_step"`
	} `json:"diff"`
}

type changedResource struct {
	resource
	Changes []struct {
		Member string `json:"member"`
		Was    string `json:"was"`
		Is     string `json:"is"`
	} `json:"changes"`
}

func (o *diffOptions) run(cmd *cobra.Command) error {
	query := url.Values{}
	if o.client != "" {
		query.Set("client_id", o.client)
	}
	answer, err := o.call(http.MethodGet, "/uma/show/rs/resources/diff", query, nil)
	if err != nil {
		return err
	}
	var all struct {
		ResourceServers []resourceDiff `json:"resource_servers"`
	}
	if err := json.Unmarshal(answer, &all); err != nil {
		return unreadable(err)
	}
	if o.json {
		err = printJSON(cmd.OutOrStdout(), answer)
	} else {
		err = printDiffs(cmd.OutOrStdout(), all.ResourceServers)
	}
	if err != nil {
		return err
	}
	return verdictOf(all.ResourceServers)
}

// verdictOf makes an exit code of a comparison.
func verdictOf(all []resourceDiff) error {
	differ := false
	for _, d := range all {
		if d.Error != "" {
			return unreachableError{fmt.Errorf("the resources of '%s' at %s cannot be compared: %s", printable(d.ClientID), printable(d.Issuer), printable(d.Error))}
		}
		differ = differ || len(d.Diff.Create)+len(d.Diff.Update)+len(d.Diff.Undeclared) > 0
	}
	if differ {
		return errRefused
	}
	return nil
}

func printDiffs(out io.Writer, all []resourceDiff) error {
	var b strings.Builder
	for _, d := range all {
		if d.Error != "" {
			continue
		}
		if len(all) > 1 {
			_, _ = fmt.Fprintf(&b, "%s at %s\n", printable(d.ClientID), printable(d.Issuer))
		}
		d.print(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (d *resourceDiff) print(b *strings.Builder) {
	line := func(sign string, r resource, details ...string) {
		if r.Owner != "" {
			details = append(details, "owner: "+printable(r.Owner))
		}
		_, _ = fmt.Fprintf(b, "%s %s (%s)\n", sign, printable(r.Name), strings.Join(details, "; "))
	}
	for _, r := range d.Diff.Create {
		line("+", r, "scopes: "+orNone(strings.Join(r.Scopes, " ")))
	}
	for _, c := range d.Diff.Update {
		var changes []string
		for _, m := range c.Changes {
			changes = append(changes, fmt.Sprintf("%s: %s → %s", printable(m.Member), orNone(m.Was), orNone(m.Is)))
		}
		line("~", c.resource, changes...)
	}
	for _, r := range d.Diff.Undeclared {
		line("-", r, "not declared")
	}
	_, _ = fmt.Fprintf(b, "= %d in step\n", d.Diff.InStep)
}
