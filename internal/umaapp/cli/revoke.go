package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"

	"github.com/spf13/cobra"
)

// revocation is the answer to one: how many grants ended. With Next there may be more.
type revocation struct {
	Ended int    `json:"ended"`
	Next  string `json:"next,omitempty"`
}

// revokeAll gives a command, and goes on where it ended until nothing is left: the
// server ends so many grants at a time. rest says which these are.
func (a *adminOptions) revokeAll(path string, body, rest map[string]any) (sum revocation, err error) {
	for {
		answer, err := a.call(http.MethodPost, changeAS+path, nil, body)
		if err != nil {
			return sum, a.brokenOff(sum, err)
		}
		var out struct {
			Ended *int   `json:"ended"`
			Next  string `json:"next"`
		}
		if err := json.Unmarshal(answer, &out); err != nil || out.Ended == nil { // {} is nobody's answer: nothing was revoked
			return sum, a.brokenOff(sum, unreadable(err))
		}
		sum.Ended += *out.Ended
		if out.Next == "" {
			return sum, nil
		}
		path, body = "grants/revoke", maps.Clone(rest)
		body["after"] = out.Next
	}
}

// brokenOff says what was done before an error.
func (a *adminOptions) brokenOff(sum revocation, err error) error {
	if sum.Ended == 0 {
		return err
	}
	return unreachableError{fmt.Errorf("%s ended, then: %w", grants(sum.Ended), err)}
}

func (r revocation) printJSON(cmd *cobra.Command) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), text)
}

func (r revocation) tell(cmd *cobra.Command, a *adminOptions) error {
	if a.json {
		return r.printJSON(cmd)
	}
	text := "Ended: " + grants(r.Ended) + "."
	if r.Ended == 0 {
		text = "Nothing ended: no live grant fits."
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
