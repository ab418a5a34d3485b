package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// explainOptions are the flags of `caddy uma explain`.
type explainOptions struct {
	adminOptions
	claims         string
	resourceServer string
	resource       string
	scopes         []string
	client         string
	captures       []string
	owner          string

	in input
}

const longExplain = `
Says which policy decided, and why the others did not: for a decision, whose id
stands in the answer to the client and in the log, or, without anybody asking for
access, for claims and a resource.

--claims FILE holds the claims as a JSON object, as they would stand in a claims
token (- is standard input); --resource-server is the client_id of the resource
server, --resource the name of the resource. Without --scope it is about the
resource as such. If the resource is a pattern, such as /users/:user/photos/:id,
--capture user=alice names a value, once for each capture, and --owner the owner.
` + longAdmin

func explainCommand() *cobra.Command {
	e := new(explainOptions)
	cmd := &cobra.Command{
		Use:   "explain [flags] [DECISION]",
		Short: "Which policy decided, and why",
		Long:  longExplain,
		Example: `  caddy uma explain kJ3nC0gq7Yd2mQ4TtX8v1A
  caddy uma explain --claims bob.json --resource-server api --resource "RS API" --scope get`,
		Args: between(0, 1, "the id of a decision"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.in.stdin = cmd.InOrStdin()
			return finish(cmd, e.run(cmd, strings.Join(args, "")))
		},
	}
	e.adminOptions.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&e.claims, "claims", "", "file with claims (JSON); - is standard input")
	f.StringVar(&e.resourceServer, "resource-server", "", "client_id of the resource server")
	f.StringVar(&e.resource, "resource", "", "name of the resource")
	f.StringArrayVar(&e.scopes, "scope", nil, "scope that is asked for; may be repeated")
	f.StringArrayVar(&e.captures, "capture", nil, "NAME=VALUE of an instance, with --claims; may be repeated")
	f.StringVar(&e.owner, "owner", "", "owner of an instance, with --claims")
	f.StringVar(&e.client, "client", rqp.DefaultClientID, "client_id of the client, with --claims")
	return cmd
}

func (e *explainOptions) run(cmd *cobra.Command, decision string) error {
	answer, err := e.ask(decision)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var x explanation
	if err := json.Unmarshal(answer, &x); err != nil {
		return unreadable(err)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), x.text())
	return err
}

func (e *explainOptions) ask(decision string) (json.RawMessage, error) {
	dry := e.claims != "" || e.resourceServer != "" || e.resource != "" || len(e.scopes)+len(e.captures) > 0 || e.owner != ""
	switch {
	case decision != "" && dry:
		return nil, usagef("explain takes either the id of a decision, or --claims, --resource-server, --resource and --scope")
	case decision != "" && !isWord(decision):
		return nil, notAnID("decision", decision)
	case decision != "":
		return e.show("decisions/"+url.PathEscape(decision), nil, nil)
	case !dry:
		return nil, usagef("explain needs the id of a decision (decision_id in the answer to the client and in the log), or --claims FILE with --resource-server and --resource")
	case e.claims == "" || e.resourceServer == "" || e.resource == "":
		return nil, usagef("--claims FILE, --resource-server ID and --resource NAME belong together")
	}
	text, err := e.in.file(e.claims)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil || claims == nil {
		return nil, usagef("--claims %s must hold a JSON object, such as {\"iss\":\"https://bob.example\",\"sub\":\"1\",\"email\":\"bob@bob.example\"}", e.claims)
	}
	ask := map[string]any{
		"claims": json.RawMessage(text), "resource_server": e.resourceServer, "resource": e.resource,
		"scopes": append([]string{}, e.scopes...), "client_id": e.client,
	}
	if err := e.instance(ask); err != nil {
		return nil, err
	}
	return e.show("explain", nil, ask)
}

// instance says which instance of a pattern is asked about.
func (e *explainOptions) instance(ask map[string]any) error {
	captures := map[string]string{}
	for _, text := range e.captures {
		name, value, found := strings.Cut(text, "=")
		if _, again := captures[name]; !found || name == "" || value == "" || again {
			return usagef("--capture takes NAME=VALUE, once for each name, such as --capture user=alice")
		}
		captures[name] = value
	}
	if len(captures) > 0 {
		ask["captures"] = captures
	}
	if e.owner != "" {
		ask["owner"] = e.owner
	}
	return nil
}
