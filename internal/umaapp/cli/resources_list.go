package cli

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func resourcesListCommand() *cobra.Command {
	l, server, owner := new(listOptions), "", ""
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "Show what is registered at an authorization server",
		Long: `
Shows the resources that are registered at the uma_server of the running Caddy, of
all its resource servers or of one.
` + longAdmin,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := l.pages("resources", l.get(showAS+"resources", url.Values{"resource_server": {server}, "owner": {owner}}))
			if err == nil {
				err = l.show(cmd, "resources", all, "Nothing is registered: a uma_protect registers its resources with the first request that it refuses.", fillResources)
			}
			return finish(cmd, err)
		},
	}
	l.flags(cmd)
	cmd.Flags().StringVar(&server, "resource-server", "", "client_id of a resource server")
	cmd.Flags().StringVar(&owner, "owner", "", "only of this owner")
	return cmd
}

func resourcesShowCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "show [flags] RESOURCE", Short: "Show a resource",
		Long: "\nShows a resource, a pattern or an instance of one, and how many grants there are on it.\n" + longAdmin,
		Args: one("the id of a resource"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, showResource(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

func resourcesRevokeCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "revoke [flags] RESOURCE", Short: "End all grants on a resource",
		Long: `
Ends all grants that open a resource, also those that open others besides it; of a
pattern, those of all its instances. The resource stays registered: it is its
resource server's, which would register it again.
` + longAdmin,
		Args: one("the id of a resource"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, revokeResource(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

// resource is of the answers of the admin API.
type resource struct {
	ID             string   `json:"resource_id"`
	ResourceServer string   `json:"resource_server"`
	Owner          string   `json:"owner"`
	Name           string   `json:"name"`
	Type           string   `json:"type"`
	Scopes         []string `json:"scopes"`
}

// resourceDetails is the answer about one.
type resourceDetails struct {
	resource
	Description  string            `json:"description"`
	Captures     []string          `json:"captures"`
	MaxInstances int               `json:"max_instances"`
	Instances    int               `json:"instances"`
	Pattern      string            `json:"pattern"`
	Values       map[string]string `json:"values"`
	Grants       int               `json:"grants"`
	More         bool              `json:"more_grants"`
}

func fillResources(entries []json.RawMessage) (*table, error) {
	list, err := decodeAll[resource](entries)
	t := &table{head: []string{"RESOURCE", "RESOURCE SERVER", "OWNER", "NAME", "SCOPES"}, cut: []int{1, 2, 3, 4}}
	for _, r := range list {
		t.add(r.ID, r.ResourceServer, r.Owner, r.Name, strings.Join(r.Scopes, " "))
	}
	return t, err
}

func showResource(cmd *cobra.Command, a *adminOptions, id string) error {
	if !isWord(id, idLength, hashLength) {
		return notAnID("resource", id)
	}
	answer, err := a.call(http.MethodGet, showAS+"resources/"+id, nil, nil)
	if err != nil {
		return err
	}
	return tell(cmd, a, answer, func(r *resourceDetails) error {
		instances := ""
		if r.MaxInstances > 0 {
			instances = countOf(r.Instances, false) + " of at most " + countOf(r.MaxInstances, false)
		}
		facts := []fact{
			{"resource", r.ID},
			{"name", r.Name},
			{"type", r.Type},
			{"description", r.Description},
			{"resource server", r.ResourceServer},
			{"owner", r.Owner},
			{"scopes", strings.Join(r.Scopes, " ")},
			{"captures", strings.Join(r.Captures, " ")},
			{"instances", instances},
			{"instance of", r.Pattern},
		}
		for _, name := range slices.Sorted(maps.Keys(r.Values)) {
			facts = append(facts, fact{"captured", name + "=" + r.Values[name]})
		}
		return printFacts(cmd.OutOrStdout(), append(facts, fact{"live grants", countOf(r.Grants, r.More)}))
	})
}

func revokeResource(cmd *cobra.Command, a *adminOptions, id string) error {
	if !isWord(id, idLength, hashLength) {
		return notAnID("resource", id)
	}
	body := map[string]any{"resource_id": id}
	out, err := a.revokeAll("resources/revoke", body, body)
	if err != nil {
		return err
	}
	return out.tell(cmd, a)
}
