package cli

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

const longDecisions = `
Decisions of an authorization server, the newest first: what was asked for, with
which client, and what came of it. They are kept for seven days or more, and only if
somebody was identified; of the others the log has a line. The list names nobody: 'show', which is 'caddy uma explain', does.`

func decisionsCommand() *cobra.Command {
	show := explainCommand()
	show.Use, show.Short, show.Example = "show [flags] DECISION", "Explain a decision", ""
	return group("decisions", "Decisions: who was let in, and who was not", longDecisions+"\n"+longAdmin,
		decisionsListCommand(), show)
}

// decisionOptions are the flags of `decisions list`.
type decisionOptions struct {
	listOptions
	outcome, client, server, owner, person, since string

	now func() time.Time
}

func decisionsListCommand() *cobra.Command {
	o := &decisionOptions{now: time.Now}
	cmd := &cobra.Command{
		Use: "list [flags]", Short: "Show decisions, the newest first", Long: longDecisions + "\n" + longAdmin,
		Example: `  caddy uma decisions list --outcome denied --since 1h
  caddy uma decisions list --person bob@bob.example --limit 10`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, o.list(cmd)) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.outcome, "outcome", "", "only granted, denied or refused ones")
	f.StringVar(&o.client, "client", "", "only with this client_id")
	f.StringVar(&o.server, "resource-server", "", "only about this resource server")
	f.StringVar(&o.owner, "owner", "", "only about this owner's resources")
	f.StringVar(&o.person, "person", "", "only about this e-mail address, domain (bob.example, *.bob.example) or issuer")
	f.StringVar(&o.since, "since", "", "how far back, such as 1h or 2d; default: as long as they are kept")
	return cmd
}

// decision is of the answers of the admin API.
type decision struct {
	ID             string    `json:"decision_id"`
	At             time.Time `json:"at"`
	Outcome        string    `json:"outcome"`
	Policy         string    `json:"policy"`
	Client         string    `json:"client_id"`
	ResourceServer string    `json:"resource_server"`
}

func (o *decisionOptions) list(cmd *cobra.Command) error {
	body := map[string]any{}
	for name, value := range map[string]string{
		"outcome": o.outcome, "client_id": o.client, "resource_server": o.server, "owner": o.owner, "person": o.person,
	} {
		if value != "" {
			body[name] = value
		}
	}
	if o.since != "" {
		d, err := caddy.ParseDuration(o.since)
		if err != nil || d <= 0 {
			return usagef("--since %s is no time; write hours or days, such as 1h or 2d", printable(o.since))
		}
		body["since"] = o.now().Add(-d).UTC().Format(time.RFC3339)
	}
	all, err := o.pages("decisions", o.ask("decisions", body))
	if err != nil {
		return err
	}
	return o.show(cmd, "decisions", all, "No such decision is kept.", fillDecisions)
}

func fillDecisions(entries []json.RawMessage) (*table, error) {
	list, err := decodeAll[decision](entries)
	t := &table{head: []string{"WHEN", "OUTCOME", "DECISION", "CLIENT", "RESOURCE SERVER", "POLICY"}, cut: []int{3, 4, 5}}
	for _, d := range list {
		t.add(local(d.At, "01-02 15:04:05"), d.Outcome, d.ID, d.Client, d.ResourceServer, d.Policy)
	}
	return t, err
}
