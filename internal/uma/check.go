package uma

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/suggest"
)

// Kinds of settings that have a name.
const (
	KindResourceServer = "resource_server"
	KindClient         = "client"
	KindPolicy         = "policy"
)

// SettingError is a mistake in the settings of one resource server, client or
// policy. An adapter may know where it was written.
type SettingError struct {
	// Kind is one of the kinds above, Name the client_id or the policy's name.
	Kind, Name string
	text       string
}

// Error names the setting and what is wrong with it.
func (e *SettingError) Error() string { return fmt.Sprintf("%s '%s'%s", e.Kind, e.Name, e.text) }

// fault makes a SettingError; the text goes on after the name.
func fault(kind, name, format string, args ...any) error {
	return &SettingError{Kind: kind, Name: name, text: fmt.Sprintf(format, args...)}
}

// maxTime is the longest time of a configuration: a year is already a mistake.
const maxTime = 365 * 24 * time.Hour

// CheckTime refuses what can be no lifetime; word is what it is called.
func CheckTime(word string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s cannot be negative", word)
	}
	if d > maxTime {
		return fmt.Errorf("%s: %v is longer than a year; write hours or days, such as 24h or 30d", word, d)
	}
	return nil
}

// maxRounds is how many need_info answers a process may get at most.
const maxRounds = 100

