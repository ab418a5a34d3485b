package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const longServers = `
The resource servers of an authorization server, which stand in its configuration:
how many resources they have registered, how many live grants there are on those,
and when they last asked for a PAT.`

func serversCommand() *cobra.Command {
	return group("resource-servers", "Resource servers of an authorization server", longServers+"\n"+longAdmin,
		serversListCommand(), serversShowCommand())
}

func serversListCommand() *cobra.Command {
	l := new(listOptions)
	cmd := &cobra.Command{
		Use: "list [flags]", Short: "Show the resource servers", Long: longServers + "\n" + longAdmin,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := l.pages("resource_servers", l.get(showAS+"resource-servers", nil))
			if err == nil {
				err = l.show(cmd, "resource_servers", all, "There are no resource servers.", fillServers)
			}
			return finish(cmd, err)
		},
	}
	l.flags(cmd)
	return cmd
}

func serversShowCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "show [flags] CLIENT_ID", Short: "Show a resource server", Long: longServers + "\n" + longAdmin,
		Args: one("the client_id of a resource server"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, showServer(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

// server is of the answers of the admin API.
type server struct {
	ID            string    `json:"client_id"`
	URI           string    `json:"resource_uri"`
	Audience      string    `json:"audience"`
	Owner         string    `json:"owner"`
	Local         bool      `json:"local"`
	Opaque        bool      `json:"opaque_rpts"`
	Require       string    `json:"require"`
	Release       []string  `json:"release"`
	Resources     int       `json:"resources"`
	MoreResources bool      `json:"more_resources"`
	Grants        int       `json:"grants"`
	MoreGrants    bool      `json:"more_grants"`
	PATs          int       `json:"pats"`
	LastPAT       time.Time `json:"last_pat_at"`
}

func fillServers(entries []json.RawMessage) (*table, error) {
	servers, err := decodeAll[server](entries)
	t := &table{head: []string{"RESOURCE SERVER", "URI", "RESOURCES", "GRANTS", "LAST PAT"}, cut: []int{0, 1}}
	for _, s := range servers {
		t.add(s.ID, s.URI, countOf(s.Resources, s.MoreResources), countOf(s.Grants, s.MoreGrants), cell(s.LastPAT))
	}
	return t, err
}

func showServer(cmd *cobra.Command, a *adminOptions, id string) error {
	answer, err := a.call(http.MethodGet, showAS+"resource-server", url.Values{"client_id": {id}}, nil)
	if err != nil {
		return err
	}
	return tell(cmd, a, answer, func(s *server) error {
		rpt := "jwt"
		if s.Opaque {
			rpt = "opaque"
		}
		last := at(s.LastPAT)
		if last == "" {
			last = "none lately"
		}
		return printFacts(cmd.OutOrStdout(), []fact{
			{"resource server", s.ID},
			{"URI", s.URI},
			{"audience", s.Audience},
			{"owner", s.Owner},
			{"in this process", yes(s.Local)},
			{"RPTs", rpt},
			{"bound RPTs only", s.Require},
			{"released claims", strings.Join(s.Release, " ")},
			{"resources", countOf(s.Resources, s.MoreResources)},
			{"live grants", countOf(s.Grants, s.MoreGrants)},
			{"live PATs", countOf(s.PATs, false)},
			{"last PAT", last},
		})
	})
}
