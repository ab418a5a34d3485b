package uma

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
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
	// RefreshLifetime bounds the life of a refresh token and of all that come of
	// it by rotation; 0 = none are issued (CONFORMANCE A29).
	RefreshLifetime time.Duration
	// PCTLifetime is how long a persisted claims token may be used; 0 = none are
	// issued (CONFORMANCE A18).
	PCTLifetime time.Duration
	// ReplayGrace is how long after a ticket was spent the same client may repeat
	// it without consequences; default 10s (CONFORMANCE A40).
	ReplayGrace time.Duration
	// Continuity says what a known address with another sub, or a known domain
	// with another issuer, leads to; default ContinuityDefault (SEC-27).
	Continuity Continuity
	// PolicyRevision identifies the policies: when it changes, live grants are
	// evaluated again before their next use.
	PolicyRevision string

	// InitialAccessTokens are hashes of the tokens that may register clients (RFC
	// 7591 §3); none = no registration.
	InitialAccessTokens [][sha256.Size]byte
	// ClientDocuments accepts https URLs as client_ids and fetches the client's
	// metadata there; nil = off.
	ClientDocuments *ClientDocuments
	// Assertions remembers client assertions (RFC 7523). What is to outlive a
	// reload of the configuration is handed in; nil = it does not.
	Assertions *clientauth.Window
	// DPoPNonces demands a nonce of ours in DPoP proofs (RFC 9449 §8).
	DPoPNonces bool
	// Proofs remembers DPoP proofs. What is to outlive a reload of the
	// configuration is handed in; nil = it does not.
	Proofs *dpop.Replays

	// NoCORS keeps pages of other origins out.
	NoCORS bool
	// Terms is published as op_tos_uri.
	Terms string

	// Lifetimes; defaults 5m, 5m, 1h.
	TicketLifetime, RPTLifetime, PATLifetime time.Duration
	// Leeway is the tolerated difference between clocks; default 60s.
	Leeway time.Duration
	// TokenLimit is per client and address, SourceLimit per address whatever
	// client_id a request names, TicketLimit per resource server,
	// RegistrationLimit per address; nil = unlimited.
	TokenLimit, SourceLimit, TicketLimit, RegistrationLimit *limit.Limiter

	Store             store.Store
	TicketKeys        *jose.Ring // purpose ticket
	RPTKeys           *jose.Ring // purpose rpt
	SubjectKeys       *jose.Ring // purpose subject
	GrantKeys         *jose.Ring // purpose grant: seals what is kept of a requesting party
	IntrospectionKeys *jose.Ring // purpose introspection: signs answers (RFC 9701)
	NonceKeys         *jose.Ring // purpose nonce: seals DPoP nonces
	StatusKeys        *jose.Ring // purpose status: signs status lists
	Finder            *discovery.Finder
	// Outbound fetches what clients name: their jwks_uri and metadata documents.
	Outbound *outbound.Strict

	// Background ends what runs besides the requests: live grants are looked through
	// after a change of the configuration, so that what is not granted any more gets
	// onto the status lists. nil = a grant is looked at when it is used.
	Background context.Context //nolint:containedctx // of the configuration, not of a call

	ClientIP func(*http.Request) string
	Observe  event.Observe
	Now      func() time.Time
	Log      *zap.Logger
}

// Continuity says what follows when a known address comes with another subject,
// or a known domain with another issuer (CONFORMANCE SEC-27).
type Continuity string

// Continuities. The default is deny for policies that name the address, warn for
// all others.
const (
	ContinuityDefault Continuity = ""
	ContinuityDeny    Continuity = "deny"
	ContinuityWarn    Continuity = "warn"
	ContinuityOff     Continuity = "off"
)

// Binding is a way to bind an RPT to its sender.
type Binding string

// Bindings.
const (
	BindNone Binding = ""
	BindDPoP Binding = "dpop" // RFC 9449
	BindMTLS Binding = "mtls" // RFC 8705 §3
)

// ClientDocuments are client ID metadata documents
// (draft-ietf-oauth-client-id-metadata-document).
type ClientDocuments struct {
	// Domains that client_ids may be of, exact or *.domain; empty = every one.
	Domains []string
}

func (c *Config) resolve() (*url.URL, error) {
	issuer, err := oauth.ParseIssuer(c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("issuer '%s' %w", c.Issuer, err)
	}
	for _, ring := range []*jose.Ring{c.TicketKeys, c.RPTKeys, c.SubjectKeys, c.GrantKeys, c.IntrospectionKeys, c.NonceKeys, c.StatusKeys} {
		if ring == nil {
			return nil, errors.New("keys of seven purposes are required")
		}
	}
	if c.Store == nil || c.Finder == nil || c.Outbound == nil || c.Now == nil {
		return nil, errors.New("store, finder, outbound client and clock are required")
	}
	defaultTo(&c.EmailClaim, "email")
	defaultTo(&c.Rounds, 5)
	defaultTo(&c.TicketLifetime, 5*time.Minute)
	defaultTo(&c.RPTLifetime, 5*time.Minute)
	defaultTo(&c.PATLifetime, time.Hour)
	defaultTo(&c.Leeway, time.Minute)
	defaultTo(&c.ReplayGrace, 10*time.Second)
	if c.Proofs == nil {
		c.Proofs = dpop.NewReplays(0, c.Now)
	}
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
// credentials, audiences, policies and times.
func (c *Config) Check() error {
	return errors.Join(c.checkNames(), c.checkAudiences(), c.checkPolicies(), c.checkDocuments(), c.checkScalars())
}

// NonceLifetime is how long a DPoP nonce is taken.
const NonceLifetime = dpop.NonceLifetime

// decisionLife is how long decisions are kept for `explain` at least.
const decisionLife = 7 * 24 * time.Hour

// DecisionRetention is how long a decision is kept: as long as anything that came
// of it may be used, because it is evaluated again when the policies change.
func (c *Config) DecisionRetention() time.Duration {
	return max(decisionLife, c.RefreshLifetime, c.RPTLifetime)
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
		if err := rs.check(); err != nil {
			return err
		}
	}
	for _, client := range c.Clients {
		ids = append(ids, client.ID)
		if err := checkClient(client); err != nil {
			return err
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
			return fault(KindResourceServer, a.ID, ": '%s' %v", a.URI, err)
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
