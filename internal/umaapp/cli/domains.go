package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

const longDomains = `
The authorization server keeps a ledger of the e-mail domains whose people it let
in: the issuer that vouches for them, how it was found, the keys that signed, and,
as hashes, who is behind each address. If a known address comes with another
issuer or subject, or a new address of a known domain with another issuer, the
line 'continuity' of the uma_server decides: deny refuses, warn lets in and logs.`

func domainsCommand() *cobra.Command {
	return group("domains", "The ledger of known e-mail domains", longDomains+"\n"+longAdmin,
		domainsListCommand(), domainsAcceptCommand(), domainsForgetCommand())
}

func domainsListCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "Show what is known",
		Long:  longDomains + "\n" + longAdmin,
		Args:  between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return finish(cmd, showAll(cmd, a, "domains", "Nobody was let in yet, so no domain is known.", printDomains))
		},
	}
	a.flags(cmd)
	return cmd
}

func domainsAcceptCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use:   "accept [flags] DOMAIN [ISSUER]",
		Short: "Make an issuer the known one of a domain",
		Long: `
Makes ISSUER the known issuer of DOMAIN; without ISSUER, the one that was refused
or warned about last. New addresses of the domain are then welcome from it, and no
longer from the issuer before. Each known address may come once with this issuer
and another subject, and is known with those from then on. So accepting the issuer
that is known already is for a provider whose subjects have changed.
` + longAdmin,
		Example: `  caddy uma domains accept bob.example
  caddy uma domains accept bob.example https://id.bob.example`,
		Args: between(1, 2, "the domain, and perhaps the issuer"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, acceptDomain(cmd, a, args)) },
	}
	a.flags(cmd)
	return cmd
}

func domainsForgetCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use:   "forget [flags] DOMAIN",
		Short: "Remove a domain and its addresses",
		Long: `
Removes DOMAIN and all its addresses from the ledger: whoever comes next is known.
What it takes away is protection, so 'accept' is better where it is enough.
` + longAdmin,
		Args: between(1, 1, "the domain"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, forgetDomain(cmd, a, args[0])) },
	}
	a.flags(cmd)
	return cmd
}

type domain struct {
	Domain    string         `json:"domain"`
	Issuers   []domainIssuer `json:"issuers"`
	Doubt     *domainDoubt   `json:"doubt"`
	Addresses int            `json:"addresses"`
	More      bool           `json:"more_addresses"`
}

type domainIssuer struct {
	Issuer   string    `json:"issuer"`
	Known    bool      `json:"known"`
	Evidence string    `json:"evidence"`
	First    time.Time `json:"first_seen"`
	Last     time.Time `json:"last_seen"`
}

type domainDoubt struct {
	Issuer  string    `json:"issuer"`
	Kind    string    `json:"kind"`
	Outcome string    `json:"outcome"`
	At      time.Time `json:"at"`
}

func unreadable(err error) error {
	if err == nil {
		err = errors.New("it does not say what was done")
	}
	return unreachableError{fmt.Errorf("the answer of the admin API is not understood: %w. Try: the caddy program that runs there", err)}
}

// printDomains prints a table with a line for each issuer, and below it what
// waits for an administrator.
func printDomains(out io.Writer, domains []domain) error {
	t := &table{
		head: []string{"DOMAIN", "ISSUER", "IS", "FOUND BY", "FIRST SEEN", "LAST SEEN", "ADDRESSES"},
		drop: []int{4, 3}, cut: []int{0, 1},
	}
	for _, d := range domains {
		addresses := countOf(d.Addresses, d.More)
		for _, i := range d.Issuers {
			is := "seen"
			if i.Known {
				is = "known"
			}
			t.add(d.Domain, i.Issuer, is, i.Evidence, day(i.First), day(i.Last), addresses)
		}
	}
	if err := t.print(out); err != nil {
		return err
	}
	for _, d := range domains {
		if d.Doubt == nil {
			continue
		}
		name, issuer := printable(d.Domain), printable(d.Doubt.Issuer)
		if _, err := fmt.Fprintf(out, "\n%s: %s\n  If that is right: caddy uma domains accept %s %s\n", name, d.Doubt, shellWord(name), shellWord(issuer)); err != nil {
			return err
		}
	}
	return nil
}

// String says what happened.
func (d *domainDoubt) String() string {
	what, who := "was refused", "for a new address of a domain that is known with another issuer"
	if d.Outcome == "warn" {
		what = "was let in with a warning"
	}
	if d.Kind == "address" {
		who = "for an address that is known with another issuer or subject"
	}
	return fmt.Sprintf("on %s, %s %s %s", day(d.At), printable(d.Issuer), what, who)
}

func acceptDomain(cmd *cobra.Command, a *adminOptions, args []string) error {
	body := map[string]string{"domain": args[0]}
	if len(args) > 1 {
		body["issuer"] = args[1]
	}
	answer, err := a.change("domains/accept", body)
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var d domain
	if err := json.Unmarshal(answer, &d); err != nil {
		return unreadable(err)
	}
	for _, i := range d.Issuers {
		if !i.Known {
			continue
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is the known issuer of %s now.\n", printable(i.Issuer), printable(d.Domain))
		if i.First.IsZero() {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Nobody has come with it so far: see that it is spelt as the provider spells it.")
		}
	}
	return err
}

func forgetDomain(cmd *cobra.Command, a *adminOptions, name string) error {
	answer, err := a.change("domains/forget", map[string]string{"domain": name})
	if err != nil {
		return err
	}
	var gone struct {
		Domain    string `json:"domain"`
		Addresses int    `json:"addresses"`
	}
	if err := json.Unmarshal(answer, &gone); err != nil || gone.Domain == "" {
		return unreadable(err)
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten, with %d of its addresses.\n", printable(gone.Domain), gone.Addresses)
	return err
}
