package uma_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func TestCA_37_ClaimsToken(t *testing.T) {
	key := josetest.NewKeypair("key-1")
	header := map[string]any{"typ": oauth.TypClaimsToken}
	for _, tc := range []struct {
		name  string
		edits map[string]any
		make  func(b *bench, claims map[string]any) string
		asked bool // whether the provider is called
	}{
		{name: "CA-34 CA-37 no challenge", edits: map[string]any{"ticket_challenge": nil}},
		{name: "CA-37 another challenge", edits: map[string]any{"ticket_challenge": oauth.TicketChallenge("x")}},
		{name: "CA-37 an array", edits: map[string]any{"ticket_challenge": []string{"x"}}},
		{name: "CA-34 CA-36 another resource server", edits: map[string]any{"aud": []string{photosURI}}},
		{name: "CA-36 the other one's name", edits: map[string]any{"aud": "Photos"}},
		{name: "CA-36 two audiences", edits: map[string]any{"aud": []string{apiURI, photosURI}}},
		{name: "CA-36 a trailing slash", edits: map[string]any{"aud": apiURI + "/"}},
		{name: "CA-36 upper case", edits: map[string]any{"aud": "https://API.alice.example"}},
		{name: "CA-36 no audience", edits: map[string]any{"aud": nil}},
		{name: "CA-29 email_verified absent", edits: map[string]any{"email_verified": nil}},
		{name: "CA-29 email_verified false", edits: map[string]any{"email_verified": false}},
		{name: "CA-29 email_verified is a text", edits: map[string]any{"email_verified": "true"}},
		{name: "CA-27 two addresses", edits: map[string]any{"email_address": "eve@bob.example"}},
		{name: "CA-34 CA-28 no address", edits: map[string]any{"email": nil}},
		{name: "CA-28 two at signs", edits: map[string]any{"email": "bob@bob.example@evil.example"}},
		{name: "CA-28 a port", edits: map[string]any{"email": "bob@bob.example:8443"}},
		{name: "CA-28 an address literal", edits: map[string]any{"email": "bob@[127.0.0.1]"}},
		{name: "CA-34 expired", edits: map[string]any{"exp": time.Now().Add(-5 * time.Minute).Unix()}},
		{name: "no exp", edits: map[string]any{"exp": nil}},
		{name: "lives too long", edits: map[string]any{"exp": time.Now().Add(time.Hour).Unix()}},
		{name: "issued in the future", edits: map[string]any{"iat": time.Now().Add(3 * time.Minute).Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}},
		{name: "no sub", edits: map[string]any{"sub": nil}},
		{name: "CA-47 another as_uri", edits: map[string]any{"as_uri": "https://as.evil.example"}},
		{name: "DP-07 bound to a key", edits: map[string]any{"cnf": map[string]any{"jkt": "x"}}},
		{name: "CA-32 iss of a stranger", edits: map[string]any{"iss": "https://evil.example"}, asked: true},
		{name: "CA-35 foreign key", asked: true, make: func(b *bench, c map[string]any) string { return b.op.Forge(c, oauth.TypClaimsToken) }},
		{name: "CA-35 unknown kid", asked: true, make: func(_ *bench, c map[string]any) string {
			return josetest.NewKeypair("unknown").Sign(header, c)
		}},
		{name: "CA-26 alg none", make: func(_ *bench, c map[string]any) string { return key.None(header, c, "AA") }},
		{name: "SEC-01 HS256 with the public key", make: func(_ *bench, c map[string]any) string { return key.HMAC(header, c) }},
		{name: "SEC-02 jku in the header", make: func(_ *bench, c map[string]any) string {
			return key.Sign(map[string]any{"typ": oauth.TypClaimsToken, "jku": "https://evil.example/jwks"}, c)
		}},
		{name: "SEC-02 unknown crit", make: func(_ *bench, c map[string]any) string {
			return key.Sign(map[string]any{"typ": oauth.TypClaimsToken, "crit": []string{"x"}}, c)
		}},
		{name: "AT-06 typ of an access token", make: func(b *bench, c map[string]any) string { return b.op.Sign(c, "at+jwt") }},
		{name: "AT-06 typ JWT as an ID token has", make: func(b *bench, c map[string]any) string { return b.op.Sign(c, "JWT") }},
		{name: "A37 no typ", make: func(b *bench, c map[string]any) string { return b.op.Sign(c, "") }},
		{name: "UG-16 doubly encoded", make: func(b *bench, c map[string]any) string {
			return strings.Split(key.None(nil, map[string]any{"jws": b.sign(c)}, "AA"), ".")[1]
		}},
		{name: "CA-26 JSON serialization", make: func(b *bench, c map[string]any) string {
			p := strings.Split(b.sign(c), ".")
			return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			ticket := b.fresh()
			claims := b.claims(ticket, tc.edits)
			if claims["iss"] == nil {
				claims["iss"] = b.op.Issuer
			}
			var claimToken string
			if tc.make != nil {
				claimToken = tc.make(b, claims)
			} else {
				claimToken = b.sign(claims)
			}
			res := b.present(ticket, claimToken)
			if res.status != http.StatusForbidden || res.code() != oauth.CodeNeedInfo {
				t.Fatalf("%d %s", res.status, res.text)
			}
			if next := res.get("ticket"); next == "" || next == ticket {
				t.Errorf("UG-43: successor %q", next)
			}
			if hits := b.op.Hits(""); (hits > 0) != tc.asked {
				t.Errorf("CA-34: the provider was called %d times", hits)
			}
			if strings.Contains(strings.Replace(res.text, res.get("ticket"), "", 1), "bob@") { // a ticket is random text
				t.Errorf("the answer shows claims: %s", res.text)
			}
		})
	}
}

