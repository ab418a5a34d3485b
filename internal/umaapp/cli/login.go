package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// loginOptions are the flags of `caddy uma login`.
type loginOptions struct {
	getOptions // user, sts, client id, CA, admin API
	device     bool
	provider   string
	scopes     []string
	open       func(address string) error
}

func loginCommand() *cobra.Command {
	o := &loginOptions{open: openBrowser}
	cmd := &cobra.Command{
		Use:   "login --user EMAIL [flags]",
		Short: "Log in at your provider, for later requests",
		Long: `
Logs in at the provider of your e-mail address, in the browser; where there is
none, or with --device, with the browser of another device. The tokens are kept,
for you alone, below $XDG_STATE_HOME/caddy-uma (~/.local/state/caddy-uma), and
caddy uma get --user EMAIL uses them. caddy uma logout ends that.`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, o.run(cmd)) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.provider, "provider", "", "issuer of the OpenID provider that has your account (default: what the STS says)")
	cmd.Flags().StringSliceVar(&o.scopes, "scope", nil, "scopes that make the provider issue tokens for the STS (default: its issuer as `resource`)")
	cmd.Flags().BoolVar(&o.device, "device", false, "log in with the browser of another device")
	return cmd
}

func (o *loginOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "your e-mail address")
	f.StringVar(&o.sts, "sts", "", "issuer of your provider (default: found by --user)")
	f.StringVar(&o.clientID, "client-id", rqp.DefaultClientID, "this client's id at the provider")
	f.StringVar(&o.cacert, "cacert", "", "file with CA certificates (PEM), beside those of the system")
	f.StringVar(&o.address, "address", caddy.DefaultAdminListen, "admin API of the local Caddy")
}

func (o *loginOptions) run(cmd *cobra.Command) error {
	ctx, stop := signal.NotifyContext(contextOf(cmd), os.Interrupt)
	defer stop()
	store, err := newSessions()
	if err != nil {
		return err
	}
	cfg, err := o.config(ctx)
	if err != nil {
		return err
	}
	if err := store.prepare(); err != nil { // before anybody logs in for nothing
		return err
	}
	session, err := o.login(ctx, cmd, cfg)
	if err != nil {
		return err
	}
	unlock, err := store.lock(ctx)
	if err == nil {
		defer unlock()
		err = store.write(o.user, session)
	}
	if err != nil {
		return fmt.Errorf("the login cannot be stored: %w", err)
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Logged in as %s at %s.\n", o.user, session.Issuer)
	return nil
}

// config finds the provider, under the same rules as get.
func (o *loginOptions) config(ctx context.Context) (rqp.LoginConfig, error) {
	var cfg rqp.LoginConfig
	address, err := oauth.ParseAddress(o.user)
	if err != nil {
		return cfg, usagef("--user must be an e-mail address")
	}
	o.url = &url.URL{Scheme: "https", Host: address.Domain}
	if o.sts != "" {
		if o.url, err = oauth.ParseIssuer(o.sts); err != nil {
			return cfg, usagef("--sts %w", err)
		}
	}
	cfg = rqp.LoginConfig{Issuer: o.sts, Provider: o.provider, Scopes: o.scopes, ClientID: o.clientID, User: o.user}
	if cfg.Network, err = o.network(o.url); err == nil && cfg.Issuer == "" {
		cfg.Learned = true
		cfg.Issuer, err = rqp.FindSTS(ctx, o.user, cfg.Network)
	}
	return cfg, err
}

func (o *loginOptions) login(ctx context.Context, cmd *cobra.Command, cfg rqp.LoginConfig) (*rqp.Session, error) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	if o.device || !hasDisplay() {
		return rqp.DeviceLogin(ctx, cfg, func(p rqp.DevicePrompt) {
			say("On any device, open %s and enter the code %s", p.URI, p.Code)
			if p.Complete != "" {
				say("or open %s", p.Complete)
			}
			say("Waiting until %s; Ctrl-C ends this.", p.Expires.Format("15:04"))
		})
	}
	return rqp.BrowserLogin(ctx, cfg, func(address string) {
		say("Log in with your browser. If it does not open, open this address on this machine:\n%s", address)
		if err := o.open(address); err != nil {
			say("The browser does not start: %v", err)
		}
	})
}

// hasDisplay tells whether a browser can open before the eyes of whoever asks.
func hasDisplay() bool {
	if os.Getenv("SSH_CONNECTION") != "" { // it would open on the other machine
		return false
	}
	return runtime.GOOS == "windows" || runtime.GOOS == "darwin" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// openBrowser starts the opener of the platform, without a shell.
func openBrowser(address string) error {
	args := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		args = []string{"open"}
	case "windows":
		args = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	c := exec.Command(args[0], append(args[1:], address)...) //nolint:gosec,noctx // it outlives us; the address is https
	if err := c.Start(); err != nil {
		return err
	}
	go func() { _ = c.Wait() }()
	return nil
}

// logoutCommand forgets logins, and ends them at the providers.
func logoutCommand() *cobra.Command {
	o, all := new(loginOptions), false
	cmd := &cobra.Command{
		Use:   "logout --user EMAIL | --all",
		Short: "Forget stored logins and revoke their tokens",
		Args:  between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (o.user != "") == all {
				return finish(cmd, usagef("logout needs either --user EMAIL or --all"))
			}
			return finish(cmd, o.logout(cmd))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "your e-mail address")
	f.BoolVar(&all, "all", false, "all stored logins")
	f.StringVar(&o.cacert, "cacert", "", "file with CA certificates (PEM), beside those of the system")
	f.StringVar(&o.address, "address", caddy.DefaultAdminListen, "admin API of the local Caddy")
	return cmd
}

func (o *loginOptions) logout(cmd *cobra.Command) error {
	store, err := newSessions()
	if err != nil {
		return err
	}
	unlock, err := store.lock(contextOf(cmd)) // else a get that renews would write the login again
	if err != nil {
		return err
	}
	defer unlock()
	paths, err := store.list()
	if err != nil {
		return err
	}
	ended := 0
	for _, path := range paths {
		v, err := store.read(path)
		if o.user != "" && (err != nil || !strings.EqualFold(v.User, o.user)) {
			continue
		}
		if err == nil {
			err = o.revoke(cmd, v)
		}
		if err != nil {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "caddy uma: warning: the tokens may be good until they expire:", err)
		}
		if err := store.remove(path); err != nil {
			return err
		}
		ended++
	}
	if ended == 0 {
		return errNoSession
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Logged out; logins removed: %d.\n", ended)
	return nil
}

func (o *loginOptions) revoke(cmd *cobra.Command, v stored) error {
	issuer, err := oauth.ParseIssuer(v.Issuer)
	if err != nil {
		return err
	}
	o.url = issuer
	cfg := rqp.LoginConfig{Issuer: v.Issuer, ClientID: v.ClientID, User: v.User}
	if cfg.Network, err = o.network(issuer); err != nil {
		return err
	}
	return rqp.Revoke(contextOf(cmd), cfg, v.Session)
}
