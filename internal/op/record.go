package op

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Kinds of documents. Their ids are hashes of what is secret.
const (
	kindAuthRequest = "auth_request" // an authorization request that was answered
	kindCode        = "code"
	kindAccessToken = "access_token"
	kindGrant       = "grant" // what came of one code; its id is the hash of the code
	kindSession     = "session"
	kindDevice      = "device"  // a device that waits; its id is a slot
	kindConsent     = "consent" // its id is a hash of user, client and target
)

const currentVersion = 1

// version stands in every record.
type version struct {
	V int `json:"v"`
}

func (v version) number() int { return v.V }

// answeredRecord remembers that an authorization request was answered: one page
// gives one code.
type answeredRecord struct {
	version
}

// codeRecord is what a code was issued for.
type codeRecord struct {
	version
	grant
	// Redirect is the redirect URI of the request; "" from the challenge endpoint.
	Redirect  string `json:"redirect,omitempty"`
	Challenge string `json:"challenge"`
	Nonce     string `json:"nonce,omitempty"`
}

// tokenRecord is what an access token stands for, within its grant.
type tokenRecord struct {
	version
	Grant  string `json:"grant"`           // its id
	Scope  string `json:"scope,omitempty"` // that of the grant, or less
	JKT    string `json:"jkt,omitempty"`   // the key that it is bound to
	Issued int64  `json:"iat"`
}

// grantRecord is what came of one code or device code. Its tokens count as long
// as it is there, so whatever ends it ends them all at once, at every node.
type grantRecord struct {
	version
	grant
	Refresh *refreshState `json:"refresh,omitempty"`
}

// refreshState says which refresh token of a grant is good.
type refreshState struct {
	Current string `json:"current"`       // its hash
	JKT     string `json:"jkt,omitempty"` // the key that a public client has shown
	Issued  int64  `json:"iat"`
	Ends    int64  `json:"ends"` // of the last one in the family
}

// grant says who allowed what to which client.
type grant struct {
	Client   string `json:"client"`
	User     string `json:"user"` // the address in lower case
	Scope    string `json:"scope,omitempty"`
	AuthTime int64  `json:"auth_time"`
	// Password is the mark of the password that the user had then: a new one ends
	// what he has granted (passwordMark).
	Password string `json:"password"`
}

// sessionRecord is a browser in which a user has logged in.
type sessionRecord struct {
	version
	User     string `json:"user"`
	AuthTime int64  `json:"auth_time"`
	// Password is a hash of the password hash: a new password ends sessions.
	Password string `json:"password"`
	// Clients are those that the user let in during this session.
	Clients []string `json:"clients"`
}

var errVersion = errors.New("op: a stored record has another version")

// secret makes 256 random bits as text. Its hash, which administrators type, does not
// begin with a dash: a command line would take that for a flag.
func secret() string {
	text := draw()
	for hashID(text)[0] == '-' {
		text = draw()
	}
	return text
}

func draw() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isSecret tells whether a text can be one of secret.
func isSecret(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32 && len(s) == 43
}

// hashID is how a secret is kept.
func hashID(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// key is where the document of a secret stands.
func (p *Provider) key(kind, secret string) store.Key {
	return store.Key{Tenant: p.tenant, Kind: kind, ID: hashID(secret)}
}

// doc makes the document of a secret.
func (p *Provider) doc(kind, secret, index string, expires time.Time, record any) (store.Doc, error) {
	return document(p.key(kind, secret), index, expires, record)
}

func document(key store.Key, index string, expires time.Time, record any) (store.Doc, error) {
	body, err := json.Marshal(record)
	return store.Doc{Key: key, Index: index, Expires: expires, Body: body}, err
}

// load reads the document of a secret; store.ErrNotFound if there is none.
func (p *Provider) load(ctx context.Context, kind, secret string, record interface{ number() int }) (store.Doc, error) {
	return p.read(ctx, p.key(kind, secret), record)
}

// read reads a document; store.ErrNotFound if there is none.
func (p *Provider) read(ctx context.Context, key store.Key, record interface{ number() int }) (store.Doc, error) {
	doc, err := p.cfg.Store.Get(ctx, key)
	if err != nil {
		return store.Doc{}, err
	}
	return doc, p.decode(doc, record)
}

// decode gives the record of a document; store.ErrNotFound if it has expired.
func (p *Provider) decode(doc store.Doc, record interface{ number() int }) error {
	if !doc.Expires.IsZero() && !p.cfg.Now().Before(doc.Expires) {
		return store.ErrNotFound
	}
	if err := oauth.DecodeObject(doc.Body, record); err != nil {
		return err
	}
	if record.number() != currentVersion {
		return errVersion
	}
	return nil
}

// commit writes. What a request has decided is recorded even if its client goes
// away.
func (p *Provider) commit(ctx context.Context, ops ...store.Op) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return p.cfg.Store.Commit(ctx, ops...)
}

const commitTimeout = 10 * time.Second
