package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

const longKeys = `
The servers of a running Caddy sign and seal with keys of their own: one set for
each issuer and purpose. A key is published before it is used ('next'), used
('signing'; secrets seal instead), kept until the last token made with it has
expired ('verifying'), and then good for nothing ('retired').`

const longKeysAdmin = `
It asks the running Caddy through its admin API: at --address, else where the
--config file says, else at Caddy's default. --issuer says which uma_server or
uma_sts is meant.

Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 Caddy does not answer
or cannot do it at the moment.`

func keysCommand() *cobra.Command {
	return group("keys", "Signing and sealing keys", longKeys+"\n"+longKeysAdmin,
		keysListCommand(), keysRotateCommand(), keysRetireCommand(), keysImportCommand())
}

// keyOptions are the flags of the commands about keys.
type keyOptions struct {
	adminOptions
	purpose string
}

func (k *keyOptions) flags(cmd *cobra.Command) {
	k.adminOptions.flags(cmd)
	cmd.Flags().Lookup("issuer").Usage = "issuer of the server, if several run there"
	cmd.Flags().StringVar(&k.purpose, "purpose", "", "only keys of this purpose, such as rpt or claims")
}

func keysListCommand() *cobra.Command {
	k := new(keyOptions)
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "Show the keys",
		Long:  longKeys + "\n\nKeys that were not needed yet are not made yet.\n" + longKeysAdmin,
		Args:  between(0, 0, "no arguments"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return finish(cmd, listKeys(cmd, k)) },
	}
	k.flags(cmd)
	return cmd
}

func keysRotateCommand() *cobra.Command {
	k := new(keyOptions)
	cmd := &cobra.Command{
		Use:   "rotate [flags]",
		Short: "Make the next keys now",
		Long: `
Makes the next key of an issuer, of all purposes or of one, without waiting for the
schedule (key_rotation). It is published at once and used a little later; the key
before stays good until the last token made with it has expired, so nothing is lost.
If a next key waits already, no second one is made. The subject key is never changed.
` + longKeysAdmin,
		Example: `  caddy uma keys rotate --issuer https://as.example
  caddy uma keys rotate --issuer https://as.example --purpose rpt`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, rotateKeys(cmd, k)) },
	}
	k.flags(cmd)
	return cmd
}

func keysImportCommand() *cobra.Command {
	k := new(keyOptions)
	cmd := &cobra.Command{
		Use:   "import [flags]",
		Short: "Copy the keys from Caddy's storage to the store",
		Long: `
After a change from 'keys storage' to 'keys store', copies the keys of before, so
that what was made with them stays good and the sub of RPTs stays the same. What is
there already is left alone. The files in Caddy's storage stay; remove them later.
` + longKeysAdmin,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, importKeys(cmd, k)) },
	}
	k.flags(cmd)
	return cmd
}

// keyRow and keyReach are of the answers of the admin API.
type keyRow struct {
	Issuer      string    `json:"issuer"`
	Purpose     string    `json:"purpose"`
	KID         string    `json:"kid"`
	Alg         string    `json:"alg"`
	Created     time.Time `json:"created"`
	NotBefore   time.Time `json:"not_before"`
	RetireAfter time.Time `json:"retire_after"`
	State       string    `json:"state"`
}

type keyReach struct {
	OtherNodes   float64 `json:"other_nodes"`
	BeforeUse    float64 `json:"before_use"`
	KeySets      float64 `json:"key_sets"`
	KeySetsStale float64 `json:"key_sets_stale"`
	Refetch      float64 `json:"refetch"`
	Default      float64 `json:"key_sets_default"`
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

type keyList struct {
	Keys  []keyRow `json:"keys"`
	Reach keyReach `json:"reach"`
}

// changeKeys asks for a change; printed tells that the answer is out already.
func (k *keyOptions) changeKeys(cmd *cobra.Command, what string, body map[string]string, to any) (printed bool, err error) {
	if k.purpose != "" {
		body["purpose"] = k.purpose
	}
	answer, err := k.call(http.MethodPost, "/uma/change/keys/"+what, nil, body)
	if err != nil {
		return false, err
	}
	if k.json {
		return true, printJSON(cmd.OutOrStdout(), answer)
	}
	if err := json.Unmarshal(answer, to); err != nil {
		return false, unreadable(err)
	}
	return false, nil
}

func (k *keyOptions) list() (answer json.RawMessage, list keyList, err error) {
	query := url.Values{}
	if k.purpose != "" {
		query.Set("purpose", k.purpose)
	}
	if answer, err = k.call(http.MethodGet, "/uma/show/keys", query, nil); err != nil {
		return nil, list, err
	}
	if err = json.Unmarshal(answer, &list); err != nil {
		return nil, list, unreadable(err)
	}
	return answer, list, nil
}

func listKeys(cmd *cobra.Command, k *keyOptions) error {
	answer, list, err := k.list()
	if err != nil {
		return err
	}
	if k.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	if len(list.Keys) == 0 {
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No key was needed yet, so none is made.")
		return err
	}
	return printKeys(cmd.OutOrStdout(), list.Keys)
}

func printKeys(out io.Writer, keys []keyRow) error {
	for len(keys) > 0 {
		of := keys[0].Issuer
		n := slices.IndexFunc(keys, func(k keyRow) bool { return k.Issuer != of })
		if n < 0 {
			n = len(keys)
		}
		if _, err := fmt.Fprintln(out, printable(of)); err != nil {
			return err
		}
		if err := keyTable(keys[:n]).print(out); err != nil {
			return err
		}
		if keys = keys[n:]; len(keys) > 0 {
			_, _ = fmt.Fprintln(out)
		}
	}
	return nil
}

// keyTable has the keys of one issuer. Their kids are long, so a terminal of eighty
// columns gets no more than what is needed to retire one.
func keyTable(keys []keyRow) *table {
	t := &table{
		head: []string{"PURPOSE", "STATE", "ALG", "CREATED", "USED FROM", "GOOD UNTIL", "KID"},
		drop: []int{3, 4, 2}, cut: []int{0, 5},
	}
	for _, k := range keys {
		t.add(k.Purpose, k.State, k.Alg, cell(k.Created), cell(k.NotBefore), cell(k.RetireAfter), k.KID)
	}
	return t
}

func rotateKeys(cmd *cobra.Command, k *keyOptions) error {
	var list keyList
	printed, err := k.changeKeys(cmd, "rotate", map[string]string{}, &list)
	if err != nil || printed {
		return err
	}
	out := cmd.OutOrStdout()
	if err := printKeys(out, list.Keys); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nPublished: here at once, on other nodes within %v. Used %v later (the first of its kind at once).\n"+
		"The keys before stay good until the last token made with them has expired.\n", seconds(list.Reach.OtherNodes), seconds(list.Reach.BeforeUse))
	return err
}

func importKeys(cmd *cobra.Command, k *keyOptions) error {
	var answer struct {
		Imported int `json:"imported"`
	}
	printed, err := k.changeKeys(cmd, "import", map[string]string{}, &answer)
	if err != nil || printed {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d keys were copied to the store.\n", answer.Imported)
	return err
}
