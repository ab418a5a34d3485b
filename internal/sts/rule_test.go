package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

// conditional makes a bench where apiURI has a condition beside broader targets.
func conditional(t *testing.T, when string) *bench {
	t.Helper()
	return newBench(t, func(b *bench) {
		b.cfg.Targets = []sts.Target{
			{Names: []string{"*"}, Release: []string{"salary"}},
			{Names: []string{apiURI}, Release: []string{"name", "groups"}, When: when},
			{Names: []string{apiURI + "/open"}},
		}
	})
}

func TestCA_14_When(t *testing.T) {
	for name, tc := range map[string]struct{ when, reason string }{
		"true":                         {`true`, ""},
		"claims that are released":     {`"staff" in claims.groups`, ""},
		"claims that are not":          {`claims.salary == 12`, ""},
		"the address":                  {`email.domain == "bob.example" && claims.email == "bob@bob.example" && claims.email_verified == true`, ""},
		"the target as it was asked":   {`target == "https://api.corp"`, ""},
		"the client":                   {`client == "caddy-uma"`, ""},
		"the time":                     {`now == timestamp(1800000000)`, ""},
		"the subject":                  {`sub.size() == 43`, ""},
		"false":                        {`"admin" in claims.groups`, "the condition of the target is false"},
		"another client":               {`client == "web"`, "the condition of the target is false"},
		"a claim that is missing":      {`claims.level > 3`, "level"},
		"the negation of a missing":    {`!(claims.level > 3)`, "level"},
		"another type":                 {`claims.name > 3`, "the condition of the target failed"},
		"an error":                     {`int(claims.name) == 3`, "the condition of the target failed"},
		"too expensive":                {`claims.many.all(x, claims.many.all(y, x == y))`, "the condition of the target failed"},
		"a claim that is no JSON":      {`claims.nan == 1.0`, "the condition of the target"},
		"a claim that contains itself": {`claims.loop == claims.loop`, "the condition of the target failed"},
	} {
		t.Run("CA-14 "+name, func(t *testing.T) {
			b := conditional(t, tc.when)
			loop := map[string]any{}
			loop["loop"] = loop
			s := b.bob("caddy-uma")
			s.Claims["many"], s.Claims["nan"], s.Claims["loop"] = make([]any, 5_000), math.NaN(), loop
			b.users[bobToken] = s
			if tc.reason == "" {
				if d := cmp.Diff("Bob", b.mustIssue(t, good())["name"]); d != "" {
					t.Error(d)
				}
				return
			}
			w := b.post(good())
			b.wantError(t, w, http.StatusBadRequest, oauth.CodeInvalidTarget)
			ev := b.events[0]
			if ev.Outcome != event.Denied || !strings.Contains(ev.Reason, tc.reason) || strings.Contains(ev.Reason, "Bob") {
				t.Errorf("event = %+v, want denied and %q", ev, tc.reason)
			}
			// The client does not learn why, nor that there is a condition.
			if other := b.post(good("resource", "RS API")); other.Body.String() != w.Body.String() {
				t.Errorf("answers differ: %s, %s", w.Body, other.Body)
			}
		})
	}
	t.Run("CA-14 a false condition does not fall to a broader target", func(t *testing.T) {
		b := conditional(t, `false`)
		for _, target := range []string{apiURI, apiURI + "/", apiURI + "/photos"} {
			b.wantError(t, b.post(good("resource", target)), http.StatusBadRequest, oauth.CodeInvalidTarget)
		}
		b.mustIssue(t, good("resource", apiURI+"/open/x")) // the most specific rule decides here, too
		b.mustIssue(t, good("resource", "https://other.example"))
	})
	t.Run("CA-14 the claims are left as they are", func(t *testing.T) {
		b := conditional(t, `claims.email == "bob@bob.example"`)
		b.mustIssue(t, good())
		if _, ok := b.users[bobToken].Claims["email"]; ok {
			t.Error("the claims of the provider were changed")
		}
		s := b.bob("caddy-uma")
		s.Claims = nil
		b.users[bobToken] = s
		b.mustIssue(t, good())
	})
}

