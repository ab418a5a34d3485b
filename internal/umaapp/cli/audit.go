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
	json              bool
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

Exit status: 0 as it was written, 1 not, 2 wrong usage or unreadable.`,
		Example: `  caddy uma audit verify --key-file /run/secrets/audit /var/log/caddy/uma-audit*
  zstd -dc old.log.zst | caddy uma audit verify -`,
		Args: between(1, 100_000, "files, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, verifyAudit(cmd, o, args)) },
	}
	cmd.Flags().StringArrayVar(&o.keyFiles, "key-file", nil, "file with the key of the chain (- for standard input)")
	cmd.Flags().StringArrayVar(&o.anchors, "anchor", nil, "line that must be there, as chain:seq:hash")
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
	out := auditReport{keyless: r.Keyless == r.Count, Intact: r.Count == 0, Lines: r.Lines, Problems: r.Count, First: []string{}, Notes: []string{}, Chains: []auditChain{}}
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
	case out.Intact:
		return nil
	case out.keyless: // nothing was found, because nothing could be looked at
		return usagef("give the key of the log, the secret of its line 'key': --key-file FILE")
	default:
		return errRefused
	}
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
	_, err := fmt.Fprintf(w, "%s, %s\n", counted(r.Lines, "line"), r.verdict())
	return err
}

func (r *auditReport) verdict() string {
	switch {
	case r.Intact:
		return "as it was written"
	case r.keyless:
		return "NOT checked"
	default:
		return "NOT as it was written: " + counted(r.Problems, "problem")
	}
}

func keyed(with bool) string {
	if with {
		return ", with a key"
	}
	return ", without a key"
}
