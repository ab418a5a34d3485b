package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// getOptions are the flags of `caddy uma get`.
type getOptions struct {
	method, data  string
	headers       []string
	verbose, json bool
	resource      string
	user          string
	passwordFile  string
	accessToken   string
	sts           string
	clientID      string
	secretFile    string
	stsClientID   string
	cacert        string
	dpop          bool
	address       string

	in    input
	tty   prompter
	url   *url.URL
	steps []rqp.Step
}

const longGet = `
Sends one request. If the answer is 401 with a permission ticket, it does what
UMA and correlated authorization ask for: your own provider vouches for your
e-mail address, bound to this ticket, and the authorization server of the
resource gives a token (RPT) with which the request is sent again. -v shows the
nine steps on standard error. The body of the answer goes to standard output.

Who you are, one of:
  --user EMAIL            logs in at the provider of that address, found as the
                          authorization server finds it (or --sts ISSUER); uses
                          the login of caddy uma login if there is one, else
                          asks for the password on the terminal, unless there is
                          --password-file FILE (- is standard input)
  --access-token @FILE    an access token that you have (@- is standard input);
  --sts ISSUER            the provider that issued it

Secrets are never arguments, because other users can read those.

Nothing about you is sent before the resource's own metadata (RFC 9728) have
named the resource and its authorization server: without such metadata the
command stops. --resource NAME asks the provider for a logical name instead of
the resource's URI; the metadata must still name the authorization server.

--client-secret-file is for the authorization server that the resource names. At
the provider the client is --sts-client-id, without a secret; it defaults to
--client-id, or to caddy-uma if there is a secret.

With --dpop the tokens are bound to a key that this command makes and forgets (RFC
9449): whoever copies one on its way has nothing. Some resources take no others.

For a URL under localhost, every host under localhost is this machine, on any
port; Caddy's own CA certificate and the connect_to entries are read from the
admin API at --address. With --cacert FILE an admin API is not needed. Of other
hosts, only the URL's, the --sts's and the domain of --user may have private
addresses.

Exit status: 0 done, 1 refused (also any answer of 400 and above), 2 wrong usage,
3 a server does not answer.`

func getCommand(tty prompter) *cobra.Command {
	g := &getOptions{tty: tty}
	cmd := &cobra.Command{
		Use:   "get [flags] URL",
		Short: "One request to a protected resource, with all nine steps",
		Long:  longGet,
		Example: `  caddy uma get -v --user bob@bob.localhost https://api.localhost:8443/
  caddy uma get -X POST -d @order.json --access-token @token --sts https://id.bob.example https://api.alice.example/orders`,
		Args: one("the URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.in.stdin = cmd.InOrStdin()
			return finish(cmd, g.run(cmd, args[0]))
		},
	}
	g.flags(cmd)
	return cmd
}

func (g *getOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&g.method, "request", "X", "", "method (default GET, with -d POST)")
	f.StringVarP(&g.data, "data", "d", "", "body of the request; @FILE and @- are read")
	f.StringArrayVarP(&g.headers, "header", "H", nil, "header field, \"Name: value\"; may be repeated")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "show the nine steps on standard error")
	f.StringVar(&g.resource, "resource", "", "logical name of the resource at the URL's origin")
	f.StringVar(&g.user, "user", "", "your e-mail address")
	f.StringVar(&g.passwordFile, "password-file", "", "file with the password; - is standard input")
	f.StringVar(&g.accessToken, "access-token", "", "@FILE or @- with an access token of --sts")
	f.StringVar(&g.sts, "sts", "", "issuer of your provider (default: found by --user)")
	f.StringVar(&g.clientID, "client-id", rqp.DefaultClientID, "this client's id")
	f.StringVar(&g.secretFile, "client-secret-file", "", "file with its secret at the authorization server")
	f.StringVar(&g.stsClientID, "sts-client-id", "", "this client's id at the provider, if it differs")
	f.BoolVar(&g.dpop, "dpop", false, "bind the tokens to a key of this command")
	f.StringVar(&g.cacert, "cacert", "", "file with CA certificates (PEM), beside those of the system")
	f.StringVar(&g.address, "address", caddy.DefaultAdminListen, "admin API of the local Caddy")
	f.BoolVar(&g.json, "json", false, "print answer, steps and error as one JSON object")
}

// run does the request. Mistakes are found before anything is sent.
func (g *getOptions) run(cmd *cobra.Command, rawURL string) error {
	if err := g.checkFlags(rawURL); err != nil {
		return err
	}
	network, err := g.network(g.url)
	if err != nil {
		return err
	}
	client, err := g.client(cmd, network)
	if err != nil {
		return g.report(cmd, nil, err)
	}
	req, err := g.request(cmd.Context())
	if err != nil {
		return err
	}
	resp, err := client.Do(req) //nolint:bodyclose // report reads and closes it
	return g.report(cmd, resp, err)
}

func (g *getOptions) checkFlags(rawURL string) error {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return usagef("the URL must begin with https://")
	case u.User != nil:
		return usagef("the URL must not hold a user or password")
	case g.user != "" && g.accessToken != "":
		return usagef("--user and --access-token are two ways to say who you are: use one")
	case g.accessToken != "" && g.sts == "":
		return usagef("--access-token needs --sts ISSUER: whose token it is")
	case g.passwordFile != "" && g.user == "":
		return usagef("--password-file needs --user EMAIL")
	}
	if _, err := oauth.ParseIssuer(g.sts); g.sts != "" && err != nil {
		return usagef("--sts %w", err)
	}
	if _, err := oauth.ParseAddress(g.user); g.user != "" && err != nil {
		return usagef("--user must be an e-mail address")
	}
	u.Fragment = ""
	g.url = u
	return nil
}

func (g *getOptions) request(ctx context.Context) (*http.Request, error) {
	body, err := g.body()
	if err != nil {
		return nil, err
	}
	method := g.method
	if method == "" {
		method = http.MethodGet
		if g.data != "" {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, g.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, usagef("-X %q: %w", method, err)
	}
	if g.data != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, g.setHeaders(req)
}

func (g *getOptions) body() ([]byte, error) {
	if name, ok := strings.CutPrefix(g.data, "@"); ok {
		return g.in.file(name)
	}
	return []byte(g.data), nil
}

func (g *getOptions) setHeaders(req *http.Request) error {
	for _, h := range g.headers {
		name, value, ok := strings.Cut(h, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		switch {
		case !ok || name == "" || strings.ContainsAny(h, "\r\n"):
			return usagef("-H must be \"Name: value\"")
		case name == "Authorization":
			return usagef("-H Authorization: this command makes that field itself; use --access-token @FILE with --sts")
		case name == "Host":
			return usagef("-H Host: the host is that of the URL")
		}
		if name == "Content-Type" {
			req.Header.Del(name)
		}
		req.Header.Add(name, strings.TrimSpace(value))
	}
	return nil
}
