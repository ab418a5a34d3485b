package cli

import (
	"context"
	"net/url"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// doctorOptions are the flags of `caddy uma doctor`.
type doctorOptions struct {
	address, config, adapter string
	cacert                   string
	json                     bool

	in input
}

const longDoctor = `
Without an argument it lets the running Caddy look at what its configuration cannot
show by itself, and says of each thing how it stands, with cause and cure: for each
uma_protect whether the authorization server answers, is the issuer that is written,
takes the credentials, has the same resource_uri and the resources; for each
uma_server and uma_sts whether it is found at its issuer, and by the e-mail addresses
that it vouches for; whether providers answer and take the credentials; store, keys
and other nodes; clocks; requests that a load balancer sent without saying that they
came by TLS; what stands before uma_protect and takes requests away; claims that
policies name and nobody brought; and entries that are left over from a test. The Caddy asks what it asks anyway, with the same clients.

With an e-mail address it looks that up as an authorization server does that has no
entry for its domain: WebFinger at the domain, the issuer that it names, the issuer's
metadata and its keys, under the same rules for addresses, ports, certificates,
sizes and times. It says in plain words what is wrong, and what to do about it,
and warns of what works but is not meant. It is for whoever runs the domain or its
provider; no password is needed, and nobody is logged in.

With a URL it meets what a client meets there that cannot identify anybody: the
permission ticket, the metadata of the resource (RFC 9728) and of its authorization
server, and whether they name each other. That leaves one ticket unused.

For an address or URL under localhost, Caddy's own CA certificate and the connect_to
entries are read from the admin API of the running Caddy (--address, or as the
--config file says). With --cacert FILE an admin API is not needed.

Exit status: 0 no problem (perhaps warnings), 1 a problem, 2 wrong usage, 3 a
server does not answer; without an argument that server is Caddy's admin API.`

func doctorCommand() *cobra.Command {
	d := new(doctorOptions)
	cmd := &cobra.Command{
		Use:   "doctor [flags] [EMAIL|URL]",
		Short: "What is wrong with the running configuration, or with an e-mail address or URL, and the cure",
		Long:  longDoctor,
		Example: `  caddy uma doctor
  caddy uma doctor bob@bob.example
  caddy uma doctor https://api.alice.example/photos
  caddy uma doctor --json bob@bob.localhost`,
		Args: between(0, 1, "no argument, or an e-mail address or URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.in.stdin = cmd.InOrStdin()
			return finish(cmd, d.run(cmd, strings.Join(args, "")))
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.address, "address", "", "admin API of the Caddy")
	f.StringVarP(&d.config, "config", "c", "", "configuration file that says where its admin API is, if not --address")
	f.StringVarP(&d.adapter, "adapter", "a", "", "config adapter of that file")
	f.StringVar(&d.cacert, "cacert", "", "file with CA certificates (PEM) for hosts under localhost, instead of the admin API")
	f.BoolVar(&d.json, "json", false, "print the report as JSON")
	return cmd
}

func (d *doctorOptions) run(cmd *cobra.Command, email string) error {
	if email == "" && len(cmd.Flags().Args()) == 0 {
		return d.runRunning(cmd)
	}
	if strings.Contains(email, "://") {
		return d.runURL(cmd, email)
	}
	a, err := doctorAddress(email)
	if err != nil {
		return err
	}
	client, err := d.client(a.Domain)
	if err != nil {
		return err
	}
	x, err := examine(contextOf(cmd), client, a)
	if err != nil {
		return err
	}
	if d.json {
		err = x.printJSON(cmd.OutOrStdout())
	} else {
		err = x.print(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	return x.exit()
}

func doctorAddress(email string) (oauth.Address, error) {
	if email == "" {
		return oauth.Address{}, usagef("the e-mail address is empty; without an argument doctor looks at the running configuration")
	}
	a, err := oauth.ParseAddress(email)
	if err != nil {
		return a, usagef("%q is not an e-mail address as authorization servers accept it: ASCII, no quotes, a domain with a dot", email)
	}
	return a, nil
}

// client is the one that an authorization server has for strangers.
func (d *doctorOptions) client(domain string) (*outbound.Strict, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(d.address, nil, d.config, d.adapter)
	if err != nil {
		return nil, usageError{err}
	}
	u := &url.URL{Scheme: "https", Host: domain}
	n, err := (&getOptions{cacert: d.cacert, address: address, in: d.in, url: u}).network(u)
	if err != nil {
		return nil, err
	}
	return outbound.NewStrict(outbound.Config{ConnectTo: n.ConnectTo, Roots: n.Roots}), nil
}

// examine looks the address up, and somebody who is not there.
func examine(ctx context.Context, client *outbound.Strict, a oauth.Address) (*diagnosis, error) {
	cfg := discovery.Config{Client: client, Now: time.Now}
	report, err := discovery.Examine(ctx, cfg, a)
	if err != nil {
		return nil, err
	}
	nobody := discovery.Nobody(a.Domain)
	var other discovery.Step
	if len(report.Steps) > 0 && report.Steps[0].Response != nil {
		if other, err = discovery.ExamineWebFinger(ctx, cfg, nobody); err != nil {
			return nil, err
		}
	}
	return diagnose(a, report, nobody, other), nil
}
