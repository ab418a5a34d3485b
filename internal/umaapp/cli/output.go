package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// maxJSONBody is the largest body that --json holds in memory.
const maxJSONBody = 16 << 20

// tracer prints the steps with -v and keeps them for --json.
func (g *getOptions) tracer(cmd *cobra.Command) func(rqp.Step) {
	return func(s rqp.Step) {
		if g.json {
			g.steps = append(g.steps, s)
		}
		if g.verbose {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), s)
		}
	}
}

// report prints the answer or the error.
func (g *getOptions) report(cmd *cobra.Command, resp *http.Response, err error) error {
	if resp != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if g.json {
		return g.reportJSON(cmd, resp, err)
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(cmd.OutOrStdout(), resp.Body); err != nil {
		return unreachableError{fmt.Errorf("the answer broke off: %w", err)}
	}
	return statusError(g.url.Host, resp)
}

// statusError: an answer of 400 and above is a refusal.
func statusError(host string, resp *http.Response) error {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	text := fmt.Sprintf("%s said %d %s", host, resp.StatusCode, http.StatusText(resp.StatusCode))
	// UMA Grant §3.2.2: the resource server could not get a ticket.
	if resp.StatusCode == http.StatusForbidden && strings.Contains(resp.Header.Get("Warning"), "199") {
		text += ": the resource server cannot reach its authorization server. Try: again in a minute, or tell its operator"
	}
	return errors.New(text)
}

type jsonReport struct {
	Status  int         `json:"status,omitempty"`
	Headers http.Header `json:"headers,omitempty"`
	Body    string      `json:"body,omitempty"`
	Base64  string      `json:"body_base64,omitempty"`
	Steps   []jsonStep  `json:"steps"`
	Error   *jsonError  `json:"error,omitempty"`
}

type jsonStep struct {
	Step int    `json:"step"`
	Text string `json:"text"`
}

type jsonError struct {
	Step        int    `json:"step,omitempty"`
	Who         string `json:"who,omitempty"`
	Status      int    `json:"status,omitempty"`
	Code        string `json:"code,omitempty"`
	Description string `json:"description,omitempty"`
	DecisionID  string `json:"decision_id,omitempty"`
	ConsentURI  string `json:"consent_uri,omitempty"`
	Hint        string `json:"hint,omitempty"`
	Message     string `json:"message"`
}

func (g *getOptions) reportJSON(cmd *cobra.Command, resp *http.Response, err error) error {
	out := jsonReport{Steps: []jsonStep{}}
	for _, s := range g.steps {
		out.Steps = append(out.Steps, jsonStep{s.Number, s.Text})
	}
	if resp != nil && err == nil {
		if err := out.answer(resp); err != nil {
			return unreachableError{fmt.Errorf("the answer broke off: %w", err)}
		}
		err = statusError(g.url.Host, resp)
	}
	out.fail(err)
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), plainJSON(text.String())); err != nil {
		return err
	}
	return err
}

func (r *jsonReport) answer(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJSONBody+1))
	if err == nil && len(body) > maxJSONBody {
		err = errors.New("more than 16 MiB; leave --json away")
	}
	if err != nil {
		return err
	}
	r.Status, r.Headers = resp.StatusCode, resp.Header
	if utf8.Valid(body) {
		r.Body = string(body)
	} else {
		r.Base64 = base64.StdEncoding.EncodeToString(body)
	}
	return nil
}

func (r *jsonReport) fail(err error) {
	if err == nil {
		return
	}
	r.Error = &jsonError{Message: err.Error()}
	if e, ok := errors.AsType[*rqp.StepError](err); ok {
		r.Error = &jsonError{
			Step: e.Step, Who: e.Who, Status: e.Status, Code: e.Code, Description: e.Description,
			DecisionID: e.DecisionID, ConsentURI: e.ConsentURI, Hint: e.Hint, Message: err.Error(),
		}
	}
}

// canonical spells an origin as configurations do.
func canonical(origin string) string {
	return strings.TrimSuffix(strings.ToLower(origin), ":443")
}
