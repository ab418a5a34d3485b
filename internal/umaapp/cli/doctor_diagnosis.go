package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// level is how bad a finding is.
type level string

const (
	levelOK      level = "ok"
	levelWarning level = "warning"
	levelProblem level = "problem"
)

// stepFinding is one thing that the doctor found, and the cure.
type stepFinding struct {
	Step  string `json:"step"`
	Level level  `json:"level"`
	Code  string `json:"code"` // for machines
	Text  string `json:"text"`
	Cure  string `json:"cure,omitempty"`
}

// request is one step of the look-up as it went over the network.
type request struct {
	Step         string       `json:"step"`
	URL          string       `json:"url"`
	Hops         []requestHop `json:"hops"`
	Milliseconds int64        `json:"milliseconds"`
}

type requestHop struct {
	URL       string          `json:"url"`
	Status    int             `json:"status,omitempty"`
	Addresses []dialedAddress `json:"addresses"`
}

type dialedAddress struct {
	Address string `json:"address"`
	Is      string `json:"is"`
}

// diagnosis is all that the doctor says.
type diagnosis struct {
	Email    string        `json:"email"`
	Verdict  level         `json:"verdict"`
	Summary  string        `json:"summary"`
	Issuer   string        `json:"issuer,omitempty"`
	FoundBy  string        `json:"found_by,omitempty"`
	Findings []stepFinding `json:"findings"`
	Requests []request     `json:"requests"`

	address     oauth.Address
	expected    string // the issuer that the metadata must have
	unreachable bool
}

// titles of the steps.
func title(step string) string {
	return map[string]string{
		discovery.AskWebFinger: "WebFinger", discovery.AskConfiguration: "Metadata", discovery.AskKeys: "Keys",
	}[step]
}

// diagnose makes findings of a look-up; other is WebFinger's answer for nobody.
func diagnose(a oauth.Address, r discovery.Report, nobody oauth.Address, other discovery.Step) *diagnosis {
	d := &diagnosis{
		Email: a.String(), Issuer: r.Found.Issuer, FoundBy: r.Found.Evidence, Findings: []stepFinding{}, Requests: []request{},
		address: a, expected: "https://" + a.Domain,
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		d.Requests = append(d.Requests, requestOf(s))
		switch s.Ask {
		case discovery.AskWebFinger:
			d.webFinger(s, r.Err == nil)
			d.compare(s, &other, nobody)
		case discovery.AskConfiguration:
			d.configuration(s)
		case discovery.AskKeys:
			d.keys(s, r.Keys)
		}
		d.pace(s)
	}
	d.conclude(r.Err)
	return d
}

func (d *diagnosis) add(step string, l level, code, cure, format string, args ...any) {
	d.Findings = append(d.Findings, stepFinding{
		Step: step, Level: l, Code: code, Cure: printable(cure), Text: printable(fmt.Sprintf(format, args...)),
	})
}

func (d *diagnosis) ok(step, format string, args ...any) {
	d.add(step, levelOK, "ok", "", format, args...)
}

// worst is the level of the worst finding.
func (d *diagnosis) worst() level {
	worst := levelOK
	for _, f := range d.Findings {
		if f.Level == levelProblem || worst == levelOK {
			worst = f.Level
		}
		if worst == levelProblem {
			break
		}
	}
	return worst
}

// conclude says in one sentence how it stands. A failure that no check has found
// words for is one all the same.
func (d *diagnosis) conclude(err error) {
	if err != nil && d.worst() != levelProblem {
		step := discovery.AskWebFinger
		if n := len(d.Requests); n > 0 {
			step = d.Requests[n-1].Step
		}
		d.add(step, levelProblem, "failed", "", "%s", err)
	}
	who := printable(d.Email)
	switch d.Verdict = d.worst(); {
	case err != nil:
		d.Summary = fmt.Sprintf("Authorization servers do not find who vouches for %s: without an entry of their own for %s they let nobody of it in.", who, d.address.Domain)
	case d.Verdict == levelProblem:
		d.Summary = fmt.Sprintf("Authorization servers find that %s vouches for %s, but not all is well: see the problems above.", printable(d.Issuer), who)
	case d.Verdict == levelWarning:
		d.Summary = fmt.Sprintf("Authorization servers find that %s vouches for %s; the warnings above are worth a look.", printable(d.Issuer), who)
	default:
		d.Summary = fmt.Sprintf("All is well: authorization servers find that %s vouches for %s.", printable(d.Issuer), who)
	}
}

// exit makes the exit code; all has been said.
func (d *diagnosis) exit() error {
	switch {
	case d.Verdict != levelProblem:
		return nil
	case d.unreachable:
		return errors.Join(errRefused, unreachableError{errors.New("a server does not answer")})
	}
	return errRefused
}

func requestOf(s *discovery.Step) request {
	r := request{Step: s.Ask, URL: s.URL, Hops: []requestHop{}, Milliseconds: s.Took.Milliseconds()}
	for _, h := range s.Hops {
		hop := requestHop{URL: h.URL, Status: h.Status, Addresses: []dialedAddress{}}
		for _, addr := range h.Dialled {
			hop.Addresses = append(hop.Addresses, dialedAddress{addr.String(), classOf(addr.Addr())})
		}
		r.Hops = append(r.Hops, hop)
	}
	return r
}

// classOf says what kind of address it is, for a message; the rule itself is the
// client's.
func classOf(addr netip.Addr) string {
	addr = addr.Unmap()
	switch {
	case addr.IsLoopback():
		return "loopback"
	case addr.IsPrivate():
		return "private"
	case addr.IsLinkLocalUnicast():
		return "link-local"
	case addr.IsMulticast(), addr.IsUnspecified():
		return "of no host"
	case netip.MustParsePrefix("100.64.0.0/10").Contains(addr):
		return "of a carrier's inner network"
	}
	return "public"
}

// print is the report for people: each step, what was asked, what was found, and
// the verdict.
func (d *diagnosis) print(out io.Writer) error {
	var b strings.Builder
	for _, r := range d.Requests {
		b.WriteString(title(r.Step) + "\n")
		r.write(&b)
		for _, f := range d.Findings {
			if f.Step == r.Step {
				f.write(&b)
			}
		}
	}
	b.WriteString("\n" + d.Summary + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (r request) write(b *strings.Builder) {
	if len(r.Hops) == 0 {
		_, _ = fmt.Fprintf(b, "  GET %s\n", printable(r.URL))
	}
	for _, h := range r.Hops {
		var addresses []string
		for _, a := range h.Addresses {
			addresses = append(addresses, a.Address+" ("+a.Is+")")
		}
		at, answer := "no address", "no answer"
		if len(addresses) > 0 {
			at = strings.Join(addresses, ", ")
		}
		if h.Status != 0 {
			answer = fmt.Sprint(h.Status)
		}
		_, _ = fmt.Fprintf(b, "  GET %s\n      %s at %s\n", printable(h.URL), answer, at)
	}
}

func (f stepFinding) write(b *strings.Builder) {
	_, _ = fmt.Fprintf(b, "  %-8s %s\n", f.Level, f.Text)
	if f.Cure != "" {
		_, _ = fmt.Fprintf(b, "  %-8s Cure: %s\n", "", f.Cure)
	}
}

func (d *diagnosis) printJSON(out io.Writer) error {
	return encodeJSON(out, d)
}

// encodeJSON writes a report for machines; it may be read on a terminal all the same.
func encodeJSON(out io.Writer, report any) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(report); err != nil {
		return err
	}
	_, err := io.WriteString(out, plainJSON(text.String()))
	return err
}