func (c *Config) checkScalars() error {
	switch c.Continuity {
	case ContinuityDefault, ContinuityDeny, ContinuityWarn, ContinuityOff:
	default:
		return fmt.Errorf("continuity '%s' is unknown; write deny, warn or off", c.Continuity)
	}
	if c.Rounds < 0 || c.Rounds > maxRounds { // 0 = the default
		return fmt.Errorf("need_info_rounds must be a number from 1 to %d", maxRounds)
	}
	for _, d := range []struct {
		word  string
		value time.Duration
	}{
		{"refresh_tokens", c.RefreshLifetime},
		{"pct", c.PCTLifetime},
		{"replay_grace", c.ReplayGrace},
		{"lifetime ticket", c.TicketLifetime},
		{"lifetime rpt", c.RPTLifetime},
		{"lifetime pat", c.PATLifetime},
		{"leeway", c.Leeway},
	} {
		if err := CheckTime(d.word, d.value); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkDocuments() error {
	if c.ClientDocuments == nil {
		return nil
	}
	for _, text := range c.ClientDocuments.Domains {
		domain, err := oauth.ParseDomain(strings.TrimPrefix(text, "*."))
		if err != nil || domain != strings.TrimPrefix(text, "*.") {
			return fmt.Errorf("client_metadata_documents: '%s' is no domain; write example.com or *.example.com", text)
		}
	}
	return nil
}

func (rs ResourceServer) check() error {
	for _, name := range rs.Release {
		if slices.Contains(protocolClaims, name) {
			return fault(KindResourceServer, rs.ID, ": the claim '%s' belongs to the RPT itself and cannot be released", name)
		}
	}
	if err := checkCredentials(KindResourceServer, rs.ID, rs.Credentials); err != nil {
		return err
	}
	if !rs.Local && rs.Empty() {
		return fault(KindResourceServer, rs.ID, " has no credentials: add a secret or jwks_uri, or write 'local' if it is part of this Caddy")
	}
	if !rs.Require.known() {
		return fault(KindResourceServer, rs.ID, ": require '%s' is unknown; write dpop or mtls", rs.Require)
	}
	return nil
}

func checkClient(c clientauth.Client) error {
	if has := c.Kind(); c.Public && has != "" {
		return fault(KindClient, c.ID, " is public and has %s: remove one of them", has)
	}
	if err := checkCredentials(KindClient, c.ID, c.Credentials); err != nil {
		return err
	}
	if !c.Public && c.Empty() {
		return fault(KindClient, c.ID, " has no credentials: add a secret or jwks_uri, or write 'client %s public'", c.ID)
	}
	for _, scope := range c.Scopes {
		// Whoever has a PAT registers resources and asks for tickets.
		if scope == oauth.ScopeUMAProtection {
			return fault(KindClient, c.ID, ": the scope '%s' is for resource servers: declare it with a resource_server line", scope)
		}
		if !isScope(scope) {
			return fault(KindClient, c.ID, ": '%s' is no scope (RFC 6749 §3.3)", scope)
		}
	}
	return nil
}

func checkCredentials(kind, id string, c clientauth.Credentials) error {
	if text := c.Fault(); text != "" {
		return fault(kind, id, "%s", text)
	}
	return nil
}

// known tells whether a binding is one.
func (b Binding) known() bool { return b == BindNone || b == BindDPoP || b == BindMTLS }

func (c *Config) checkPolicy(p Policy) error {
	if p.From.empty() {
		return fault(KindPolicy, p.Name, " has no condition and would let in anybody with an e-mail address: add 'from bob.example' (or 'from anyone' if that is meant)")
	}
	if len(p.Resources)+len(p.Types) > 0 && len(p.ResourceServers) == 0 && len(c.ResourceServers) > 1 {
		return fault(KindPolicy, p.Name, ": %s is ambiguous, %d resource servers are declared: add a resource_server line", firstThing(p), len(c.ResourceServers))
	}
	if err := errors.Join(c.checkServersOf(p), c.checkClientsOf(p)); err != nil {
		return err
	}
	if !p.Require.known() {
		return fault(KindPolicy, p.Name, ": require '%s' is unknown; write dpop or mtls", p.Require)
	}
	if word := p.needs(); p.Deny && word != "" {
		return fault(KindPolicy, p.Name, " forbids: '%s' says what it takes to be let in; remove it, or remove 'deny'", word)
	}
	if p.AcceptPCT && c.PCTLifetime == 0 {
		return fault(KindPolicy, p.Name, ": accept_pct does nothing while no PCTs are issued: add 'pct' to the block, or remove accept_pct")
	}
	return p.checkRequiredClaims()
}

// needs gives a word of the policy that only one that allows can have, or "".
func (p Policy) needs() string {
	switch {
	case len(p.RequiredClaims) > 0:
		return "required_claims"
	case p.AcceptPCT:
		return "accept_pct"
	case p.Require != BindNone:
		return "require"
	}
	return ""
}

func (p Policy) checkRequiredClaims() error {
	for _, name := range p.RequiredClaims {
		if !isName(name) {
			return fault(KindPolicy, p.Name, ": required_claims: '%s' is no name of a claim: use printable ASCII characters", name)
		}
		if p.From.Anyone {
			return fault(KindPolicy, p.Name, ": required_claims: '%s' is what any stranger's provider says about him; name domains or addresses in 'from'", name)
		}
	}
	return nil
}

func firstThing(p Policy) string {
	if len(p.Resources) > 0 {
		return fmt.Sprintf("resource %q", p.Resources[0])
	}
	return fmt.Sprintf("type %q", p.Types[0])
}

func (c *Config) checkServersOf(p Policy) error {
	var ids []string
	for _, rs := range c.ResourceServers {
		ids = append(ids, rs.ID)
	}
	for _, id := range p.ResourceServers {
		if !slices.Contains(ids, id) {
			return fault(KindPolicy, p.Name, ": no resource_server '%s'; %s", id, declared(id, ids))
		}
	}
	return nil
}

// checkClientsOf: registered clients are in the store, and those with metadata
// documents nowhere; their client_ids are taken as they are.
func (c *Config) checkClientsOf(p Policy) error {
	var ids []string
	for _, client := range c.Clients {
		ids = append(ids, client.ID)
	}
	for _, id := range p.Clients {
		if slices.Contains(ids, id) || len(c.InitialAccessTokens) > 0 {
			continue
		}
		isURL := strings.HasPrefix(id, "https://")
		if isURL && c.ClientDocuments == nil {
			return fault(KindPolicy, p.Name, ": client '%s' is a URL, and URLs are taken as clients only with client_metadata_documents", id)
		}
		if !isURL {
			return fault(KindPolicy, p.Name, ": no client '%s'; %s", id, declared(id, ids))
		}
	}
	return nil
}

// declared lists names that are there, and the one that may be meant.
func declared(name string, names []string) string {
	if len(names) == 0 {
		return "none is declared"
	}
	text := "declared: " + strings.Join(names, ", ")
	if near := suggest.Nearest(name, names); near != "" {
		text += fmt.Sprintf(", did you mean '%s'?", near)
	}
	return text
}
