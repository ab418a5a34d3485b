package umaapp

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

var withClaims = event.Decision{
	Issuer: "https://as.example", DecisionID: "d1", Person: person, Outcome: event.Granted, Key: "thumb", Policy: "staff", Revision: "r1", Evidence: "webfinger",
	Claims: []event.Claim{
		{Name: "groups", Value: []any{"staff", "users"}},
		{Name: "level", Value: 3.0},
		{Name: "email", Value: "bob@bob.example"},
		{Name: "upn", Value: "b.smith"},
		{Name: "team", Value: "the team of BOB"},
		{Name: "boss", Value: "carol@carol.example"},
		{Name: "note", Value: "a\x1b[31m\u202eb" + strings.Repeat("x", 1000)},
		{Name: "dept"},
		{Name: "*"},
	},
}

// The claims that decided stand in uma.audit alone, bounded; hash and off are not
// got around by those that name the person.
func TestSEC_22_ClaimsThatDecided(t *testing.T) {
	plain := map[string]any{
		"groups": `["staff","users"]`, "level": "3", "email": "bob@bob.example", "upn": "b.smith", "team": "the team of BOB", "boss": "carol@carol.example",
		"note": `a\u001b[31m\u202eb` + strings.Repeat("x", 248) + "…", "dept": "(missing)", "*": "(the policy looks at the claims as a whole)",
	}
	off := maps.Clone(plain)
	maps.Copy(off, map[string]any{"email": "…", "upn": "…", "team": "…", "boss": "…@carol.example"})
	for subject, want := range map[string]map[string]any{auditPlain: plain, auditOff: off} {
		uma, audit := observed(t, subject, withClaims)
		if diff := cmp.Diff(want, audit[0].ContextMap()["claims"]); diff != "" {
			t.Errorf("%s: %s", subject, diff)
		}
		if audit[0].ContextMap()["key_thumbprint"] != "thumb" {
			t.Errorf("%v", audit[0].ContextMap())
		}
		if text := lineText(t, uma[0]); strings.Contains(text, "users") || strings.Contains(text, "carol") {
			t.Errorf("uma shows a claim: %s", text)
		}
	}
}

