package rs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxDescription bounds an answer of the introspection endpoint in bytes.
const maxDescription = 64 << 10

// read reads an answer. What cannot be relied on is an error that says nothing of
// the token; errInactive and other *tokenError do.
func (a *asker) read(ctx context.Context, st *state, got *answer) (*verified, error) {
	if len(got.body) > maxDescription {
		return nil, errors.New("asking about a token: the answer is too large")
	}
	mediaType, _, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	body := got.body
	switch {
	case mediaType == oauth.MediaTypeIntrospection:
		if body, err = a.open(ctx, st, string(body)); err != nil {
			return nil, fmt.Errorf("asking about a token: the signed answer: %w", err)
		}
	case st.endpoints.signs:
		return nil, errors.New("asking about a token: the answer is not signed, and the metadata says that answers are")
	case mediaType != "application/json":
		return nil, errors.New("asking about a token: the answer is not JSON")
	}
	return a.describe(body)
}

// envelope is the claims of a signed answer (RFC 9701 §5).
type envelope struct {
	Issuer      string           `json:"iss"`
	Audience    jose.Audience    `json:"aud"`
	IssuedAt    jose.NumericDate `json:"iat"`
	Description json.RawMessage  `json:"token_introspection"`
}

// open checks a signed answer and gives what it says of the token (CONFORMANCE
// OA-14). It is short-lived and made for us alone; typ keeps it apart from RPTs,
// whose keys may stand in the same set (RFC 8725 §3.11).
func (a *asker) open(ctx context.Context, st *state, compact string) ([]byte, error) {
	token, err := jose.Parse(compact, maxDescription)
	if err != nil {
		return nil, err
	}
	if typ := strings.ToLower(token.Header.Typ); typ != oauth.TypIntrospection && typ != oauth.MediaTypeIntrospection {
		return nil, errors.New("has another typ than token-introspection+jwt")
	}
	var e envelope
	if err := token.Verify(ctx, st.keys, jose.DefaultAlgs(), &e); err != nil {
		return nil, err
	}
	now, leeway := a.s.cfg.Now(), a.s.cfg.Leeway
	switch {
	case e.Issuer != a.s.cfg.Issuer:
		return nil, errors.New("has a foreign issuer")
	case len(e.Audience) != 1 || e.Audience[0] != st.learned.audience:
		return nil, errors.New("is made for another audience")
	case e.IssuedAt == 0 || e.IssuedAt.Time().After(now.Add(leeway)) || old(e.IssuedAt, now, leeway+a.s.cfg.Revocation):
		return nil, errors.New("was not made just now")
	case len(e.Description) == 0:
		return nil, errors.New("lacks token_introspection")
	}
	return e.Description, nil
}

// old: what was recorded longer ago than an answer may be old is no answer to us.
func old(at jose.NumericDate, now time.Time, age time.Duration) bool {
	return now.After(at.Time().Add(age))
}

// describe reads what the authorization server says of a token.
//
// RFC 7662 §2.2 makes active alone required. UMA Fed §5.1.1 adds permissions. Of the
// rest, sub, client_id, aud and exp must be there as in a JWT: an RPT of nobody, for
// nobody or for ever is none. iss, iat and jti may be missing: whom we asked, when,
// and about which token is known.
func (a *asker) describe(body []byte) (*verified, error) {
	var active, tokenType string
	err := oauth.Members(body, func(name, value []byte) {
		switch string(name) {
		case "active":
			active = string(value)
		case "token_type":
			tokenType = strings.ToLower(string(value))
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking about a token: %w", err)
	case active == "false":
		return nil, errInactive
	case active != "true":
		return nil, errors.New("asking about a token: the answer lacks active, or it is neither true nor false")
	case tokenType != "" && tokenType != `"bearer"` && tokenType != `"dpop"`:
		return nil, bad("has another token_type") // a refresh token, for one
	}
	t := new(verified)
	if _, err := a.v.read(body, &t.claims); err != nil {
		return nil, err
	}
	// RFC 9449 §6.2: such an answer says to which key. Without that it would make a
	// bearer token of one that is none.
	if tokenType == `"dpop"` && (t.claims.Confirm == nil || t.claims.Confirm.jkt == "") {
		return nil, bad("is bound to a key, and the answer does not say to which")
	}
	if t.claims.Issuer == "" {
		t.claims.Issuer = a.s.cfg.Issuer
	}
	if t.claims.IssuedAt == 0 {
		t.claims.IssuedAt = jose.NumericDate(a.s.cfg.Now().Unix())
	}
	return t, nil
}
