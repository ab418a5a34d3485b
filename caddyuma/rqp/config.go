package rqp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// DefaultClientID is the public client that servers of this project know.
const DefaultClientID = "caddy-uma"

// Defaults of Config.
const (
	defaultRounds = 2
	defaultBody   = 1 << 20
)

// Config is what a Client needs to know. Issuers, origins and prefixes are
// canonical https URLs: lower-case host, no default port.
type Config struct {
	// STS is the issuer of the user's security token service.
	STS string
	// STSLearned says that STS came from FindSTS and was not named by anybody:
	// it is called under the rules for strangers.
	STSLearned bool
	// AccessToken gives the user's access token, issued by the STS to
	// STSClientID. It is called only when a claims token is needed, or to see whether
	// the user is still the one of the last claims token: with another access token,
	// what authorization servers persisted of him is not used.
	AccessToken func(ctx context.Context) (string, error)
	// STSClientID and STSClientSecret are this client's at the STS. Default:
	// ClientID, without a secret.
	STSClientID, STSClientSecret string

	// ClientID is this client's at authorization servers. Default: caddy-uma.
	ClientID string
	// ClientSecret is its secret there. It goes only to the issuers of
	// SecretFor, because an authorization server is named by whoever runs the
	// resource: a secret for everybody would be none. "*" in SecretFor means
	// every server that an allowed origin vouches for.
	ClientSecret string
	SecretFor    []string

	// AllowedOrigins may be shown who the user is. Transport does the dance for
	// these only. Client.Do takes the origin of its request as allowed if the
	// list is empty.
	AllowedOrigins []string
	// Names binds logical resource names to the origin or path prefix they are
	// for: name -> https URL.
	Names map[string]string
	// Pins are the authorization servers of an origin, if they are known in
	// advance: origin -> issuers. No other server is accepted for it.
	Pins map[string][]string
	// Strict requires the resource of the metadata to equal the URL that is
	// called (RFC 9728 §3.3). Without it a path prefix is enough.
	Strict bool

	// HTTPClient replaces the client for hosts that somebody named. Redirects
	// are never followed with it.
	HTTPClient *http.Client
	// Network says how hosts are reached.
	Network Network

	// MaxRounds is how often a ticket is presented in one dance. Default: 2.
	MaxRounds int
	// MaxBody is the largest request body that is kept for the second request,
	// if it has no GetBody. Default: 1 MiB.
	MaxBody int64
	// PushedClaims sends the claims token as pushed_claims, the spelling of the
	// original diagram, instead of claim_token and its format.
	PushedClaims bool
	// DPoP binds claims tokens and RPTs to a key (RFC 9449), so that whoever copies
	// one on its way has nothing. The keys are made by the Client, one for each
	// authorization server, and stay in its memory. A server that issues an RPT
	// without the binding is refused.
	DPoP bool
	// Trace is told every step. Tokens and tickets are shortened. It is called
	// by the goroutine of the request.
	Trace func(Step)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Client does requests for one user. It may be used by several goroutines.
type Client struct {
	cfg     Config
	net     *network
	allowed []*url.URL
	names   []binding
	pins    map[string][]string
	rpts    rptCache
	docs    docCache
	provers provers
	nonces  nonces
	pcts    pcts
}

// binding is a logical name for URLs below a prefix.
type binding struct {
	name   string
	prefix *url.URL
}

// New checks the configuration. It calls nobody.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg.withDefaults(), pins: map[string][]string{}}
	c.rpts.now, c.docs.now = c.cfg.Now, c.cfg.Now
	if cfg.STS != "" {
		if _, err := oauth.ParseIssuer(cfg.STS); err != nil {
			return nil, fmt.Errorf("rqp: STS: %w", err)
		}
	}
	if cfg.ClientSecret != "" && len(cfg.SecretFor) == 0 {
		return nil, errors.New("rqp: ClientSecret without SecretFor: name the issuers that may get it")
	}
	for _, read := range []func() error{c.readOrigins, c.readNames, c.readPins} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	c.net = newNetwork(c.cfg, c.named())
	return c, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.ClientID == "" {
		cfg.ClientID = DefaultClientID
	}
	if cfg.STSClientID == "" {
		cfg.STSClientID = cfg.ClientID
	}
	if cfg.MaxRounds <= 0 {
		cfg.MaxRounds = defaultRounds
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = defaultBody
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

func (c *Client) readOrigins() error {
	for _, s := range c.cfg.AllowedOrigins {
		u, err := parseOrigin(s)
		if err != nil {
			return fmt.Errorf("rqp: AllowedOrigins: %q: %w", s, err)
		}
		c.allowed = append(c.allowed, u)
	}
	return nil
}

func (c *Client) readNames() error {
	for name, prefix := range c.cfg.Names {
		u, err := oauth.ParseResource(prefix)
		if err != nil || name == "" {
			return fmt.Errorf("rqp: Names: %q: %w", prefix, oauth.ErrResource)
		}
		c.names = append(c.names, binding{name, u})
	}
	return nil
}

func (c *Client) readPins() error {
	for origin, issuers := range c.cfg.Pins {
		u, err := parseOrigin(origin)
		if err != nil {
			return fmt.Errorf("rqp: Pins: %q: %w", origin, err)
		}
		for _, issuer := range issuers {
			if _, err := oauth.ParseIssuer(issuer); err != nil {
				return fmt.Errorf("rqp: Pins: %q: %w", issuer, err)
			}
		}
		c.pins[originOf(u)] = issuers
	}
	return nil
}

// named lists what the configuration names: these hosts need not be public.
func (c *Client) named() []string {
	var urls []string
	if !c.cfg.STSLearned {
		urls = append(urls, c.cfg.STS)
	}
	for _, issuers := range c.pins {
		urls = append(urls, issuers...)
	}
	return urls
}

var errOrigin = errors.New("must be an https origin without a path")

func parseOrigin(s string) (*url.URL, error) {
	u, err := oauth.ParseResource(s)
	if err != nil || strings.TrimSuffix(u.Path, "/") != "" {
		return nil, errOrigin
	}
	return u, nil
}

// originOf writes the origin of a URL in one way.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return strings.ToLower(u.Scheme) + "://" + host
}
