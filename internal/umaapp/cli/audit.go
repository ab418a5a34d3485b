package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/chain"
)

func auditCommand() *cobra.Command {
	return group("audit", "The audit log", "", auditVerifyCommand())
}

// auditOptions are the flags of verify.
type auditOptions struct {
	keyFiles, anchors []string
	noKey, json       bool
}

func auditVerifyCommand() *cobra.Command {
	o := new(auditOptions)
	cmd := &cobra.Command{
		Use:   "verify [flags] FILE...|-",
		Short: "Check that a log is as it was written",
		Long: `
Checks logs that were written with 'format uma_chain': each line holds a hash of
itself and of the line before. Lines that were changed, left out, put in or doubled
are named. Files are read in the order in which they are given, rolled ones (also
.gz) before the one that is written now: /var/log/caddy/uma-audit*.

With --key-file (the secret of the line 'key', repeatable after it was changed) lines
must have been made with it. Without a key, who can write the file can write all of
it anew; what was cut off at the end shows only where another chain follows. Against
both, keep what is printed as the last line of each chain at another place, and give
it as --anchor (repeatable): it must be in the files, and with it all before it.

Where neither a key nor an anchor proves anything, a log that is unbroken fails, too,
unless --no-key says that this is enough.

Exit status: 0 as it was written, 1 not, or not proved, 2 wrong usage or unreadable.`,
		Example: `  caddy uma audit verify --key-file /run/secrets/audit /var/log/caddy/uma-audit*
  zstd -dc old.log.zst | caddy uma audit verify -`,
		Args: between(1, 100_000, "files, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, verifyAudit(cmd, o, args)) },
	}
	cmd.Flags().StringArrayVar(&o.keyFiles, "key-file", nil, "file with the key of the chain (- for standard input)")
	cmd.Flags().StringArrayVar(&o.anchors, "anchor", nil, "line that must be there, as chain:seq:hash")
	cmd.Flags().BoolVar(&o.noKey, "no-key", false, "be content with an unbroken chain: who can write the file can have written all of it anew")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func verifyAudit(cmd *cobra.Command, o *auditOptions, files []string) error {
	in := &input{stdin: cmd.InOrStdin()}
	keys, anchors, err := o.read(in)
	if err != nil {
		return err
	}
	v := chain.NewVerifier(keys, anchors)
	for _, name := range files {
		if err := verifyFile(v, in, name); err != nil {
			return err
		}
	}
	return o.report(cmd, v.Report())
}

func (o *auditOptions) read(in *input) (keys [][]byte, anchors []chain.Head, err error) {
	if o.noKey && len(o.keyFiles) > 0 {
		return nil, nil, usagef("--key-file and --no-key contradict each other")
	}
	for _, name := range o.keyFiles {
		key, err := in.line(name)
		if err != nil {
			return nil, nil, err
		}
		if key == "" {
			return nil, nil, usagef("--key-file: %s is empty", name)
		}
		keys = append(keys, []byte(key))
	}
	for _, text := range o.anchors {
		head, err := chain.ParseHead(text)
		if err != nil {
			return nil, nil, usagef("--anchor: %w", err)
		}
		anchors = append(anchors, head)
	}
	return keys, anchors, nil
}

func verifyFile(v *chain.Verifier, in *input, name string) error {
	if name == "-" {
		if in.taken {
			return usagef("standard input can be used for one thing only")
		}
		in.taken = true
		v.Read("standard input", in.stdin)
		return nil
	}
	f, err := os.Open(name) //nolint:gosec // the user named the file
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = f.Close() }()
	v.Read(name, f)
	return nil
}

// auditReport is what --json prints.
type auditReport struct {
	Intact   bool         `json:"intact"`
	ProvedBy string       `json:"proved_by"` // key, anchor or nothing
	Lines    int          `json:"lines"`
	Problems int          `json:"problems"`
	First    []string     `json:"first_problems"`
	Notes    []string     `json:"notes"`
	Chains   []auditChain `json:"chains"`

	keyless bool // all that is wrong is that there was no key
}

type auditChain struct {
	Chain  string `json:"chain"`
	From   uint64 `json:"from"`
	Until  uint64 `json:"until"`
	Lines  int    `json:"lines"`
	Keyed  bool   `json:"keyed"`
	Anchor string `json:"anchor"`
}

func (o *auditOptions) report(cmd *cobra.Command, r chain.Report) error {
	if r.Lines == 0 && r.Count == 0 {
		return errors.New("there is no line")
	}
	out := auditReport{
		keyless: r.Keyless == r.Count, Intact: r.Count == 0, ProvedBy: o.proof(r), Lines: r.Lines, Problems: r.Count,
		First: []string{}, Notes: []string{}, Chains: []auditChain{},
	}
	for _, p := range r.Problems {
		out.First = append(out.First, printable(p.String()))
	}
	for _, note := range r.Notes {
		out.Notes = append(out.Notes, printable(note))
	}
	for _, c := range r.Chains {
		out.Chains = append(out.Chains, auditChain{c.Last.Chain, c.First, c.Last.Seq, c.Lines, c.Keyed, c.Last.String()})
	}
	if err := o.print(cmd.OutOrStdout(), &out); err != nil {
		return err
	}
	switch {
	case out.Intact && (out.ProvedBy != byNothing || o.noKey):
		return nil
	case out.Intact:
		return errRefused
	case out.keyless: // nothing was found, because nothing could be looked at
		return usagef("give the key of the log, the secret of its line 'key': --key-file FILE")
	default:
		return errRefused
	}
}

// What can prove that nobody has written a chain anew.
const (
	byKey     = "key"
	byAnchor  = "anchor"
	byNothing = "nothing"
)

// proof is what proves a log. If there is no problem, each line has a MAC of a key that
// was given, and each anchor was there.
func (o *auditOptions) proof(r chain.Report) string {
	switch {
	case r.Count > 0:
		return byNothing
	case len(o.keyFiles) > 0:
		return byKey
	case len(o.anchors) > 0:
		return byAnchor
	}
	return byNothing
}

func (o *auditOptions) print(w io.Writer, r *auditReport) error {
	if o.json {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return printJSON(w, raw)
	}
	for _, p := range r.First {
		_, _ = fmt.Fprintln(w, p)
	}
	if more := r.Problems - len(r.First); more > 0 && !r.keyless {
		_, _ = fmt.Fprintf(w, "and %d more\n", more)
	}
	for _, note := range r.Notes {
		_, _ = fmt.Fprintln(w, "note:", note)
	}
	for _, c := range r.Chains {
		_, _ = fmt.Fprintf(w, "chain %s: lines %d to %d%s; anchor %s\n", c.Chain, c.From, c.Until, keyed(c.Keyed), c.Anchor)
	}
	_, err := fmt.Fprintf(w, "%s, %s\n", counted(r.Lines, "line"), o.verdict(r))
	return err
}

func (o *auditOptions) verdict(r *auditReport) string {
	switch {
	case !r.Intact && r.keyless:
		return "NOT checked"
	case !r.Intact:
		return "NOT as it was written: " + counted(r.Problems, "problem")
	case r.ProvedBy == byKey:
		return "as it was written"
	case r.ProvedBy == byAnchor:
		return "as it was written up to the anchor"
	case o.noKey:
		return "unbroken; it has no key, so who can write it can have written all of it anew"
	}
	return "unbroken, and NOT proved to be as it was written: it has no key, so who can write it can have written all of it anew (--anchor, or --no-key)"
}

func keyed(with bool) string {
	if with {
		return ", with a key"
	}
	return ", without a key"
}
