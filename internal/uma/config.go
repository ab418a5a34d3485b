package uma

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Config describes an authorization server.
type Config struct {
	// Issuer is its identifier, an https URL.
	Issuer string
	// ResourceServers may register resources, ask for tickets and get PATs.
	ResourceServers []ResourceServer
	// Clients are the clients of requesting parties.
	Clients []clientauth.Client
	// Policies decide, deny rules first, then in this order. None = nobody.
	Policies []Policy

	// EmailClaim is the claim that holds the e-mail address; default email.
	EmailClaim string
	// NoPushedClaims switches the alias pushed_claims off (CONFORMANCE A1).
	NoPushedClaims bool
	// DiscoverAny looks up addresses that no policy names, too.
	DiscoverAny bool
	// PartialGrant issues an RPT for what is granted if not all is; default is
	// request_denied (UMA Grant §3.3.4).
	PartialGrant bool
	// Rounds is how many need_info answers a process may get; default 5.
	Rounds int
	// NoCORS keeps pages of other origins out.
	NoCORS bool
	// Terms is published as op_tos_uri.
	Terms string

	// Lifetimes; defaults 5m, 5m, 1h.
	TicketLifetime, RPTLifetime, PATLifetime time.Duration
	// Leeway is the tolerated difference between clocks; default 60s.
	Leeway time.Duration
	// TokenLimit is per client and address, SourceLimit per address whatever
	// client_id a request names, TicketLimit per resource server; nil = unlimited.
	TokenLimit, SourceLimit, TicketLimit *limit.Limiter

	Store       store.Store
	TicketKeys  *jose.Ring // purpose ticket
	RPTKeys     *jose.Ring // purpose rpt
	SubjectKeys *jose.Ring // purpose subject
	Finder      *discovery.Finder

	ClientIP func(*http.Request) string
	Observe  event.Observe
	Now      func() time.Time
	Log      *zap.Logger
}

// ResourceServer is a registered resource server.
type ResourceServer struct {
	// ID is its client_id.
	ID string
	// URI identifies it (RFC 9728), an https URL.
	URI string
	// Audience is the logical name that claims tokens and RPTs are made for
	// instead of URI (CONFORMANCE A6); "" = URI.
	Audience string
	// Owner of its resources; "" = ID, "*" = named per resource (A41).
	Owner string
	// Secrets are hashes of its client secrets.
	Secrets [][sha256.Size]byte
	// Local resource servers are part of this process and have no secret.
	Local bool
	// RequireASURI demands the claim as_uri in claims tokens (CA-47).
	RequireASURI bool
	// Release names claims of the requesting party to put into the RPT.
	Release []string
}

func (rs ResourceServer) audience() string {
	if rs.Audience != "" {
		return rs.Audience
	}
	return rs.URI
}

func (rs ResourceServer) owner() string {
	if rs.Owner != "" {
		return rs.Owner
	}
	return rs.ID
}

func (c *Config) resolve() (*url.URL, error) {
	issuer, err := oauth.ParseIssuer(c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("issuer '%s' %w", c.Issuer, err)
	}
	if c.Store == nil || c.TicketKeys == nil || c.RPTKeys == nil || c.SubjectKeys == nil || c.Finder == nil || c.Now == nil {
		return nil, errors.New("store, keys, finder and clock are required")
	}
	defaultTo(&c.EmailClaim, "email")
	defaultTo(&c.Rounds, 5)
	defaultTo(&c.TicketLifetime, 5*time.Minute)
	defaultTo(&c.RPTLifetime, 5*time.Minute)
	defaultTo(&c.PATLifetime, time.Hour)
	defaultTo(&c.Leeway, time.Minute)
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Observe == nil {
		c.Observe = event.None
	}
	if c.ClientIP == nil {
		c.ClientIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	return issuer, c.Check()
}

// Check finds what is wrong with the settings that need no other part: names,
// audiences and policies.
func (c *Config) Check() error {
	return errors.Join(c.checkNames(), c.checkAudiences(), c.checkPolicies())
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) checkNames() error {
	seen := map[string]bool{}
	var ids []string
	for _, rs := range c.ResourceServers {
		ids = append(ids, rs.ID)
		for _, name := range rs.Release {
			if slices.Contains(protocolClaims, name) {
				return fmt.Errorf("resource_server '%s': the claim '%s' belongs to the RPT itself and cannot be released", rs.ID, name)
			}
		}
		if !rs.Local && len(rs.Secrets) == 0 {
			return fmt.Errorf("resource_server '%s' has no credentials: add a secret, or write 'local' if it is part of this Caddy", rs.ID)
		}
	}
	for _, client := range c.Clients {
		ids = append(ids, client.ID)
		if !client.Public && len(client.Secrets) == 0 {
			return fmt.Errorf("client '%[1]s' has no credentials: add a secret, or write 'client %[1]s public'", client.ID)
		}
	}
	for _, id := range ids {
		if !isName(id) {
			return fmt.Errorf("'%s' is no client_id: use printable ASCII characters", id)
		}
		if seen[id] {
			return fmt.Errorf("the client_id '%s' is used twice", id)
		}
		seen[id] = true
	}
	return nil
}

// protocolClaims say something about a token and not about a person (RFC 7519
// §4.1, RFC 8693 §4, RFC 7800, RFC 9068): a stranger's provider must not be able
// to put them into an RPT.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "act", "may_act", "cnf",
	"permissions", "status", "decision_id", "ticket_challenge", "as_uri", "nonce", "at_hash", "c_hash",
}

// isName accepts printable ASCII (RFC 6749 appendix A.1: VSCHAR).
func isName(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

// checkAudiences holds CONFORMANCE A8: URIs and names are unique within one
// authorization server and no URI is a prefix of another's. Otherwise a claims
// token or RPT for one resource server would open another.
func (c *Config) checkAudiences() error {
	for i, a := range c.ResourceServers {
		uri, err := oauth.ParseResource(a.URI)
		if err != nil {
			return fmt.Errorf("resource_server '%s': '%s' %w", a.ID, a.URI, err)
		}
		for j, b := range c.ResourceServers {
			other, err := oauth.ParseResource(b.URI)
			if i == j || err != nil {
				continue
			}
			if a.audience() == b.audience() || a.audience() == b.URI || oauth.Covers(uri, other) {
				return fmt.Errorf("resource_server '%s' and '%s' must not share a URI, a prefix of it or an audience", a.ID, b.ID)
			}
		}
	}
	return nil
}
