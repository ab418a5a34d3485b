package op

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// codeLife is how long a code can be redeemed.
const codeLife = 60 * time.Second

// newCode makes a code and the op that records it.
func (p *Provider) newCode(record codeRecord) (string, store.Op, error) {
	code := secret()
	record.version = version{currentVersion}
	doc, err := p.doc(kindCode, code, record.User, p.cfg.Now().Add(codeLife), record)
	return code, store.Create(doc), err
}

// presented is a token request with a code.
type presented struct {
	code, client, redirect, verifier string
}

// findCode gives the code that fits the request, still unspent. Whatever does
// not fit burns it: somebody else may have it (RFC 9700 §4.5). A code that is
// gone may have been redeemed already; what came of it is revoked (RFC 6749
// §4.1.2).
func (p *Provider) findCode(ctx context.Context, req presented) (*codeRecord, store.Doc, error) {
	if !isSecret(req.code) {
		return nil, store.Doc{}, invalidCode()
	}
	record := new(codeRecord)
	doc, err := p.load(ctx, kindCode, req.code, record)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, doc, p.replayed(ctx, req.code)
	case err != nil:
		return nil, doc, p.unavailable("authorization code", err)
	case !record.fits(req) || !p.known(record.grant):
		return nil, doc, p.burn(ctx, doc)
	}
	return record, doc, nil
}

// fits checks client, redirect URI (RFC 6749 §4.1.3) and PKCE (RFC 7636 §4.6).
func (c *codeRecord) fits(req presented) bool {
	return c.Client == req.client && c.Redirect == req.redirect && verifies(c.Challenge, req.verifier)
}

func verifies(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	for i := range len(verifier) {
		if !unreserved(verifier[i]) {
			return false
		}
	}
	sum := sha256.Sum256([]byte(verifier))
	made := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1
}

// unreserved characters make up a code verifier (RFC 7636 §4.1).
func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

// burn deletes a code before the refusal leaves.
func (p *Provider) burn(ctx context.Context, doc store.Doc) error {
	err := p.commit(ctx, store.Delete(doc.Key, doc.Rev))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return p.unavailable("authorization code", err)
	}
	return invalidCode()
}

// replayed ends whatever came of a code: somebody else has it, too.
func (p *Provider) replayed(ctx context.Context, code string) error {
	if err := p.endGrant(ctx, hashID(code), "a code was used again"); err != nil {
		return err
	}
	return invalidCode()
}

func invalidCode() *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidGrant, "the code is unknown, expired or used, or does not belong to this request")
}
