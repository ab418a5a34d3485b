package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// migrated is what was moved.
type migrated struct {
	Documents int           `json:"documents"`
	Kinds     []migratedRow `json:"kinds"`
	keys      bool          // some are keys
}

type migratedRow struct {
	Role      string `json:"role"`
	Issuer    string `json:"issuer"`
	Kind      string `json:"kind"`
	Documents int    `json:"documents"`
}

func migrateStore(cmd *cobra.Command, m *migrateOptions) error {
	if m.from == "" || m.to == "" {
		return usagef("name both stores: --from STORE --to STORE")
	}
	from, err := m.open("--from", m.from, true)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if err := notInUse(cmd.Context(), from); err != nil {
		return err
	}
	to, err := m.open("--to", m.to, false)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	tally, err := store.Migrate(cmd.Context(), from, to)
	if _, done := errors.AsType[*store.NotRenewedError](err); err != nil && !done {
		return migrateError(err)
	}
	if printed := printMigrated(cmd.OutOrStdout(), m.json, newMigrated(&tally)); printed != nil {
		return printed
	}
	if err != nil {
		return fmt.Errorf("%w. Never start a server with it again: a ticket could be spent in both; remove it", err)
	}
	return nil
}

// notInUse refuses to leave a store that servers use: what they write meanwhile would be
// lost, and with it which tickets are spent.
func notInUse(ctx context.Context, from store.Portable) error {
	users, err := umaapp.InUse(ctx, from)
	if err != nil {
		return unreachableError{fmt.Errorf("--from: %w. Nothing was changed", err)}
	}
	if len(users) == 0 {
		return nil
	}
	return fmt.Errorf("--from: servers use this store: %s. Stop them first; one that was killed is forgotten half a minute later. Nothing was changed", printable(strings.Join(users, ", ")))
}

// open finds and opens the store that a flag names.
func (m *migrateOptions) open(flag, value string, mustExist bool) (store.Portable, error) {
	raw, onCommandLine, err := m.storeNamed(value)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	backend, err := umaapp.StoreBackend(raw)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	if b, ok := backend.(umaapp.LiteralSecret); ok && onCommandLine && b.HoldsLiteralSecret() {
		return nil, usagef("%s: a password must not stand on the command line, which other users can read; write postgres:{env.NAME} or postgres:{file./path/to/dsn}", flag)
	}
	s, err := umaapp.OpenPortable(backend, mustExist)
	if err != nil {
		return nil, unreachableError{fmt.Errorf("%s: %w. Nothing was changed", flag, err)}
	}
	return s, nil
}

// storeNamed gives the configuration of a store.
func (m *migrateOptions) storeNamed(value string) (raw json.RawMessage, onCommandLine bool, err error) {
	kind, rest, _ := strings.Cut(value, ":")
	switch {
	case kind == "bolt":
		raw, err = json.Marshal(map[string]string{"module": "bolt", "path": rest})
	case kind == "postgres":
		raw, err = json.Marshal(map[string]string{"module": "postgres", "dsn": rest})
	default:
		config, _, _, err := caddycmd.LoadConfig(value, m.adapter)
		if err != nil {
			return nil, false, fmt.Errorf("'%s' is neither bolt[:PATH] nor postgres:DSN, and no configuration: %w", printable(value), err)
		}
		raw, err = umaapp.StoreOfConfig(config)
		return raw, false, err
	}
	return raw, true, err
}

// migrateError says who has to do something.
func migrateError(err error) error {
	switch {
	case errors.Is(err, store.ErrSame), errors.Is(err, store.ErrEmpty), errors.Is(err, store.ErrNotEmpty), errors.Is(err, store.ErrParted):
		return fmt.Errorf("%w; nothing was changed", err)
	default:
		return unreachableError{fmt.Errorf("%w. The old store is as it was, and the new one as empty as before. If it was the connection that failed, run the command again to be sure", err)}
	}
}

func newMigrated(t *store.Tally) *migrated {
	m := &migrated{Documents: t.Len(), Kinds: []migratedRow{}}
	for k, n := range t.Kinds {
		role, issuer := store.SplitTenant(k.Tenant)
		m.Kinds = append(m.Kinds, migratedRow{role, issuer, k.Kind, n})
		m.keys = m.keys || k.Kind == "key"
	}
	slices.SortFunc(m.Kinds, func(a, b migratedRow) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Kind, b.Kind))
	})
	return m
}

func printMigrated(out io.Writer, asJSON bool, m *migrated) error {
	if asJSON {
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return printJSON(out, text)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ISSUER\tROLE\tKIND\tDOCUMENTS")
	before := ""
	for _, k := range m.Kinds {
		issuer := printable(k.Issuer)
		if issuer == before {
			issuer = ""
		} else {
			before = issuer
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", issuer, printable(k.Role), printable(k.Kind), k.Documents)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	keys := "The keys are among them ('keys store')."
	if !m.keys {
		keys = "Keys are not among them: with 'keys storage' they are in Caddy's storage, which the new nodes must share; or see caddy uma keys import."
	}
	_, err := fmt.Fprintf(out, "\n%d documents were moved, written and read again. The new store is the old one now, for tickets too.\n%s\n"+
		"The old store keeps its documents and is another one: remove it when the servers run with the new one.\n", m.Documents, keys)
	return err
}