func TestConfigRefusesRules(t *testing.T) {
	for name, tc := range map[string]struct {
		targets []sts.Target
		want    string
	}{
		"syntax":         {[]sts.Target{{Names: []string{"A"}, When: `claims.`}}, "target 'A': when: 1:8: syntax error"},
		"unknown name":   {[]sts.Target{{Names: []string{"A"}, When: `resource.name == "x"`}}, "undeclared reference to 'resource'"},
		"no condition":   {[]sts.Target{{Names: []string{"A"}, When: `claims.admin`}}, "write a comparison"},
		"twice":          {[]sts.Target{{Names: []string{"A"}}, {Names: []string{"B", "A"}}}, "target 'A' is written twice"},
		"twice in one":   {[]sts.Target{{Names: []string{"A", "A"}}}, "target 'A' is written twice"},
		"in other words": {[]sts.Target{{Names: []string{"https://a.example/x"}}, {Names: []string{"https://a.example/x/"}, When: "false"}}, "is written twice"},
		"consent":        {[]sts.Target{{Names: []string{"A"}, Consent: true}}, "consent needs the embedded provider"},
		"good":           {[]sts.Target{{Names: []string{"A", "*"}, When: `target == "A"`}, {Names: []string{"https://a.example/x", "https://a.example"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newBench(t, nil).cfg
			cfg.Targets = tc.targets
			_, err := sts.New(cfg)
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New() = %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("consent for all", func(t *testing.T) {
		cfg := newBench(t, nil).cfg
		cfg.ConsentAll = true
		if _, err := sts.New(cfg); !errors.Is(err, sts.ErrConsent) {
			t.Errorf("New() = %v", err)
		}
	})
}

// asking is a user who answers.
type asking struct {
	agrees bool
	err    error
	asked  []oauth.Consent
}

func (a *asking) consent(_ context.Context, asked oauth.Consent) (bool, string, error) {
	a.asked = append(a.asked, asked)
	return a.agrees, "https://bob.example/sts/consent?x=1", a.err
}

func withConsent(t *testing.T, a *asking, all bool) *bench {
	t.Helper()
	return newBench(t, func(b *bench) {
		b.cfg.Consent, b.cfg.ConsentAll = a.consent, all
		b.cfg.Targets[0].Consent = !all
		b.cfg.Targets[0].Release = []string{"name", "nickname", "email", "groups", "name"}
		b.cfg.Targets[1].When = `client == "web"`
	})
}

func TestCA_14_Consent(t *testing.T) {
	for name, tc := range map[string]struct {
		required string
		release  []string
	}{
		"CA-14 what will be said": {"", []string{"name", "groups"}},
		"A43 cut down":            {`[{"name":"groups"},{"name":"salary"}]`, []string{"groups"}},
		"A43 to nothing":          {`[]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asking{agrees: true}
			b := withConsent(t, a, false)
			b.users[bobToken].Claims["email"] = "eve@evil.example" // always there, and not what is released
			claims := b.mustIssue(t, good("required_claims", tc.required))
			want := []oauth.Consent{{Subject: b.users[bobToken], ClientID: "caddy-uma", Target: apiURI, Release: tc.release}}
			if d := cmp.Diff(want, a.asked); d != "" {
				t.Error(d)
			}
			for _, name := range []string{"name", "groups", "nickname", "salary"} {
				released := len(tc.release) > 0 && strings.Contains(strings.Join(tc.release, " "), name)
				if _, has := claims[name]; has != released {
					t.Errorf("%s: %v, want %v", name, has, released)
				}
			}
		})
	}
	t.Run("CA-14 not agreed", func(t *testing.T) {
		b := withConsent(t, &asking{}, false)
		w := b.post(good())
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusForbidden || body["error"] != "consent_required" || body["consent_uri"] != "https://bob.example/sts/consent?x=1" || body["access_token"] != nil {
			t.Errorf("answer = %d %v", w.Code, body)
		}
		if ev := b.events[0]; len(b.events) != 1 || ev.Outcome != event.NeedInfo || ev.Person.Email != "bob@bob.example" {
			t.Errorf("events = %+v", b.events)
		}
		b.mustIssue(t, good("resource", "https://paths.corp/a", "client_id", "web", "client_secret", secret, "subject_token", b.token("web")))
	})
	t.Run("SEC-13 consent cannot be looked up", func(t *testing.T) {
		b := withConsent(t, &asking{agrees: true, err: errors.New("the store is gone")}, false)
		w := b.post(good())
		b.wantError(t, w, http.StatusServiceUnavailable, oauth.CodeUnavailable)
		if strings.Contains(w.Body.String(), "store") || b.events[0].Outcome != event.Failed {
			t.Errorf("answer = %s, event %+v", w.Body, b.events[0])
		}
	})
	t.Run("CA-14 nobody is asked about what is refused anyway", func(t *testing.T) {
		a := &asking{agrees: true}
		b := withConsent(t, a, true)
		b.wantError(t, b.post(good("resource", "https://evil.example")), http.StatusBadRequest, oauth.CodeInvalidTarget)
		b.wantError(t, b.post(good("resource", "https://paths.corp/a")), http.StatusBadRequest, oauth.CodeInvalidTarget)
		b.wantError(t, b.post(good("subject_token", "x")), http.StatusBadRequest, oauth.CodeInvalidRequest)
		if len(a.asked) != 0 {
			t.Errorf("asked %+v", a.asked)
		}
	})
	t.Run("CA-14 consent for every target", func(t *testing.T) {
		b := withConsent(t, &asking{}, true)
		form := good("resource", "https://paths.corp/a", "client_id", "web", "client_secret", secret, "subject_token", b.token("web"))
		b.wantError(t, b.post(form), http.StatusForbidden, oauth.CodeConsentRequired)
	})
}

// token makes an access token of bob for a client.
func (b *bench) token(client string) string {
	b.users["at-"+client] = b.bob(client)
	return "at-" + client
}
