package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// adminOptions are the flags of the commands that ask the authorization servers
// of a running Caddy, through its admin API.
type adminOptions struct {
	address, config, adapter string
	issuer                   string
	json                     bool
}

func (a *adminOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.address, "address", "", "admin API of the Caddy")
	f.StringVarP(&a.config, "config", "c", "", "configuration file that says where its admin API is, if not --address")
	f.StringVarP(&a.adapter, "adapter", "a", "", "config adapter of that file")
	f.StringVar(&a.issuer, "issuer", "", "issuer of the authorization server, if several run there")
	f.BoolVar(&a.json, "json", false, "print the answer as JSON")
}

// longAdmin is said by each of these commands.
const longAdmin = `
It asks the running Caddy through its admin API: at --address, else where the
--config file says, else at Caddy's default. --issuer says which uma_server is
meant, if there are several.

Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 Caddy does not answer
or cannot do it at the moment.`

// show asks a question, change changes something; both give the JSON of the
// answer.
func (a *adminOptions) show(path string, query url.Values, body any) (json.RawMessage, error) {
	if body == nil {
		return a.call(http.MethodGet, "/uma/show/as/"+path, query, nil)
	}
	return a.call(http.MethodPost, "/uma/show/as/"+path, query, body)
}

func (a *adminOptions) change(path string, body any) (json.RawMessage, error) {
	return a.call(http.MethodPost, "/uma/change/as/"+path, nil, body)
}

// maxAnswer bounds an answer of the admin API.
const maxAnswer = 64 << 20

func (a *adminOptions) call(method, path string, query url.Values, body any) (json.RawMessage, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(a.address, nil, a.config, a.adapter)
	if err != nil {
		return nil, usageError{err}
	}
	if query == nil {
		query = url.Values{}
	}
	if a.issuer != "" {
		query.Set("issuer", a.issuer)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(text)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, path, nil, send)
	if err != nil {
		return nil, adminError(address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || !json.Valid(answer) {
		return nil, unreachableError{fmt.Errorf("the answer of the admin API at %s is not whole", address)}
	}
	return answer, nil
}

// adminError makes an error with an exit code of what Caddy's own function for
// such requests says: it gives status and body of a refusal as text alone.
func adminError(address string, err error) error {
	rest, refused := strings.CutPrefix(err.Error(), "caddy responded with error: HTTP ")
	number, body, _ := strings.Cut(rest, ": ")
	status, notNumber := strconv.Atoi(number)
	if !refused || notNumber != nil {
		return unreachableError{fmt.Errorf("no Caddy answers at %s: %s. Try: start it, or --address of its admin API", address, printable(err.Error()))}
	}
	text := strings.ReplaceAll(adminText(body), "which with issuer=", "which with --issuer") // as it is said here
	switch {
	case status == http.StatusBadRequest:
		return usageError{errors.New(text)}
	case status == http.StatusNotFound && text == "":
		return fmt.Errorf("the Caddy at %s has no such command. Try: the caddy program that it runs", address)
	case status == http.StatusForbidden && text == "":
		return fmt.Errorf("the admin API at %s does not permit it", address)
	case status >= http.StatusInternalServerError:
		return unreachableError{fmt.Errorf("the Caddy at %s cannot do it (status %d): %s. Try: again in a minute, and look into its log", address, status, text)}
	}
	return errors.New(text)
}

// adminText is the sentence in the body of an error, "" if there is none.
func adminText(body string) string {
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal([]byte(body), &e) != nil {
		return ""
	}
	if e.Description != "" {
		return printable(e.Description)
	}
	return printable(e.Error)
}

// maxShown is how much of one value is shown.
const maxShown = 512

// printable takes out what could steer a terminal: much of what is shown was
// written by a stranger.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

// shellWord quotes a value for a command line that somebody may copy: a URL may
// hold $(…) and quotes.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(":/._-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printJSON prints an answer for machines.
func printJSON(w io.Writer, answer json.RawMessage) error {
	var out bytes.Buffer
	if err := json.Indent(&out, answer, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, plainJSON(out.String()))
	return err
}

// plainJSON writes what could steer a terminal as escapes, which JSON reads as the same:
// encoders leave DEL, the controls of C1 and the marks that turn a line around as they
// are.
func plainJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			_, _ = fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
