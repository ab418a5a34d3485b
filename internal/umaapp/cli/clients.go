package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const longClients = `
The clients of requesting parties at an authorization server: those of the
configuration, those that registered themselves (dynamic client registration), and
those whose client_id is the URL of their metadata document, as far as this server
has read it lately.`

func clientsCommand() *cobra.Command {
	return group("clients", "Clients of an authorization server", longClients+"\n"+longAdmin,
		clientsListCommand(), clientsShowCommand(), clientsRevokeCommand())
}

func clientsListCommand() *cobra.Command {
	l := new(listOptions)
	cmd := &cobra.Command{
		Use: "list [flags]", Short: "Show the clients", Long: longClients + "\n" + longAdmin,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := l.pages("clients", l.get(showAS+"clients", nil))
			if err == nil {
				err = l.show(cmd, "clients", all, "There are no clients.", fillClients)
			}
			return finish(cmd, err)
		},
	}
	l.flags(cmd)
	return cmd
}

func clientsShowCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "show [flags] CLIENT_ID", Short: "Show a client", Long: "\nShows a client, and how many grants it has.\n" + longAdmin,
		Args: one("a client_id"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, showClient(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

func clientsRevokeCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "revoke [flags] CLIENT_ID", Short: "Remove a registered client, and end its grants",
		Long: `
Removes a client that registered itself: from now on nothing is issued to it, and
its refresh tokens, PCTs and grants end. RPTs end where they are checked within the
time that the resource server has in its line 'revocation'. Nothing keeps it from
registering again but its initial access token.

A client of the configuration is disabled there.
` + longAdmin,
		Args: one("a client_id"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, revokeClient(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

// client is of the answers of the admin API.
type client struct {
	ID         string    `json:"client_id"`
	Source     string    `json:"source"`
	Name       string    `json:"client_name"`
	Disabled   bool      `json:"disabled"`
	Public     bool      `json:"public"`
	Method     string    `json:"token_endpoint_auth_method"`
	GrantTypes []string  `json:"grant_types"`
	Scopes     []string  `json:"scopes"`
	DPoPBound  bool      `json:"dpop_bound_access_tokens"`
	TLSBound   bool      `json:"tls_client_certificate_bound_access_tokens"`
	Registered time.Time `json:"registered_at"`
	Contacts   []string  `json:"contacts"`
	URI        string    `json:"client_uri"`
	JWKSURI    string    `json:"jwks_uri"`
	Grants     int       `json:"grants"`
	More       bool      `json:"more_grants"`
}

// kind says how a client shows who it is.
func (c client) kind() string {
	switch {
	case c.Disabled:
		return "disabled"
	case c.Public:
		return "public"
	}
	return "confidential"
}

func fillClients(entries []json.RawMessage) (*table, error) {
	clients, err := decodeAll[client](entries)
	t := &table{head: []string{"CLIENT", "FROM", "KIND", "REGISTERED", "NAME"}, cut: []int{0, 4}}
	for _, c := range clients {
		t.add(c.ID, c.Source, c.kind(), cell(c.Registered), c.Name)
	}
	return t, err
}

func showClient(cmd *cobra.Command, a *adminOptions, id string) error {
	answer, err := a.call(http.MethodGet, showAS+"client", url.Values{"client_id": {id}}, nil)
	if err != nil {
		return err
	}
	return tell(cmd, a, answer, func(c *client) error {
		return printFacts(cmd.OutOrStdout(), []fact{
			{"client", c.ID},
			{"name", c.Name},
			{"from", c.Source},
			{"kind", c.kind()},
			{"authenticates by", c.Method},
			{"grant types", strings.Join(c.GrantTypes, " ")},
			{"scopes", strings.Join(c.Scopes, " ")},
			{"DPoP demanded", yes(c.DPoPBound)},
			{"bound by mTLS", yes(c.TLSBound)},
			{"registered", at(c.Registered)},
			{"home page", c.URI},
			{"keys", c.JWKSURI},
			{"contacts", strings.Join(c.Contacts, ", ")},
			{"live grants", countOf(c.Grants, c.More)},
		})
	})
}

func revokeClient(cmd *cobra.Command, a *adminOptions, id string) error {
	out, err := a.revokeAll("clients/revoke", map[string]any{"client_id": id}, map[string]any{"client_id": id})
	if err != nil {
		return err
	}
	if a.json {
		return out.printJSON(cmd)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is not registered any more; ended: %s.\n", printable(id), grants(out.Ended))
	return err
}
