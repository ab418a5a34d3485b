package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const longGrants = `
A grant is what a permission ticket led to: what one person may do at one resource
server with one client. RPTs and refresh tokens come of it, and end with it. Grants
name the person by the 'sub' of RPTs alone; 'caddy uma explain DECISION' says who it
is.`

func grantsCommand() *cobra.Command {
	return group("grants", "Grants: what people may do now", longGrants+"\n"+longAdmin,
		grantsListCommand(), grantsShowCommand(), grantsRevokeCommand())
}

// grantOptions are the flags that say which grants are meant.
type grantOptions struct {
	listOptions
	client, server, owner, resource, person, sub, decision string
	all                                                    bool
}

func (g *grantOptions) filters(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&g.client, "client", "", "only of this client_id")
	f.StringVar(&g.server, "resource-server", "", "only at this resource server")
	f.StringVar(&g.owner, "owner", "", "only of this owner's resources")
	f.StringVar(&g.resource, "resource", "", "only with this resource, by its id; also of the instances of a pattern")
	f.StringVar(&g.person, "person", "", "only of this e-mail address, domain (bob.example, *.bob.example) or issuer")
	f.StringVar(&g.sub, "sub", "", "only with this sub in the RPTs")
	f.StringVar(&g.decision, "decision", "", "only of this decision")
}

// body is what the filters say.
func (g *grantOptions) body() map[string]any {
	body := map[string]any{}
	for name, value := range map[string]string{
		"client_id": g.client, "resource_server": g.server, "owner": g.owner, "resource_id": g.resource,
		"person": g.person, "sub": g.sub, "decision_id": g.decision,
	} {
		if value != "" {
			body[name] = value
		}
	}
	return body
}

func grantsListCommand() *cobra.Command {
	g := new(grantOptions)
	cmd := &cobra.Command{
		Use: "list [flags]", Short: "Show grants",
		Long: longGrants + `

Without --all it shows those that are live. With --person the decisions of the
grants are opened one by one, which takes its time where there are many.
` + longAdmin,
		Example: `  caddy uma grants list --person bob@bob.example
  caddy uma grants list --resource-server api --limit 0 --json`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, g.list(cmd)) },
	}
	g.flags(cmd)
	g.filters(cmd)
	cmd.Flags().BoolVar(&g.all, "all", false, "also those that have ended or expired, while they are remembered")
	return cmd
}

func grantsShowCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "show [flags] GRANT", Short: "Show a grant", Long: longGrants + "\n" + longAdmin,
		Args: one("the id of a grant"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, showGrant(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

func grantsRevokeCommand() *cobra.Command {
	g := new(grantOptions)
	cmd := &cobra.Command{
		Use: "revoke [flags] [GRANT]", Short: "End a grant, or all that fit",
		Long: `
Ends a grant, or all live ones that fit the flags, with everything that came of
them: refresh tokens and the claims that are kept for the client (PCT) at once, RPTs
where they are checked within the time that the resource server has in its line
'revocation'. The person may ask again: 'caddy uma block' keeps somebody out.
` + longAdmin,
		Example: `  caddy uma grants revoke kJ3nC0gq7Yd2mQ4TtX8v1A
  caddy uma grants revoke --client app --person bob@bob.example`,
		Args: between(0, 1, "the id of a grant, or flags that say which"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return finish(cmd, g.revoke(cmd, strings.Join(args, "")))
		},
	}
	g.adminOptions.flags(cmd)
	g.filters(cmd)
	return cmd
}

func (g *grantOptions) list(cmd *cobra.Command) error {
	body := g.body()
	if g.all {
		body["all"] = true
	}
	all, err := g.pages("grants", g.ask("grants", body))
	if err != nil {
		return err
	}
	return g.show(cmd, "grants", all, "There is no such grant.", func(entries []json.RawMessage) (*table, error) {
		return fillGrants(entries, g.all)
	})
}

// ask uses GET, which may be all that somebody is permitted. A person goes into a body:
// URLs get into logs.
func (l *listOptions) ask(what string, body map[string]any) func(string, int) (json.RawMessage, error) {
	if body["person"] != nil {
		return l.search(showAS+what+"/search", body)
	}
	query := map[string][]string{}
	for name, value := range body {
		query[name] = []string{fmt.Sprint(value)}
	}
	return l.get(showAS+what, query)
}

func fillGrants(entries []json.RawMessage, states bool) (*table, error) {
	list, err := decodeAll[grant](entries)
	t := &table{head: []string{"GRANT", "CLIENT", "RESOURCE SERVER", "ISSUED", "UNTIL"}, cut: []int{1, 2}}
	if states {
		t.head[4] = "IS"
	}
	for _, g := range list {
		last := cell(g.Expires)
		if states && g.State != "live" {
			last = g.State
		} else if states {
			last = "live"
		}
		t.add(g.ID, g.Client, g.ResourceServer, cell(g.Issued), last)
	}
	return t, err
}

func notAnID(what, id string) error {
	return usagef("%q is not the id of a %s; see caddy uma %ss list", printable(id), what, what)
}

func (g *grantOptions) revoke(cmd *cobra.Command, id string) error {
	body := g.body()
	switch {
	case id == "" && len(body) == 0:
		return usagef("say which grants are to end: a GRANT, or flags such as --client, --resource, --person")
	case id != "" && len(body) > 0:
		return usagef("give either a GRANT or flags that say which")
	case id != "" && !isWord(id, idLength):
		return notAnID("grant", id)
	case id != "":
		body["grant_id"] = id
	}
	out, err := g.revokeAll("grants/revoke", body, body)
	if err != nil {
		return err
	}
	return out.tell(cmd, &g.adminOptions)
}
