package umaapp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/limit"
)

// auditLog makes the lines of the log `uma.audit`. Where nobody writes them, events
// cost nothing.
func (a *App) auditLog() event.Observe {
	log := a.log.Named("audit")
	if log.Check(zapcore.InfoLevel, "") == nil && log.Check(zapcore.ErrorLevel, "") == nil {
		return event.None
	}
	checks := newAuditChecks(a.AuditRequests == auditAll, time.Now)
	return func(ctx context.Context, e event.Event) {
		var dropped int64
		if check, ok := e.(event.RPTCheck); ok {
			if ok, dropped = checks.wanted(check); !ok {
				return
			}
		}
		l, ok := a.auditLine(ctx, e)
		if !ok {
			return
		}
		if dropped > 0 {
			l.fields = append(l.fields, zap.Int64("dropped", dropped))
		}
		write(log, l)
	}
}

// auditLine makes the line of the log `uma.audit`: who asked for what, and what
// came of it (CONFORMANCE SEC-22).
func (a *App) auditLine(ctx context.Context, e event.Event) (line, bool) {
	l := line{level: zapcore.InfoLevel, name: e.Name()}
	switch e := e.(type) {
	case event.Decision:
		l.decision(e)
		l.add("outcome", string(e.Outcome), "policy", e.Policy, "policy_revision", e.Revision,
			"evidence", e.Evidence, "key_thumbprint", e.Key, "reason", e.Reason)
		l.list("shadow", e.Shadow)
		a.addPerson(ctx, &l, "as", e.Issuer, e.Person)
		a.addClaims(ctx, &l, e)
	case event.Continuity:
		l.level = zapcore.WarnLevel
		l.continuity(e)
		a.addPerson(ctx, &l, "as", e.Issuer, e.Person)
	case event.Block:
		l.block(e)
		l.add("reason", e.Reason)
		a.addPerson(ctx, &l, "as", e.Issuer, e.Person)
	case event.Replay:
		l.level = zapcore.WarnLevel
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "resource_server", e.ResourceServer, "ticket_challenge", e.TicketChallenge)
	case event.Revocation:
		l.add("decision_id", e.DecisionID, "issuer", e.Issuer, "client_id", e.ClientID, "resource_server", e.ResourceServer, "reason", e.Reason)
	case event.RPTCheck:
		l.add("decision_id", e.DecisionID, "issuer", e.Issuer, "resource_server", e.ResourceServer, "resource", e.Resource,
			"client_id", e.ClientID, "sub", e.Subject, "outcome", string(e.Outcome), "source", e.Source, "reason", e.Reason)
		l.list("scope", e.Scopes)
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
	a.hide(&l)
	return l, true
}

// addPerson names the person by iss and sub and, as audit_subject says, by the
// e-mail address.
func (a *App) addPerson(ctx context.Context, l *line, role, issuer string, p event.Person) {
	l.add("iss", p.Issuer, "sub", p.Subject)
	switch {
	case a.AuditSubject == auditHash:
		if p.Email != "" {
			l.add("email_hash", a.hashEmail(ctx, role, issuer, p.Email))
		}
		if strings.Contains(p.Subject, "@") { // hide takes it out of sub
			l.add("sub_hash", a.hashEmail(ctx, role, issuer, p.Subject))
		}
	case a.AuditSubject == auditOff:
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

// auditChecks chooses among the checks of RPTs, of which every request makes one.
type auditChecks struct {
	all     bool
	first   seenSet[checkKey]
	refused *limit.Limiter
	dropped atomic.Int64
}

// checkKey names what has one line, or what shares a bound. It is a hash: a decision
// id of another authorization server may be long, and shares its memory with all that
// the RPT says.
type checkKey [sha256.Size]byte

func newCheckKey(parts ...string) checkKey {
	text := make([]byte, 0, 256)
	for _, part := range parts {
		text = append(binary.BigEndian.AppendUint32(text, uint32(len(part))), part...)
	}
	return sha256.Sum256(text)
}

// Bounds of what a stranger who sends tokens can make us write and remember. An
// audit log that rolls is no help if a flood rolls it over.
const (
	auditedRefusals = 60 // in a minute, of each RPT, and of all that nobody knows
	auditedRPTs     = 10_000
	auditedFirsts   = 50_000
)

func newAuditChecks(all bool, now func() time.Time) *auditChecks {
	return &auditChecks{all: all, first: seenSet[checkKey]{size: auditedFirsts / 2}, refused: limit.New(auditedRefusals, time.Minute, auditedRPTs, now)}
}

// wanted tells whether a check has a line, and how many had none since the last
// line because there were too many.
func (c *auditChecks) wanted(e event.RPTCheck) (ok bool, dropped int64) {
	if e.Outcome == event.Granted {
		return c.all || c.first.add(newCheckKey(e.DecisionID, e.ResourceServer, e.Issuer, e.Resource)), 0
	}
	// A flood of tokens that nobody issued does not take the place of refusals of
	// real ones.
	key := newCheckKey(e.DecisionID, e.ResourceServer, e.Issuer)
	if ok, _ := c.refused.Allow(string(key[:])); !ok {
		c.dropped.Add(1)
		return false, 0
	}
	return true, c.dropped.Swap(0)
}
