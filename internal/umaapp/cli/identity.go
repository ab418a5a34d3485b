package cli

import (
	"context"
	"errors"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// client makes the client for one request of one user.
func (g *getOptions) client(cmd *cobra.Command, network rqp.Network) (*rqp.Client, error) {
	cfg := rqp.Config{
		STS: g.sts, ClientID: g.clientID, STSClientID: g.stsClientID,
		Network: network, Trace: g.tracer(cmd), DPoP: g.dpop,
	}
	if err := g.secrets(&cfg); err != nil {
		return nil, err
	}
	origin := (&url.URL{Scheme: g.url.Scheme, Host: g.url.Host}).String()
	if g.resource != "" { // an origin has one name here: the one on the command line
		cfg.Names = map[string]string{g.resource: canonical(origin)}
	}
	if err := g.identity(cmd, &cfg); err != nil {
		return nil, err
	}
	client, err := rqp.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

func (g *getOptions) secrets(cfg *rqp.Config) (err error) {
	if g.secretFile == "" {
		return nil
	}
	if cfg.ClientSecret, err = g.in.line(g.secretFile); err != nil {
		return err
	}
	if cfg.ClientSecret == "" {
		return usagef("--client-secret-file: %s is empty", g.secretFile)
	}
	cfg.SecretFor = []string{"*"} // who calls the URL with a secret means its server
	if cfg.STSClientID == "" {
		cfg.STSClientID = rqp.DefaultClientID
	}
	return nil
}

// identity says how to get an access token. The password is asked for only when
// a claims token is needed.
func (g *getOptions) identity(cmd *cobra.Command, cfg *rqp.Config) error {
	if g.accessToken != "" {
		token, err := g.in.secret("--access-token", g.accessToken)
		cfg.AccessToken = func(context.Context) (string, error) { return token, nil }
		return err
	}
	if g.user == "" {
		return nil
	}
	if cfg.STS == "" {
		issuer, err := rqp.FindSTS(contextOf(cmd), g.user, cfg.Network)
		if err != nil {
			return err
		}
		cfg.STS, cfg.STSLearned = issuer, true
	}
	login := rqp.LoginConfig{
		Issuer: cfg.STS, Learned: cfg.STSLearned, ClientID: cfg.STSClientID, User: g.user, Network: cfg.Network,
	}
	if login.ClientID == "" {
		login.ClientID = cfg.ClientID
	}
	cfg.AccessToken = g.once(cmd, login)
	return nil
}

// once logs in once, for all rounds of the dance.
func (g *getOptions) once(cmd *cobra.Command, login rqp.LoginConfig) func(context.Context) (string, error) {
	var token string
	return func(ctx context.Context) (string, error) {
		if token != "" {
			return token, nil
		}
		var err error
		if token, err = g.stored(ctx, login); err == nil || !errors.Is(err, errNoSession) {
			return token, err
		}
		login.Ask = func(context.Context) (string, error) { return g.password(cmd, login.Issuer) }
		token, _, err = rqp.PasswordLogin(ctx, login)
		return token, err
	}
}

// stored uses a login of before, unless a password is given.
func (g *getOptions) stored(ctx context.Context, login rqp.LoginConfig) (string, error) {
	if g.passwordFile != "" {
		return "", errNoSession
	}
	store, err := newSessions()
	if err != nil {
		return "", errNoSession
	}
	return store.token(ctx, login)
}

func (g *getOptions) password(cmd *cobra.Command, issuer string) (string, error) {
	if g.passwordFile != "" {
		return g.in.line(g.passwordFile)
	}
	return g.tty.password("Password of "+g.user+" at "+issuer+": ", cmd.ErrOrStderr())
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
