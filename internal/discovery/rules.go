package discovery

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// Domain says where people of a domain come from; the most specific pattern wins.
type Domain struct {
	Pattern             string // bob.example, *.bob.example, *
	BaseURL             string // asked instead of https://DOMAIN (A42); its host:port must be in the client's Exceptions
	NoWebFinger         bool   // BaseURL is the issuer itself
	Deny                bool
	SameDomain          bool     // the issuer's host must be the domain (CA-EXT-11)
	AssumeEmailVerified bool     // for internal/uma (A10)
	AcceptTyp           []string // default ca-claims+jwt
}

// DefaultTyp is the typ of a claims token (CONFORMANCE A37).
const DefaultTyp = oauth.TypClaimsToken

// neverTyp are the types of other tokens: one that was made for another purpose
// is never a claims token (CONFORMANCE A37, RFC 8725 §3.11).
func neverTyp() []string {
	return []string{
		"at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt",
		"token-introspection+jwt", "client-authentication+jwt",
	}
}

// rules finds the entry for a domain.
type rules struct {
	exact map[string]Domain // bob.example
	below map[string]Domain // bob.example for *.bob.example, "" for *
	bases map[string]bool   // host:port of the base URLs
}

func newRules(domains []Domain) (rules, error) {
	r := rules{exact: map[string]Domain{}, below: map[string]Domain{}, bases: map[string]bool{}}
	for _, d := range domains {
		if err := r.add(d); err != nil {
			return rules{}, fmt.Errorf("email_domain %q: %w", d.Pattern, err)
		}
	}
	return r, nil
}

func (r rules) add(d Domain) error {
	if err := d.check(); err != nil {
		return err
	}
	if len(d.AcceptTyp) == 0 {
		d.AcceptTyp = []string{DefaultTyp}
	}
	table, name, err := r.place(d.Pattern)
	if err != nil {
		return err
	}
	if _, twice := table[name]; twice {
		return errors.New("is there twice")
	}
	table[name] = d
	if base, err := url.Parse(d.BaseURL); err == nil && d.BaseURL != "" {
		r.bases[outbound.HostPort(base)] = true
	}
	return nil
}

// place tells in which table a pattern stands, and under which name. Below a
// star a single label is fine (*.localhost); an address never has one.
func (r rules) place(pattern string) (table map[string]Domain, name string, err error) {
	if pattern == "*" {
		return r.below, "", nil
	}
	rest, star := strings.CutPrefix(pattern, "*.")
	if !star {
		name, err = oauth.ParseDomain(pattern)
		return r.exact, name, err
	}
	_, err = oauth.ParseDomain("x." + rest)
	return r.below, strings.ToLower(rest), err
}

func (d Domain) check() error {
	switch {
	case d.Deny && d.BaseURL != "":
		return errors.New("deny and a URL exclude each other")
	case d.NoWebFinger && d.BaseURL == "":
		return errors.New("without WebFinger there must be a URL: the issuer")
	case d.BaseURL == "" && slices.ContainsFunc(d.AcceptTyp, func(t string) bool { return t != DefaultTyp }):
		return errors.New("other types than " + DefaultTyp + " need a URL")
	}
	for _, typ := range d.AcceptTyp {
		if slices.Contains(neverTyp(), strings.ToLower(strings.TrimPrefix(strings.ToLower(typ), "application/"))) {
			return errors.New("a token of type " + typ + " is never a claims token")
		}
	}
	if d.BaseURL == "" {
		return nil
	}
	_, err := oauth.ParseIssuer(d.BaseURL)
	return err
}

// Rule gives the entry for a domain without any request; the zero Domain if
// none, but for AcceptTyp, which always has the default.
func (f *Finder) Rule(domain string) Domain {
	domain = strings.ToLower(domain)
	if d, ok := f.rules.exact[domain]; ok {
		return d
	}
	for rest := domain; rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		if d, ok := f.rules.below[rest]; ok {
			return d
		}
	}
	return Domain{AcceptTyp: []string{DefaultTyp}}
}

// base is where the domain's own documents are asked for.
func (d Domain) base(domain string) string {
	if d.BaseURL != "" {
		return d.BaseURL
	}
	return "https://" + domain
}

// excepted tells whether the address and port rules are lifted for a URL: it is
// on the host:port of a base URL (A42), and the administrator has written an
// entry with a base URL for the people it is asked for. A stranger's domain that
// points there is refused (SEC-29).
func (r rules) excepted(rule Domain, rawURL string) bool {
	if rule.BaseURL == "" {
		return false
	}
	u, err := url.Parse(rawURL)
	return err == nil && u.Scheme == "https" && r.bases[outbound.HostPort(u)]
}
