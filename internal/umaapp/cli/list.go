package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// listOptions are the flags of the commands that list page by page.
type listOptions struct {
	adminOptions
	limit int
	after string
}

const defaultLimit = 100

func (l *listOptions) flags(cmd *cobra.Command) {
	l.adminOptions.flags(cmd)
	cmd.Flags().IntVar(&l.limit, "limit", defaultLimit, "how many are shown; 0 shows all")
	cmd.Flags().StringVar(&l.after, "after", "", "go on where a list ended that said so")
}

// list is what was listed. Next is there if there is more.
type list struct {
	entries    []json.RawMessage
	next       string
	unreadable int
}

// maxPage is the largest page that the servers give.
const maxPage = 1000

// pages asks for pages until there are enough entries. A page may have none and be
// followed by others: the servers look at so many at a time.
func (l *listOptions) pages(member string, get func(after string, limit int) (json.RawMessage, error)) (*list, error) {
	if l.limit < 0 {
		return nil, usagef("--limit is a number, 0 for all")
	}
	all := &list{entries: []json.RawMessage{}, next: l.after}
	for {
		n, before := maxPage, all.next
		if l.limit > 0 {
			n = min(n, l.limit-len(all.entries))
		}
		answer, err := get(all.next, n)
		if err != nil {
			return nil, err
		}
		if err := all.take(member, answer); err != nil {
			return nil, err
		}
		if all.next == "" || all.next == before || l.limit > 0 && len(all.entries) >= l.limit {
			return all, nil
		}
	}
}

func (a *list) take(member string, answer json.RawMessage) error {
	var page struct {
		Next       string `json:"next"`
		Unreadable int    `json:"unreadable"`
	}
	members := map[string]json.RawMessage{}
	var entries []json.RawMessage
	for _, to := range []any{&page, &members} {
		if err := json.Unmarshal(answer, to); err != nil {
			return unreadable(err)
		}
	}
	if err := json.Unmarshal(members[member], &entries); err != nil {
		return unreadable(err)
	}
	a.entries, a.next = append(a.entries, entries...), page.Next
	a.unreadable += page.Unreadable
	return nil
}

// get is the function for pages that come with GET.
func (l *listOptions) get(path string, query url.Values) func(string, int) (json.RawMessage, error) {
	return func(after string, limit int) (json.RawMessage, error) {
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		if after != "" {
			q.Set("after", after)
		}
		for name, values := range query {
			if values[0] != "" {
				q[name] = values
			}
		}
		return l.call(http.MethodGet, path, q, nil)
	}
}

// search is the function for pages that a body asks for.
func (l *listOptions) search(path string, body map[string]any) func(string, int) (json.RawMessage, error) {
	return func(after string, limit int) (json.RawMessage, error) {
		body["limit"], body["after"] = limit, after
		return l.call(http.MethodPost, path, nil, body)
	}
}

// show prints a list: as JSON, or as the table that fill makes, and then what it does
// not show.
func (l *listOptions) show(cmd *cobra.Command, member string, all *list, none string, fill func([]json.RawMessage) (*table, error)) error {
	if l.json {
		return all.printJSON(cmd, member)
	}
	errs := cmd.ErrOrStderr()
	if len(all.entries) == 0 {
		_, _ = fmt.Fprintln(errs, none)
	} else {
		t, err := fill(all.entries)
		if err != nil {
			return err
		}
		if err := t.print(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	if all.unreadable > 0 {
		_, _ = fmt.Fprintf(errs, "%d cannot be read: a newer program wrote them.\n", all.unreadable)
	}
	if all.next != "" {
		_, _ = fmt.Fprintf(errs, "There is more: --limit 0 shows all, --after %s what follows.\n", shellWord(printable(all.next)))
	}
	return nil
}

func (a *list) printJSON(cmd *cobra.Command, member string) error {
	out := map[string]any{member: a.entries}
	if a.next != "" {
		out["next"] = a.next
	}
	if a.unreadable > 0 {
		out["unreadable"] = a.unreadable
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), text)
}

// showAll reads all pages of a list of the authorization server that is short, and
// prints it: as JSON, or as text makes it of what is decoded.
func showAll[T any](cmd *cobra.Command, a *adminOptions, name, none string, text func(io.Writer, []T) error) error {
	all := &list{entries: []json.RawMessage{}}
	for after, more := "", true; more; after = all.next {
		answer, err := a.show(name, url.Values{"after": {after}}, nil)
		if err != nil {
			return err
		}
		if err := all.take(name, answer); err != nil {
			return err
		}
		more = all.next != "" && all.next != after
	}
	if a.json {
		return all.printJSON(cmd, name)
	}
	entries, err := decodeAll[T](all.entries)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), none)
		return err
	}
	return text(cmd.OutOrStdout(), entries)
}

// decodeAll reads entries of a list.
func decodeAll[T any](entries []json.RawMessage) ([]T, error) {
	all := make([]T, len(entries))
	for i, raw := range entries {
		if err := json.Unmarshal(raw, &all[i]); err != nil {
			return nil, unreadable(err)
		}
	}
	return all, nil
}

// tell prints an answer: as JSON, or as text makes it of what is decoded.
func tell[T any](cmd *cobra.Command, a *adminOptions, answer json.RawMessage, text func(*T) error) error {
	if a.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	v := new(T)
	if err := json.Unmarshal(answer, v); err != nil {
		return unreadable(err)
	}
	return text(v)
}

// Paths of the admin API.
const (
	showAS, changeAS   = "/uma/show/as/", "/uma/change/as/"
	showSTS, changeSTS = "/uma/show/sts/", "/uma/change/sts/"
)
