package umaapp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

func observed(t *testing.T, subject string, e event.Event) (uma, audit []observer.LoggedEntry) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	a := &App{AuditSubject: subject, log: zap.New(core).Named("uma")}
	a.Observe()(t.Context(), e)
	for _, entry := range logs.All() {
		switch entry.LoggerName {
		case "uma":
			uma = append(uma, entry)
		case "uma.audit":
			audit = append(audit, entry)
		default:
			t.Errorf("a line of logger %q", entry.LoggerName)
		}
	}
	return uma, audit
}

var person = event.Person{Issuer: "https://bob.example", Subject: "248", Email: "Bob@bob.example"}

func TestObserve(t *testing.T) {
	decision := event.Decision{
		Issuer: "https://as.example", DecisionID: "d1", ClientID: "c", ResourceServer: "api", Owner: "o", ResourceIDs: []string{"r1", "r2"},
		TicketChallenge: "tc", Person: person, Outcome: event.Denied, Reason: "no policy matches", Policy: "p", Evidence: "webfinger",
	}
	tests := []struct {
		name  string
		event event.Event
		level zapcore.Level
		want  map[string]any
		audit bool
	}{
		{
			"decision", decision, zapcore.InfoLevel,
			map[string]any{
				"outcome": "denied", "decision_id": "d1", "issuer": "https://as.example", "client_id": "c", "resource_server": "api", "owner": "o",
				"ticket_challenge": "tc", "resource_id": []any{"r1", "r2"}, "iss": "https://bob.example", "policy": "p", "evidence": "webfinger", "reason": "no policy matches",
			},
			true,
		},
		{"failed decision", event.Decision{Outcome: event.Failed, Reason: "store"}, zapcore.ErrorLevel, map[string]any{"outcome": "failed", "reason": "store"}, true},
		{
			"exchange",
			event.Exchange{Issuer: "i", ClientID: "c", IssuedTo: "d", Target: "t", TicketChallenge: "tc", Person: person, Outcome: event.Granted},
			zapcore.InfoLevel,
			map[string]any{"outcome": "granted", "issuer": "i", "client_id": "c", "issued_to": "d", "target": "t", "ticket_challenge": "tc", "iss": "https://bob.example"},
			true,
		},
		{
			"login",
			event.Login{Issuer: "i", ClientID: "c", Method: "form", Person: person, Outcome: event.Refused, Reason: "wrong password"},
			zapcore.InfoLevel,
			map[string]any{"outcome": "refused", "issuer": "i", "client_id": "c", "method": "form", "reason": "wrong password"},
			true,
		},
		{"ticket", event.TicketIssued{Issuer: "i", ResourceIDs: []string{"r"}}, zapcore.DebugLevel, map[string]any{"issuer": "i", "resource_id": []any{"r"}}, false},
		{"replay", event.Replay{Issuer: "i", ClientID: "c"}, zapcore.WarnLevel, map[string]any{"issuer": "i", "client_id": "c"}, true},
		{"revocation", event.Revocation{Issuer: "i", ClientID: "c", ResourceServer: "api", DecisionID: "d", Reason: "why"}, zapcore.InfoLevel, map[string]any{"issuer": "i", "client_id": "c", "resource_server": "api", "decision_id": "d", "reason": "why"}, true},
		{
			"continuity",
			event.Continuity{
				Issuer: "i", DecisionID: "d1", Person: person, Domain: "bob.example", Kind: event.KnownAddress,
				Known: "https://bob.example", Seen: "https://evil.example", Outcome: event.Denied,
			},
			zapcore.WarnLevel,
			map[string]any{
				"issuer": "i", "decision_id": "d1", "domain": "bob.example", "kind": "address",
				"known_iss": "https://bob.example", "iss": "https://evil.example", "outcome": "denied",
			},
			true,
		},
		{
			"block of an address",
			event.Block{Issuer: "i", Kind: "address", Person: event.Person{Email: "Bob@bob.example"}, Reason: "Bob left", Until: time.Unix(60, 0).UTC(), Ended: 2},
			zapcore.InfoLevel,
			map[string]any{"issuer": "i", "kind": "address", "until": time.Unix(60, 0).UTC(), "ended": int64(2)},
			true,
		},
		{
			"block of an issuer",
			event.Block{Issuer: "i", Kind: "issuer", Person: event.Person{Issuer: "https://bob.example"}},
			zapcore.InfoLevel,
			map[string]any{"issuer": "i", "kind": "issuer", "iss": "https://bob.example", "ended": int64(0)},
			true,
		},
		{
			"administration",
			event.Administration{
				Role: "as", Issuer: "i", Action: "grants_revoked", ID: "x", ClientID: "c", ResourceServer: "api", Owner: "o",
				DecisionID: "d", Subject: "u-1", Domain: "bob.example", Person: person, Ended: 3,
			},
			zapcore.InfoLevel,
			map[string]any{
				"action": "grants_revoked", "issuer": "i", "id": "x", "client_id": "c", "resource_server": "api", "owner": "o",
				"decision_id": "d", "subject": "u-1", "domain": "bob.example", "iss": "https://bob.example", "ended": int64(3),
			},
			true,
		},
		{
			"unblock of a domain",
			event.Block{Issuer: "i", Kind: "domain", Domain: "bob.example", Lifted: true},
			zapcore.InfoLevel,
			map[string]any{"issuer": "i", "kind": "domain", "domain": "bob.example"},
			true,
		},
		{"RPT let through", event.RPTCheck{Issuer: "i", Outcome: event.Granted, Source: "cache"}, zapcore.DebugLevel, map[string]any{"issuer": "i", "outcome": "granted", "source": "cache"}, true},
		{"RPT refused", event.RPTCheck{Issuer: "i", Outcome: event.Refused, Reason: "expired"}, zapcore.InfoLevel, map[string]any{"issuer": "i", "outcome": "refused", "reason": "expired"}, true},
		{"discovery", event.Discovery{Domain: "bob.example", IssuerFound: "i", Outcome: event.Granted}, zapcore.InfoLevel, map[string]any{"domain": "bob.example", "iss": "i", "outcome": "granted"}, false},
	}
	for _, tt := range tests {
		t.Run("SEC-22 "+tt.name, func(t *testing.T) {
			uma, audit := observed(t, auditPlain, tt.event)
			if len(uma) != 1 {
				t.Fatalf("%d lines in uma, want one", len(uma))
			}
			if uma[0].Level != tt.level || uma[0].Message != tt.event.Name() {
				t.Errorf("line %s %q, want %s %q", uma[0].Level, uma[0].Message, tt.level, tt.event.Name())
			}
			if diff := cmp.Diff(tt.want, uma[0].ContextMap()); diff != "" {
				t.Error(diff)
			}
			for _, entry := range slices.Concat(uma, audit) {
				if len(entry.Context) != len(entry.ContextMap()) {
					t.Errorf("a field stands twice in a line of %s: %v", entry.LoggerName, entry.Context)
				}
			}
			if (len(audit) == 1) != tt.audit {
				t.Errorf("%d lines in uma.audit, want one: %v", len(audit), tt.audit)
			}
		})
	}
}

