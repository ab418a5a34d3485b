package officehours

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// parse reads what stands behind `evaluate`, as the server does, and gives the
// JSON that it would put into the rule.
func parse(text string) ([]byte, error) {
	d := caddyfile.NewTestDispenser("evaluate " + text)
	d.Next()    // evaluate
	d.NextArg() // office_hours
	module, err := caddyfile.UnmarshalModule(d, "uma.policies.office_hours")
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, "policy", "office_hours", nil), nil
}

func TestUnmarshalCaddyfile(t *testing.T) {
	got, err := parse("office_hours {\n from 8\n to 18\n}")
	if want := `{"from":8,"policy":"office_hours","to":18}`; err != nil || string(got) != want {
		t.Errorf("UnmarshalCaddyfile = %s, %v, want %s", got, err, want)
	}
	for _, text := range []string{"office_hours 8", "office_hours {\n from\n}", "office_hours {\n from eight\n}", "office_hours {\n form 8\n}", "office_hours {\n from 8 9\n}"} {
		if got, err := parse(text); err == nil {
			t.Errorf("UnmarshalCaddyfile(%q) = %s, want an error", text, got)
		}
	}
}

// The guest is loaded by Caddy from the raw JSON of a rule, and guarded.
func TestEvaluate(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	host := struct {
		Raw json.RawMessage `caddy:"namespace=uma.policies inline_key=policy"`
	}{Raw: json.RawMessage(`{"policy":"office_hours","from":8,"to":18,"zone":"Europe/Berlin"}`)}
	loaded, err := ctx.LoadModule(&host, "Raw")
	if err != nil {
		t.Fatal(err)
	}
	guest, ok := loaded.(policy.Policy)
	if !ok {
		t.Fatalf("%T is no policy", loaded)
	}
	guest = policy.Guard(guest, 0)
	for now, want := range map[string]bool{
		"2026-11-24T07:00:00Z": true,
		"2026-11-24T06:59:59Z": false,
		"2026-11-24T16:59:59Z": true,
		"2026-11-24T17:00:00Z": false,
		"2026-11-28T12:00:00Z": false,
	} {
		at, _ := time.Parse(time.RFC3339, now)
		in := &policy.Input{Now: at, Budget: policy.NewBudget(1)}
		if got, err := guest.Evaluate(t.Context(), in); err != nil || got != want {
			t.Errorf("at %s = %v, %v, want %v", now, got, err, want)
		}
		if got, err := guest.Evaluate(t.Context(), in); err == nil {
			t.Errorf("without budget = %v, want an error", got)
		}
	}
	at := time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC)
	got := policy.Explain(t.Context(), guest, &policy.Input{Now: at}, policy.Detail{}).String()
	if want := "Tuesday 18:00 CET from 8 to 18 is false"; got != want {
		t.Errorf("Explain = %q, want %q", got, want)
	}
}

func TestProvision(t *testing.T) {
	for _, o := range []OfficeHours{{From: 18, To: 8}, {From: 8, To: 8}, {From: -1, To: 8}, {From: 8, To: 25}, {From: 8, To: 18, Zone: "Nowhere/Atlantis"}} {
		if err := o.Provision(caddy.Context{}); err == nil {
			t.Errorf("Provision of %+v succeeds", o)
		}
	}
}