func TestCA_32_ExactAddress(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "domain", From: from("bob.example")}}
		b.op.Link(func(resource string) (string, bool) {
			if resource == "acct:mallory@bob.example" {
				return "https://evil.example", true
			}
			return b.op.Issuer, true
		})
	})
	evil := map[string]any{"iss": "https://evil.example", "email": "bob@bob.example"}
	ticket := b.fresh()
	if res := b.present(ticket, b.sign(b.claims(ticket, evil))); res.code() != "need_info" {
		t.Errorf("%s", res.text)
	}
}

func TestCA_30_Discovery(t *testing.T) {
	t.Run("the domain's own document", func(t *testing.T) {
		b := newBench(t)
		b.op.Misbehave(fakeop.WebFinger, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		ticket := b.fresh()
		if res := b.present(ticket, b.sign(b.claims(ticket, nil))); res.status != 200 {
			t.Fatalf("%s", res.text)
		}
		if d := b.decisions(); d[0].Evidence != "document" {
			t.Errorf("%+v", d)
		}
	})
	t.Run("unreachable is need_info", func(t *testing.T) {
		b := newBench(t)
		b.op.Misbehave(fakeop.WebFinger, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		ticket := b.fresh()
		if res := b.present(ticket, b.sign(b.claims(ticket, nil))); res.code() != "need_info" || b.op.Hits(fakeop.Configuration) != 0 {
			t.Errorf("%s", res.text)
		}
	})
}

func TestCA_47_ASURI(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].RequireASURI = true })
	for name, uri := range map[string]any{"absent": nil, "another": "https://as.evil.example"} {
		t.Run(name, func(t *testing.T) {
			ticket := b.fresh()
			if res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"as_uri": uri}))); res.code() != "need_info" {
				t.Errorf("%s", res.text)
			}
		})
	}
	ticket := b.fresh()
	if res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"as_uri": issuer}))); res.status != 200 {
		t.Errorf("%s", res.text)
	}
}

func TestCA_22_LargeToken(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	big := func(n int) string { return b.sign(b.claims(ticket, map[string]any{"x": strings.Repeat("a", n)})) }
	if res := b.present(ticket, big(75<<10)); res.status != http.StatusRequestEntityTooLarge {
		t.Errorf("100 KiB: %d %s", res.status, res.text)
	}
	if res := b.present(ticket, big(24<<10)); res.status != 200 {
		t.Errorf("32 KiB: %d %s", res.status, res.text)
	}
}

// SEC-25: before a claims token is verified, nobody learns which people the
// policies name.
func TestSEC_25_NoListOfPeople(t *testing.T) {
	shape := func(b *bench, email string) string {
		ticket := b.fresh()
		res := b.present(ticket, b.op.Forge(b.claims(ticket, map[string]any{"email": email}), oauth.TypClaimsToken))
		for _, secret := range []string{res.get("ticket"), res.get("decision_id")} {
			res.text = strings.Replace(res.text, secret, "…", 1)
		}
		return res.text
	}
	b := newBench(t)
	named, unknown := shape(b, "bob@bob.example"), shape(b, "mallory@bob.example")
	if named != unknown || !strings.Contains(named, "need_info") {
		t.Errorf("a forged token of bob: %s\nof mallory: %s", named, unknown)
	}
	if other := shape(b, "bob@evil.example"); !strings.Contains(other, "request_denied") {
		t.Errorf("a domain that no policy names: %s", other)
	}
}

// CA-22: claims that take more room when they are kept than in their token.
func TestCA_22_ClaimsThatGrow(t *testing.T) {
	grow := map[string]any{"x": strings.Repeat("<", 7<<10)}
	numbers := make([]json.Number, 4<<10)
	for i := range numbers {
		numbers[i] = "1e20"
	}
	refusal := func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "all", From: from("bob.example")}, {Name: "no", Deny: true, From: from("bob@bob.example")}}
	}
	for _, tc := range []struct {
		name   string
		edit   func(*bench)
		claims map[string]any
		status int
		code   string
	}{
		{"granted", persisting, grow, 200, ""},
		{"denied", refusal, grow, 403, "request_denied"},
		{"need_info", staffOnly, grow, 403, "need_info"},
		{"numbers, denied", refusal, map[string]any{"x": numbers}, 403, "need_info"},
		{"numbers, granted", persisting, map[string]any{"x": numbers}, 403, "need_info"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.edit)
			ticket := b.fresh()
			res := b.pushWeb(ticket, b.sign(b.claims(ticket, tc.claims)))
			if res.status != tc.status || res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.code())
			}
			if d := b.decisions(); len(d) != 1 || d[0].Outcome == event.Failed {
				t.Errorf("%+v", d)
			}
		})
	}
}
