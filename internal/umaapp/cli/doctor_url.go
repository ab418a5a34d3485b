package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// runURL goes the way of a client that has nothing to identify a person with: all
// that can be checked before somebody's identity is touched.
func (d *doctorOptions) runURL(cmd *cobra.Command, raw string) error {
	address, err := caddycmd.DetermineAdminAPIAddress(d.address, nil, d.config, d.adapter)
	if err != nil {
		return usageError{err}
	}
	g := &getOptions{cacert: d.cacert, address: address, in: d.in}
	if err := g.checkFlags(raw); err != nil {
		return err
	}
	network, err := g.network(g.url)
	if err != nil {
		return err
	}
	v := &visit{List: finding.List{Subject: g.url.Scheme + "://" + g.url.Host + g.url.EscapedPath()}}
	// With DPoP no resource is refused because it takes no bearer tokens.
	client, err := rqp.New(rqp.Config{Network: network, Trace: v.step, DPoP: true})
	if err != nil {
		return usageError{err}
	}
	req, err := http.NewRequestWithContext(contextOf(cmd), http.MethodGet, g.url.String(), nil)
	if err != nil {
		return usageError{err}
	}
	resp, err := client.Do(req)
	if err != nil {
		v.ended(err)
	} else {
		_ = resp.Body.Close()
		v.answered(resp)
	}
	return d.printVisit(cmd, v)
}

func (d *doctorOptions) printVisit(cmd *cobra.Command, v *visit) (err error) {
	worst := finding.Worst(v.All)
	if d.json {
		err = encodeJSON(cmd.OutOrStdout(), map[string]any{"verdict": worst, "findings": v.All})
	} else {
		err = printFindings(cmd.OutOrStdout(), v.All)
	}
	switch {
	case err != nil, worst != finding.Failure:
		return err
	case v.unreachable:
		return errors.Join(errRefused, unreachableError{errors.New("a server does not answer")})
	}
	return errRefused
}

// visit is what a client meets.
type visit struct {
	finding.List
	unreachable bool
}

// step adds what went well; the request itself says nothing.
func (v *visit) step(s rqp.Step) {
	if s.Number == 1 {
		return
	}
	check := "challenge"
	if s.Number == 0 {
		check = "metadata"
	}
	v.OK(check, "%s", strings.TrimPrefix(s.Text, "client: "))
}

// ended says where the way ends. That there is nobody to identify is its good end.
func (v *visit) ended(err error) {
	e, ok := errors.AsType[*rqp.StepError](err)
	switch {
	case !ok:
		v.Fail("request", "the request could not be made", err.Error(), "look at the URL")
	case e.Code == rqp.CodeNoIdentity:
		v.OK("identity", "a client would identify its user now: caddy uma get --user EMAIL goes on")
	case e.Code == rqp.CodeUnreachable && e.Err != nil:
		v.unreachable = true
		cause, cure := finding.Network(e.Err)
		v.Fail("network", e.Who+" cannot be reached", cause, cure)
	default:
		cause := cmp.Or(e.Description, e.Error())
		if e.Status != 0 {
			cause += fmt.Sprintf(" (status %d)", e.Status)
		}
		v.Fail("trust", "a client stops here: "+e.Name+" failed", cause,
			cmp.Or(e.Hint, "correct what the resource server or the authorization server says of itself; caddy uma doctor, at its Caddy, says more"))
	}
}

// answered says what an answer without a UMA challenge means.
func (v *visit) answered(resp *http.Response) {
	v.All = nil // that it answered is said below
	const check = "challenge"
	answer := fmt.Sprintf("it answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch status := resp.StatusCode; {
	case status == http.StatusForbidden && strings.Contains(resp.Header.Get("Warning"), "199"): // UMA Grant §3.2.2
		v.Fail(check, "the resource server gets no permission ticket", answer+", with a warning that its authorization server cannot be reached",
			"caddy uma doctor at the Caddy of the resource server says why")
	case status < 300:
		v.Fail(check, "this resource is not protected: it can be had without a token", answer,
			"put uma_protect before what answers there; if the path is meant to be public, all is well")
	case status < 400:
		v.Fail(check, "this is not the resource", answer+" and leads to "+plainLocation(resp), "ask the URL that it leads to; clients of UMA follow no redirect")
	case status == http.StatusUnauthorized:
		v.Fail(check, "it asks for something else than an RPT", answer+" without a UMA challenge",
			"look what stands before uma_protect in that site, such as basic_auth or a load balancer")
	case status >= 500:
		v.Fail(check, "the resource server is in trouble", answer, "look into its log")
	default:
		v.Fail(check, "it refuses the request before any token is asked for", answer, "look at the path and the method, and what stands before uma_protect in that site")
	}
}

// plainLocation is where a redirect leads to, without what may be a secret.
func plainLocation(resp *http.Response) string {
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return "what is no URL"
	}
	return cmp.Or((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "nowhere")
}
