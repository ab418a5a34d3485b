package umaapp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// auditLine makes the line of the log `uma.audit`: who asked for what, and what
// came of it (CONFORMANCE SEC-22).
func (a *App) auditLine(ctx context.Context, e event.Event) (line, bool) {
	l := line{level: zapcore.InfoLevel, name: e.Name()}
	switch e := e.(type) {
	case event.Decision:
		l.decision(e)
		l.add("outcome", string(e.Outcome), "policy", e.Policy, "policy_revision", e.Revision, "evidence", e.Evidence, "reason", e.Reason)
		a.addPerson(ctx, &l, "as", e.Issuer, e.Person)
	case event.Continuity:
		l.level = zapcore.WarnLevel
		l.continuity(e)
		a.addPerson(ctx, &l, "as", e.Issuer, e.Person)
	case event.Block:
		l.block(e)
		l.add("reason", e.Reason)
		a.addPerson(ctx, &l, "as", e.Issuer, e.Person)
	case event.Administration:
		l.administration(e)
		a.addPerson(ctx, &l, e.Role, e.Issuer, e.Person)
	case event.Exchange:
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "issued_to", e.IssuedTo, "target", e.Target, "ticket_challenge", e.TicketChallenge, "outcome", string(e.Outcome), "reason", e.Reason)
		a.addPerson(ctx, &l, "sts", e.Issuer, e.Person)
	case event.Consent:
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "target", e.Target, "outcome", string(e.Outcome), "reason", e.Reason)
		a.addPerson(ctx, &l, "sts", e.Issuer, e.Person)
	case event.Login:
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "method", e.Method, "outcome", string(e.Outcome), "reason", e.Reason)
		a.addPerson(ctx, &l, "sts", e.Issuer, e.Person)
	default:
		return l, false
	}
	return l, true
}

// addPerson names the person by iss and sub and, as audit_subject says, by the
// e-mail address.
func (a *App) addPerson(ctx context.Context, l *line, role, issuer string, p event.Person) {
	l.add("iss", p.Issuer, "sub", p.Subject)
	switch {
	case p.Email == "" || a.AuditSubject == auditOff:
	case a.AuditSubject == auditHash:
		l.add("email_hash", a.hashEmail(ctx, role, issuer, p.Email))
	default:
		l.add("email", p.Email)
	}
}

// auditRing makes the ring that hashEmail needs, so that it can be listed before
// its first use.
func (a *App) auditRing(role, issuer string) error {
	if a.AuditSubject != auditHash {
		return nil
	}
	_, err := a.Ring(role, issuer, "audit", 0)
	return err
}

// hashEmail gives a keyed hash, which nobody without the key can find an address
// for by trying addresses. It is "" if the key cannot be had: then the line goes
// without, rather than with the address.
func (a *App) hashEmail(ctx context.Context, role, issuer, email string) string {
	ring, err := a.Ring(role, issuer, "audit", 0)
	if err == nil {
		var key [32]byte
		if _, key, err = ring.Current(ctx); err == nil {
			mac := hmac.New(sha256.New, key[:])
			mac.Write([]byte(strings.ToLower(email)))
			return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))[:22]
		}
	}
	a.log.Error("the audit key cannot be used", zap.Error(err))
	return ""
}
