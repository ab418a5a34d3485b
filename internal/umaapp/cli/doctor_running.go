package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// runRunning lets the running Caddy examine its configuration, and prints what it
// found.
func (d *doctorOptions) runRunning(cmd *cobra.Command) error {
	if d.cacert != "" {
		return usagef("--cacert is for an e-mail address or a URL: the running Caddy trusts the CAs of its configuration")
	}
	admin := adminOptions{address: d.address, config: d.config, adapter: d.adapter}
	answer, err := admin.call(http.MethodGet, "/uma/show/doctor", nil, nil)
	if err != nil {
		return err
	}
	var report struct {
		Findings []finding.Finding `json:"findings"`
	}
	if err := json.Unmarshal(answer, &report); err != nil {
		return unreadable(err)
	}
	if d.json {
		err = printJSON(cmd.OutOrStdout(), answer)
	} else {
		err = printFindings(cmd.OutOrStdout(), report.Findings)
	}
	if err == nil && finding.Worst(report.Findings) == finding.Failure {
		err = errRefused // all has been said
	}
	return err
}

// printFindings is the report for people: subject by subject, and the verdict.
func printFindings(out io.Writer, all []finding.Finding) error {
	var b strings.Builder
	subject, count := "", map[finding.Level]int{}
	for _, f := range all {
		if f.Subject != subject {
			subject = f.Subject
			b.WriteString(printable(subject) + "\n")
		}
		count[f.Level]++
		_, _ = fmt.Fprintf(&b, "  %-8s %s\n", printable(string(f.Level)), printable(f.What))
		for _, more := range []fact{{"Cause", f.Cause}, {"Cure", f.Cure}} {
			if more.value != "" {
				_, _ = fmt.Fprintf(&b, "  %-8s %s: %s\n", "", more.name, printable(more.value))
			}
		}
	}
	b.WriteString("\n" + verdict(count[finding.Failure], count[finding.Warning]) + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func verdict(failures, warnings int) string {
	switch {
	case failures > 0:
		return fmt.Sprintf("Failures: %d, warnings: %d.", failures, warnings)
	case warnings > 0:
		return fmt.Sprintf("No failure; the warnings (%d) are worth a look.", warnings)
	}
	return "All is well, as far as can be seen from here."
}