func TestSEC_22_AuditSubject(t *testing.T) {
	e := event.Decision{Issuer: "https://as.example", Outcome: event.Granted, Person: person}
	for subject, want := range map[string]string{auditPlain: "Bob@bob.example", auditOff: ""} {
		uma, audit := observed(t, subject, e)
		fields := audit[0].ContextMap()
		if got, _ := fields["email"].(string); got != want {
			t.Errorf("%s: email = %q, want %q", subject, got, want)
		}
		if fields["iss"] != person.Issuer || fields["sub"] != person.Subject {
			t.Errorf("%s: iss and sub = %v, %v", subject, fields["iss"], fields["sub"])
		}
		for name, v := range uma[0].ContextMap() {
			if s, ok := v.(string); ok && (strings.Contains(s, "Bob@") || s == person.Subject) {
				t.Errorf("%s: uma shows the person in %s", subject, name)
			}
		}
	}
}

// SEC-22: who is blocked, and why, stands in the audit line alone.
func TestSEC_22_BlockAuditLine(t *testing.T) {
	e := event.Block{Issuer: "i", Kind: "address", Person: event.Person{Email: "Bob@bob.example"}, Reason: "Bob left"}
	_, audit := observed(t, auditPlain, e)
	want := map[string]any{"issuer": "i", "kind": "address", "ended": int64(0), "email": "Bob@bob.example", "reason": "Bob left"}
	if diff := cmp.Diff(want, audit[0].ContextMap()); diff != "" {
		t.Error(diff)
	}
	if _, audit = observed(t, auditOff, e); audit[0].ContextMap()["email"] != nil {
		t.Errorf("%v", audit[0].ContextMap())
	}
}

// SEC-27: the audit line says who is in doubt, the other one does not.
func TestSEC_27_AuditLine(t *testing.T) {
	uma, audit := observed(t, auditPlain, event.Continuity{
		Issuer: "i", Person: person, Domain: "bob.example", Kind: event.KnownDomain, Known: "https://old.example", Seen: person.Issuer, Outcome: event.Warned,
	})
	if len(uma) != 1 || len(audit) != 1 {
		t.Fatalf("%d lines in uma, %d in uma.audit", len(uma), len(audit))
	}
	want := map[string]any{
		"issuer": "i", "domain": "bob.example", "kind": "domain", "known_iss": "https://old.example", "outcome": "warn",
		"iss": person.Issuer, "sub": person.Subject, "email": person.Email,
	}
	if diff := cmp.Diff(want, audit[0].ContextMap()); diff != "" || audit[0].Level != zapcore.WarnLevel {
		t.Error(audit[0].Level, diff)
	}
	if uma[0].ContextMap()["email"] != nil || uma[0].ContextMap()["sub"] != nil {
		t.Errorf("%v", uma[0].ContextMap())
	}
}

