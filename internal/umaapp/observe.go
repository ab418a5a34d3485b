package umaapp

import (
	"context"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// Observe tells each event to those who make something of it, each of which does
// its own part and knows nothing of the others: a counter, log lines, a Caddy
// event, a part of the request's span. None of them may fail or hold up the request.
func (a *App) Observe() event.Observe {
	all := []event.Observe{a.metrics.count, a.logLine(), a.auditLog(), a.events.emit, noteInSpan}
	return func(ctx context.Context, e event.Event) {
		for _, observe := range all {
			observe(ctx, e)
		}
	}
}

// logLine writes a line of the logger `uma`.
func (a *App) logLine() event.Observe {
	return func(_ context.Context, e event.Event) {
		if everyRequest(e) && !a.log.Core().Enabled(zapcore.DebugLevel) {
			return // without making a line that nobody writes
		}
		if l, ok := describe(e); ok {
			write(a.log, l)
		}
	}
}

// auditLog writes, where a person is concerned, a line of `uma.audit`. The person's
// address stands there alone.
func (a *App) auditLog() event.Observe {
	audit := a.log.Named("audit")
	return func(ctx context.Context, e event.Event) {
		if l, ok := a.auditLine(ctx, e); ok {
			write(audit, l)
		}
	}
}

// everyRequest tells the events whose only line is at debug (describe).
func everyRequest(e event.Event) bool {
	switch e := e.(type) {
	case event.TicketIssued:
		return true
	case event.RPTCheck:
		return e.Outcome == event.Granted
	default:
		return false
	}
}

// line is a log line before it is written.
type line struct {
	level  zapcore.Level
	name   string
	fields []zap.Field
}

func write(log *zap.Logger, l line) {
	if ce := log.Check(l.level, l.name); ce != nil {
		ce.Write(l.fields...)
	}
}

// describe makes the line of the logger `uma`. Its fields are also the data of Caddy
// events and the attributes in spans, so nothing stands here that may not stand
// there: no credential, no address of a person. Names of fields: DESIGN §8.
// What every request has (a ticket, an RPT that is let through) is at debug;
// denials are at info with their reason, behind the rate limits of their
// endpoints.
func describe(e event.Event) (line, bool) {
	l := line{level: zapcore.InfoLevel, name: e.Name()}
	switch e := e.(type) {
	case event.TicketIssued:
		l.level = zapcore.DebugLevel
		l.add("issuer", e.Issuer, "resource_server", e.ResourceServer, "owner", e.Owner, "ticket_challenge", e.TicketChallenge)
		l.list("resource_id", e.ResourceIDs)
	case event.Exchange:
		l.outcome(e.Outcome)
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "issued_to", e.IssuedTo, "target", e.Target, "ticket_challenge", e.TicketChallenge, "iss", e.Person.Issuer, "reason", e.Reason)
	case event.Decision:
		l.outcome(e.Outcome)
		l.decision(e)
		l.add("iss", e.Person.Issuer, "policy", e.Policy, "policy_revision", e.Revision, "evidence", e.Evidence, "reason", e.Reason)
		l.list("shadow", e.Shadow)
	case event.Replay:
		l.level = zapcore.WarnLevel
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "resource_server", e.ResourceServer, "ticket_challenge", e.TicketChallenge)
	case event.Revocation:
		l.add("decision_id", e.DecisionID, "issuer", e.Issuer, "client_id", e.ClientID, "resource_server", e.ResourceServer, "reason", e.Reason)
	case event.Block:
		l.block(e)
		l.add("iss", e.Person.Issuer)
	case event.Continuity:
		l.level = zapcore.WarnLevel
		l.continuity(e)
		l.add("iss", e.Seen)
	case event.RPTCheck:
		l.outcome(e.Outcome)
		if e.Outcome == event.Granted {
			l.level = zapcore.DebugLevel
		}
		l.add("decision_id", e.DecisionID, "issuer", e.Issuer, "resource_server", e.ResourceServer, "resource", e.Resource, "client_id", e.ClientID, "sub", e.Subject, "source", e.Source, "reason", e.Reason)
	case event.Discovery:
		l.outcome(e.Outcome)
		l.add("domain", e.Domain, "iss", e.IssuerFound, "evidence", e.Evidence, "reason", e.Reason)
	case event.Consent:
		l.outcome(e.Outcome)
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "target", e.Target, "reason", e.Reason)
	case event.Login:
		l.outcome(e.Outcome)
		l.add("issuer", e.Issuer, "client_id", e.ClientID, "method", e.Method, "reason", e.Reason)
	default:
		return l, false
	}
	return l, true
}

// outcome adds the field; what we failed to do ourselves is an error.
func (l *line) outcome(o event.Outcome) {
	if o == event.Failed {
		l.level = zapcore.ErrorLevel
	}
	l.add("outcome", string(o))
}

func (l *line) decision(e event.Decision) {
	l.add("decision_id", e.DecisionID, "issuer", e.Issuer, "client_id", e.ClientID, "resource_server", e.ResourceServer, "owner", e.Owner, "ticket_challenge", e.TicketChallenge)
	l.list("resource_id", e.ResourceIDs)
}

func (l *line) block(e event.Block) {
	l.add("issuer", e.Issuer, "kind", e.Kind, "domain", e.Domain)
	if !e.Until.IsZero() {
		l.fields = append(l.fields, zap.Time("until", e.Until))
	}
	if !e.Lifted {
		l.fields = append(l.fields, zap.Int("ended", e.Ended))
	}
}

func (l *line) continuity(e event.Continuity) {
	l.add("decision_id", e.DecisionID, "issuer", e.Issuer, "domain", e.Domain, "kind", string(e.Kind), "known_iss", e.Known, "outcome", string(e.Outcome))
}

// maxField bounds what a stranger's value can take up in a log line.
const maxField = 256

// add adds fields in pairs of name and value, without empty ones.
func (l *line) add(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := pairs[i+1]; v != "" {
			l.fields = append(l.fields, zap.String(pairs[i], cut(v)))
		}
	}
}

func (l *line) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	short := make([]string, 0, len(values))
	for _, v := range values {
		short = append(short, cut(v))
	}
	l.fields = append(l.fields, zap.Strings(name, short))
}

func cut(s string) string {
	if len(s) > maxField {
		return s[:maxField]
	}
	return s
}
