package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

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

// grant is of the answers of the admin API.
type grant struct {
	ID             string    `json:"grant_id"`
	State          string    `json:"state"`
	Ended          string    `json:"ended_because"`
	Client         string    `json:"client_id"`
	ResourceServer string    `json:"resource_server"`
	Owner          string    `json:"owner"`
	Subject        string    `json:"sub"`
	Policy         string    `json:"policy"`
	DecisionID     string    `json:"decision_id"`
	Issued         time.Time `json:"issued_at"`
	Expires        time.Time `json:"expires_at"`
	Permissions    []struct {
		ID     string   `json:"resource_id"`
		Scopes []string `json:"resource_scopes"`
		Name   string   `json:"name"`
		Gone   bool     `json:"gone"`
	} `json:"permissions"`
	Live []struct {
		ID      string    `json:"jti"`
		Issued  time.Time `json:"issued_at"`
		Expires time.Time `json:"expires_at"`
		Scopes  []string  `json:"scopes"`
	} `json:"live_rpts"`
	Bound       string    `json:"bound_by"`
	RefreshEnds time.Time `json:"refresh_ends_at"`
	Revision    string    `json:"policy_revision"`
	Replaced    string    `json:"replaced_by"`
	PCT         bool      `json:"pct"`
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
		last := at(g.Expires)
		if states && g.State != "live" {
			last = g.State
		} else if states {
			last = "live"
		}
		t.add(g.ID, g.Client, g.ResourceServer, at(g.Issued), last)
	}
	return t, err
}

func showGrant(cmd *cobra.Command, a *adminOptions, id string) error {
	if !isWord(id, idLength) {
		return notAnID("grant", id)
	}
	answer, err := a.call(http.MethodGet, showAS+"grants/"+id, nil, nil)
	if err != nil {
		return err
	}
	return tell(cmd, a, answer, func(g *grant) error {
		if err := printFacts(cmd.OutOrStdout(), g.facts()); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "\nWho it is, and why: caddy uma explain %s\n", shellWord(printable(g.DecisionID)))
		return err
	})
}

func (g *grant) facts() []fact {
	state := g.State
	if g.Ended != "" {
		state += ": " + g.Ended
	}
	facts := []fact{
		{"grant", g.ID},
		{"state", state},
		{"client", g.Client},
		{"resource server", g.ResourceServer},
		{"owner", g.Owner},
		{"sub", g.Subject},
		{"policy", g.Policy},
		{"revision", g.Revision},
		{"decision", g.DecisionID},
		{"issued", at(g.Issued)},
		{"until", at(g.Expires)},
		{"bound by", g.Bound},
		{"refresh token until", at(g.RefreshEnds)},
		{"claims are kept", yes(g.PCT)},
		{"replaced by", g.Replaced},
	}
	for _, p := range g.Permissions {
		text := p.ID + ": " + orNone(strings.Join(p.Scopes, " "))
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		if p.Gone {
			text += ", not registered any more"
		}
		facts = append(facts, fact{"resource", text})
	}
	for _, rpt := range g.Live {
		text := fmt.Sprintf("%s from %s until %s", rpt.ID, at(rpt.Issued), at(rpt.Expires))
		if len(rpt.Scopes) > 0 {
			text += ", only " + strings.Join(rpt.Scopes, " ")
		}
		facts = append(facts, fact{"RPT", text})
	}
	return facts
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
