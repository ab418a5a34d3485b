package op

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// session is a live session of a user who still exists.
type session struct {
	id     string // "" when it is new
	doc    store.Doc
	record sessionRecord
	user   *user
}

// fresh tells whether the session will do for the request (OpenID Connect Core
// §3.1.2.1: prompt, max_age).
func (s *session) fresh(req *authRequest, now time.Time) bool {
	if slices.Contains(req.Prompt, "login") || slices.Contains(req.Prompt, "select_account") {
		return false
	}
	return req.MaxAge < 0 || now.Unix()-s.record.AuthTime < req.MaxAge
}

// Cookies have the prefix __Host-: no other host can set them, and they are sent
// to this host over TLS alone. They are for the whole host, so the name tells
// issuers with a path apart.
func (p *Provider) cookieName(what string) string {
	return "__Host-uma-" + what + "-" + p.subjectID("")[:8]
}

func (p *Provider) setCookie(w http.ResponseWriter, what, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(what), Value: value, Path: "/", MaxAge: int(life.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// dropCookie removes a cookie from the browser.
func (p *Provider) dropCookie(w http.ResponseWriter, what string) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(what), Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookie gives a secret out of a cookie, "" when there is none.
func (p *Provider) cookie(r *http.Request, what string) string {
	c, err := r.Cookie(p.cookieName(what))
	if err != nil || !isSecret(c.Value) {
		return ""
	}
	return c.Value
}

// browserLife is how long a browser is told from others.
const browserLife = 24 * time.Hour

// session finds the session of the browser; nil when there is none.
func (p *Provider) session(r *http.Request) (*session, error) {
	id := p.cookie(r, "session")
	if id == "" {
		return nil, nil
	}
	s := &session{id: id}
	doc, err := p.load(r.Context(), kindSession, id, &s.record)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.doc, s.user = doc, p.user(s.record.User)
	if s.user == nil || s.record.Password != passwordMark(s.user) {
		return nil, nil
	}
	return s, nil
}

// begin makes a session for a user who has just logged in. It always has a new
// id: one that an attacker knows beforehand is worth nothing.
func (p *Provider) begin(u *user) *session {
	return &session{user: u, record: sessionRecord{
		version: version{currentVersion}, User: u.name, AuthTime: p.cfg.Now().Unix(), Password: passwordMark(u),
	}}
}

// save gives the ops that record that the user let the client in, and the id of
// a new session.
func (p *Provider) save(ctx context.Context, s *session, client, old string) (ops []store.Op, id string, err error) {
	known := client == "" || slices.Contains(s.record.Clients, client)
	if s.id != "" && known {
		return nil, "", nil
	}
	record := s.record
	if !known {
		record.Clients = append(slices.Clone(record.Clients), client)
	}
	if s.id != "" {
		doc, err := p.doc(kindSession, s.id, s.user.name, s.doc.Expires, record)
		doc.Rev = s.doc.Rev
		return []store.Op{store.Swap(doc)}, "", err
	}
	id = secret()
	doc, err := p.doc(kindSession, id, s.user.name, p.cfg.Now().Add(p.cfg.SessionLife), record)
	if err != nil {
		return nil, "", err
	}
	ops = []store.Op{store.Create(doc)}
	if previous, err := p.replaced(ctx, old); err != nil {
		return nil, "", err
	} else if previous != nil {
		ops = append(ops, *previous)
	}
	return ops, id, nil
}

// replaced ends the session that the browser had before.
func (p *Provider) replaced(ctx context.Context, id string) (*store.Op, error) {
	if id == "" {
		return nil, nil
	}
	doc, err := p.cfg.Store.Get(ctx, p.key(kindSession, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	op := store.Delete(doc.Key, doc.Rev)
	return &op, nil
}

func sum(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// passwordMark changes when the password does.
func passwordMark(u *user) string {
	return base64.RawURLEncoding.EncodeToString(sum("session\x00" + u.PasswordHash + "\x00" + u.Sub)[:16])
}
