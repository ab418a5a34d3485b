package op

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	// consentLife is how long a consent counts. The user can end it before, on the
	// account page.
	consentLife = 365 * 24 * time.Hour
	// askLife is how long a link to the consent page can be opened.
	askLife = 30 * time.Minute
)

// consentRecord is what a user has agreed to: that a target learns these claims
// through a client.
type consentRecord struct {
	version
	User   string   `json:"user"` // his sub: the address may be somebody else's one day
	Client string   `json:"client"`
	Target string   `json:"target"`
	Claims []string `json:"claims"` // sorted, each once
	Given  int64    `json:"given"`
}

// askedConsent is what the link to the consent page holds, in a sealed box:
// nobody else can make such a request up. It says only what is asked; who answers
// must have logged in as this user.
type askedConsent struct {
	User    string   `json:"user"`
	Client  string   `json:"client"`
	Target  string   `json:"target"`
	Claims  []string `json:"claims"`
	Expires int64    `json:"exp"`
}

func (p *Provider) askData() []string { return []string{"op consent", p.cfg.Issuer} }

// Consented tells whether the user has agreed to all that is asked; if not, uri is
// where he can be asked. It fits sts.Config.Consent. A release that has grown is
// asked for again; a consent is for one user, one client and one target.
func (p *Provider) Consented(ctx context.Context, asked oauth.Consent) (agreed bool, uri string, err error) {
	u := p.user(strings.ToLower(asked.Subject.Email))
	if u == nil || u.id != asked.Subject.ID || asked.Subject.Issuer != p.cfg.Issuer {
		return false, "", nil // not one of ours: he cannot be asked here
	}
	ask := askedConsent{
		User: u.id, Client: asked.ClientID, Target: asked.Target, Claims: sorted(asked.Release),
		Expires: p.cfg.Now().Add(askLife).Unix(),
	}
	given, _, err := p.findConsent(ctx, ask.key(p))
	switch {
	case err == nil && given.covers(ask.Claims):
		return true, "", nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return false, "", err
	}
	sealed, err := p.sealJSON(ctx, ask, p.askData()...)
	return false, p.url("consent") + "?" + url.Values{"request": {sealed}}.Encode(), err
}

// sorted gives each name once, in order.
func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// covers tells whether all these claims were agreed to.
func (c *consentRecord) covers(claims []string) bool {
	for _, name := range claims {
		if !slices.Contains(c.Claims, name) {
			return false
		}
	}
	return true
}

// key is where the consent stands. The parts are told apart by their own hashes.
func (a askedConsent) key(p *Provider) store.Key {
	id := base64.RawURLEncoding.EncodeToString(sum(hashID(a.User) + hashID(a.Client) + hashID(a.Target)))
	return store.Key{Tenant: p.tenant, Kind: kindConsent, ID: id}
}

func (p *Provider) findConsent(ctx context.Context, key store.Key) (*consentRecord, store.Doc, error) {
	record := new(consentRecord)
	doc, err := p.read(ctx, key, record)
	return record, doc, err
}

// agree records a consent. What was agreed to before stays, so that a target that
// needs now this and now that does not ask each time.
func (p *Provider) agree(ctx context.Context, a askedConsent) error {
	record, old, err := p.findConsent(ctx, a.key(p))
	known := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	now := p.cfg.Now()
	doc, err := document(a.key(p), a.User, now.Add(consentLife), consentRecord{
		version: version{currentVersion}, User: a.User, Client: a.Client, Target: a.Target,
		Claims: sorted(append(record.Claims, a.Claims...)), Given: now.Unix(),
	})
	if err != nil {
		return err
	}
	if !known {
		return p.commit(ctx, store.Create(doc))
	}
	doc.Rev = old.Rev
	return p.commit(ctx, store.Swap(doc))
}

// withdraw ends a consent; it is no matter if there is none.
func (p *Provider) withdraw(ctx context.Context, a askedConsent) error {
	_, doc, err := p.findConsent(ctx, a.key(p))
	if err == nil {
		err = p.commit(ctx, store.Delete(doc.Key, doc.Rev))
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// maxListed is how many records the account page shows of each kind.
const maxListed = 100

// consents are those of a user.
func (p *Provider) consents(ctx context.Context, u *user) ([]consentRecord, error) {
	docs, err := p.cfg.Store.List(ctx, p.tenant, kindConsent, u.id, "", maxListed)
	if err != nil {
		return nil, err
	}
	var all []consentRecord
	for _, doc := range docs {
		var record consentRecord
		if err := p.decode(doc, &record); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		all = append(all, record)
	}
	return all, nil
}
