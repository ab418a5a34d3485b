package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const longNodes = `
Lists the processes that use the same store as the Caddy that is asked, and what it
sees of them: whether they use the same keys, and the same policies ('older' and
'newer' go by when they were loaded). A process stands there from its first use of the
store until half a minute after its last sign of life.
`

func nodesCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use:   "nodes [flags]",
		Short: "Show the processes that share a store",
		Long: longNodes + `
It asks the running Caddy through its admin API: at --address, else where the
--config file says, else at Caddy's default.

Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 Caddy does not answer
or cannot do it at the moment.`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, showNodes(cmd, a)) },
	}
	a.flags(cmd)
	_ = cmd.Flags().MarkHidden("issuer") // there is nothing to choose
	return cmd
}

// nodeRow is of the answer of the admin API.
type nodeRow struct {
	ID       string    `json:"id"`
	Asked    bool      `json:"asked"`
	Host     string    `json:"host"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Beat     time.Time `json:"beat"`
	Keys     string    `json:"keys"`
	Policies string    `json:"policies"`
}

func showNodes(cmd *cobra.Command, a *adminOptions) error {
	answer, err := a.call(http.MethodGet, "/uma/show/nodes", nil, nil)
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var list struct {
		Nodes []nodeRow `json:"nodes"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return unreadable(err)
	}
	return printNodes(cmd.OutOrStdout(), list.Nodes)
}

func printNodes(out io.Writer, nodes []nodeRow) error {
	t := &table{head: []string{"NODE", "HOST", "VERSION", "STARTED", "SEEN", "KEYS", "POLICIES"}, cut: []int{1, 2}}
	for _, n := range nodes {
		keys, policies := n.Keys, n.Policies
		if n.Asked {
			keys, policies = "(asked)", "(asked)"
		}
		t.add(n.ID, n.Host, n.Version, cell(n.Started), local(n.Beat, time.TimeOnly), keys, policies)
	}
	return t.print(out)
}