func lineText(t *testing.T, e observer.LoggedEntry) string {
	t.Helper()
	buf, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(e.Entry, e.Context)
	if err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// No line shows an address unless it may: not in a sub, a reason or a claim.
func TestSEC_22_AddressesAreHiddenEverywhere(t *testing.T) {
	bob := event.Person{Issuer: "https://bob.example", Subject: "Bob@bob.example", Email: "Bob@bob.example"}
	decision := withClaims
	decision.Person, decision.Reason = bob, "bob%40bob.example is not <carol@bob.example>"
	decision.Shadow = []string{"for bob@bob.example"}
	for _, e := range []event.Event{
		decision,
		event.Exchange{Issuer: "https://bob.example", Person: bob, Reason: "bob@bob.example"},
		event.Login{Issuer: "https://bob.example", Person: bob},
		event.Consent{Issuer: "https://bob.example", Person: bob},
		event.Continuity{Issuer: "https://as.example", Person: bob},
		event.Block{Issuer: "https://as.example", Kind: "address", Person: event.Person{Email: bob.Email}, Reason: "asked by carol@as.example, of bob@bob.example"},
		event.Revocation{Issuer: "https://as.example", Reason: "bob@bob.example is gone"},
		event.RPTCheck{Issuer: "https://as.example", Subject: "bob@bob.example", Outcome: event.Refused},
		event.Replay{Issuer: "https://as.example", ClientID: "bob@bob.example"},
	} {
		for _, subject := range []string{auditOff, auditPlain} {
			_, audit := observed(t, subject, e)
			low := strings.ToLower(lineText(t, audit[0]))
			shows := strings.Contains(low, "bob@") || strings.Contains(low, "bob%40") || strings.Contains(low, "carol@")
			if shows != (subject == auditPlain && e.Name() != "") {
				t.Errorf("%s, %T: %s", subject, e, low)
			}
		}
	}
}

// One line of each RPT at each resource, and all that are refused as long as there
// is no flood of them; then how many had none.
func TestSEC_22_AuditedChecks(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newAuditChecks(false, func() time.Time { return now })
	granted := event.RPTCheck{DecisionID: "d1", ResourceServer: "api", Resource: "a", Outcome: event.Granted}
	want := func(name string, e event.RPTCheck, ok bool, dropped int64) {
		t.Helper()
		if gotOK, got := c.wanted(e); gotOK != ok || got != dropped {
			t.Errorf("%s: %v, %d dropped, want %v, %d", name, gotOK, got, ok, dropped)
		}
	}
	want("the first", granted, true, 0)
	want("the second", granted, false, 0)
	other := granted
	other.Resource = "b"
	want("of another resource", other, true, 0)
	other.DecisionID = "d2"
	want("of another RPT", other, true, 0)

	foreign := event.RPTCheck{ResourceServer: "api", Outcome: event.Refused}
	for range auditedRefusals {
		want("a refusal", foreign, true, 0)
	}
	want("of a flood", foreign, false, 0)
	want("of a flood", foreign, false, 0)
	known := foreign
	known.DecisionID = "d1"
	want("of a known RPT", known, true, 2)
	now = now.Add(time.Second)
	want("a second later", foreign, true, 0)
	want("and no more", foreign, false, 0)
	c = newAuditChecks(true, func() time.Time { return now })
	want("all", granted, true, 0)
	want("all again", granted, true, 0)
}

// What is remembered of checks does not grow with what an RPT says: a decision id of
// another authorization server may be long, and is a part of all that the RPT says.
func TestSEC_22_MemoryOfAuditedChecks(t *testing.T) {
	const rpts, text = 2000, 16 << 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newAuditChecks(false, time.Now)
	for i := range rpts {
		claims := fmt.Sprintf("%d-%s", i, strings.Repeat("x", text))
		for _, outcome := range []event.Outcome{event.Granted, event.Refused} {
			c.wanted(event.RPTCheck{DecisionID: claims[:22], ResourceServer: "api", Outcome: outcome})
			c.wanted(event.RPTCheck{DecisionID: claims, ResourceServer: "api", Outcome: outcome})
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(c)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / rpts; each > 2<<10 {
		t.Errorf("%d bytes for each RPT", each)
	}
}

func TestSeenSetIsBounded(t *testing.T) {
	s := seenSet[string]{size: 10}
	for i := range 1000 {
		if !s.add(string(rune('a' + i))) {
			t.Errorf("%d is not new", i)
		}
	}
	if s.add(string(rune('a'+999))) || s.add(string(rune('a'+990))) || !s.add("a") {
		t.Error("what was added last is new, or what was forgotten is not")
	}
	if n := len(s.now) + len(s.old); n > 21 {
		t.Errorf("%d texts are kept", n)
	}
}

// Where nobody writes uma.audit nothing is made, and nothing remembered.
func TestAuditorOfNobody(t *testing.T) {
	a := &App{log: zap.NewNop()}
	audit := a.auditLog()
	if n := testing.AllocsPerRun(100, func() {
		audit(context.Background(), nil)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	a = &App{log: zap.New(core).Named("uma")}
	for range 3 {
		a.auditLog()(t.Context(), event.RPTCheck{DecisionID: "d", ResourceServer: "api", Scopes: []string{"get"}, Outcome: event.Granted})
	}
	if names := slices.Collect(maps.Keys(logs.All()[0].ContextMap())); logs.Len() != 3 || !slices.Contains(names, "decision_id") || !slices.Contains(names, "scope") {
		t.Errorf("%d lines, %v", logs.Len(), names) // three auditors, which are three configurations
	}
}

func BenchmarkAuditGranted(b *testing.B) {
	core, _ := observer.New(zapcore.InfoLevel)
	audit := (&App{log: zap.New(core).Named("uma")}).auditLog()
	var e event.Event = event.RPTCheck{DecisionID: "d", ResourceServer: "api", Issuer: "https://as.example", Resource: "r", Outcome: event.Granted}
	for b.Loop() {
		audit(context.Background(), e)
	}
}