func TestSEC_22_LongValuesAreCut(t *testing.T) {
	uma, _ := observed(t, auditPlain, event.Decision{ClientID: strings.Repeat("x", 1<<16), Outcome: event.Refused})
	if got := len(uma[0].ContextMap()["client_id"].(string)); got != maxField {
		t.Errorf("client_id of %d characters, want %d", got, maxField)
	}
}

func TestSEC_05_LeftoverExceptionsAreNamed(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	a := &App{log: zap.New(core), ConnectTo: map[string]string{
		"a.example:443": "127.0.0.1:8443", "b.example:443": "10.0.0.1:443", "c.example:443": "[::1]:1",
		"d.example:443": "192.0.2.1:443", "e.example:443": "[::ffff:192.168.1.1]:443",
	}}
	a.warnConnectTo()
	a.WarnLocal("email_domain f.example", "sso.localhost:8443")
	a.WarnLocal("email_domain g.example", "sso.g.example:443")
	a.WarnLocal("email_domain h.example", "localhost.example:443")
	var got []string
	for _, entry := range logs.All() {
		got = append(got, entry.ContextMap()["entry"].(string))
	}
	want := []string{"connect_to a.example:443", "connect_to b.example:443", "connect_to c.example:443", "connect_to e.example:443", "email_domain f.example"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSEC_22_AuditHash(t *testing.T) {
	cfg := new(caddy.Config)
	text := `{"admin":{"disabled":true},"storage":{"module":"file_system","root":"` + t.TempDir() + `"},"apps":{"uma":{"audit_subject":"hash"}}}`
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	a.log = zap.New(core).Named("uma")
	hash := func(issuer, email string) string {
		t.Helper()
		logs.TakeAll()
		a.Observe()(t.Context(), event.Decision{Issuer: issuer, Outcome: event.Granted, Person: event.Person{Email: email}})
		fields := logs.FilterLoggerName("uma.audit").All()[0].ContextMap()
		if _, plain := fields["email"]; plain {
			t.Error("the address stands in the line")
		}
		h, _ := fields["email_hash"].(string)
		if len(h) != 22 {
			t.Errorf("email_hash = %q, want 22 characters", h)
		}
		return h
	}
	bob := hash("https://as.example", "bob@bob.example")
	if again := hash("https://as.example", "Bob@bob.example"); again != bob {
		t.Error("one address has two hashes")
	}
	if other := hash("https://as.example", "mallory@bob.example"); other == bob {
		t.Error("two addresses have one hash")
	}
	if foreign := hash("https://other.example", "bob@bob.example"); foreign == bob {
		t.Error("two issuers share the key")
	}
	logs.TakeAll()
	decision := withClaims
	decision.Person.Subject = "bob@bob.example"
	a.Observe()(t.Context(), decision)
	fields := logs.FilterLoggerName("uma.audit").All()[0].ContextMap()
	claims, _ := fields["claims"].(map[string]any)
	if claims["email"] != "hash:"+bob || claims["boss"] != "…@carol.example" || claims["groups"] != `["staff","users"]` || len(claims["upn"].(string)) != 27 {
		t.Errorf("claims = %v", claims)
	}
	if fields["sub_hash"] != bob || fields["sub"] != "…@bob.example" {
		t.Errorf("sub = %v, %v", fields["sub"], fields["sub_hash"])
	}
}

// What is left out without a look is what would be written at debug alone.
func TestObserveLeavesOutWhatNobodyReads(t *testing.T) {
	for _, tc := range []struct {
		event event.Event
		lines int // at info
	}{
		{event.TicketIssued{Issuer: "https://as.example"}, 0},
		{event.RPTCheck{Outcome: event.Granted}, 1}, // the first one has a line in uma.audit
		{event.RPTCheck{Outcome: event.Denied}, 2},
		{event.RPTCheck{Outcome: event.Failed}, 2},
		{event.Exchange{Outcome: event.Granted}, 2},
		{event.Revocation{Reason: "x"}, 2},
	} {
		core, logs := observer.New(zapcore.InfoLevel)
		a := &App{log: zap.New(core).Named("uma")}
		a.Observe()(t.Context(), tc.event)
		if logs.Len() != tc.lines {
			t.Errorf("%T %+v: %d lines at info, want %d", tc.event, tc.event, logs.Len(), tc.lines)
		}
		uma, _ := observed(t, "", tc.event)
		if len(uma) != 1 {
			t.Errorf("%T: %d lines at debug, want one", tc.event, len(uma))
		}
		if everyRequest(tc.event) && (uma[0].Level != zapcore.DebugLevel) {
			t.Errorf("%T is left out, but has a line that counts", tc.event)
		}
	}
}
