package cli

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

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
