package uma_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

func TestCA_23_TicketToRPT(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"groups": []string{"staff"}, "name": "Bob"})))
	if res.status != http.StatusOK {
		t.Fatalf("%d %s, decisions %+v", res.status, res.text, b.decisions())
	}
	parsed, err := jose.Parse(res.get("access_token"), oauth.MaxForm)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Verify(t.Context(), b.cfg.RPTKeys, jose.DefaultAlgs(), &claims); err != nil {
		t.Fatal(err)
	}
	t.Run("UG-35 the answer is a token response", func(t *testing.T) {
		if res.get("token_type") != "Bearer" || res.body["expires_in"] != 300.0 {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("UG-39 and A23: no scope anywhere", func(t *testing.T) {
		if _, there := res.body["scope"]; there || claims["scope"] != nil {
			t.Error("there is a scope")
		}
	})
	t.Run("UG-36 no refresh token", func(t *testing.T) {
		if _, there := res.body["refresh_token"]; there {
			t.Error("there is a refresh token")
		}
	})
	t.Run("OA-07 not stored by caches", func(t *testing.T) {
		if res.header.Get("Cache-Control") != "no-store" || res.header.Get("Pragma") != "no-cache" {
			t.Errorf("%v", res.header)
		}
	})
	t.Run("AT-01 AT-02 AT-03 the RPT is a JWT access token", func(t *testing.T) {
		if parsed.Header.Typ != "at+jwt" || parsed.Header.Alg != "ES256" {
			t.Errorf("header %+v", parsed.Header)
		}
		for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
			if claims[name] == nil {
				t.Errorf("%s is missing", name)
			}
		}
		if claims["aud"] != apiURI || claims["iss"] != issuer || claims["client_id"] != "app" {
			t.Errorf("%v", claims)
		}
	})
	t.Run("AT-04 UF-30 exactly the granted permission", func(t *testing.T) {
		list, _ := claims["permissions"].([]any)
		if len(list) != 1 {
			t.Fatalf("%v", claims["permissions"])
		}
		scopes, _ := list[0].(map[string]any)["resource_scopes"].([]any)
		if len(scopes) != 1 || scopes[0] != "get" {
			t.Errorf("%v", list)
		}
	})
	t.Run("AT-07 AT-08 sub is opaque and no personal data is in it", func(t *testing.T) {
		sub, _ := claims["sub"].(string)
		if !strings.HasPrefix(sub, "u-") || len(sub) != 24 || claims["email"] != nil || claims["name"] != nil {
			t.Errorf("%v", claims)
		}
		if claims["groups"] == nil {
			t.Error("the released claim is missing")
		}
	})
	t.Run("one decision was observed", func(t *testing.T) {
		all := b.decisions()
		if len(all) != 1 || all[0].Outcome != event.Granted || all[0].Policy != "bob" || all[0].DecisionID != res.get("decision_id") {
			t.Errorf("%+v", all)
		}
	})
}

func TestUG_12_Clients(t *testing.T) {
	for _, tc := range []struct {
		name, client, secret string
		basic                bool
		status               int
		code                 string
	}{
		{"CA-03 public", "app", "", false, 200, ""},
		{"CA-03 confidential in the body", "web", "secret-of-the-web-app", false, 200, ""},
		{"CA-03 confidential by Basic", "web", "secret-of-the-web-app", true, 200, ""},
		{"CA-03 unregistered", "nobody", "", false, 401, "invalid_client"},
		{"OA-04 wrong secret in the body", "web", "secret-of-the-web-apq", false, 401, "invalid_client"},
		{"OA-04 wrong secret by Basic", "web", "secret-of-the-web-apq", true, 401, "invalid_client"},
		{"confidential without secret", "web", "", false, 401, "invalid_client"},
		{"public with a secret", "app", "x", false, 401, "invalid_client"},
		{"UG-63 disabled", "gone", "", false, 401, "invalid_client"},
		{"OA-05 a resource server", "api", apiSecret, false, 400, "unauthorized_client"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			ticket := b.fresh()
			form := map[string]string{
				"grant_type": oauth.GrantUMATicket, "ticket": ticket,
				"claim_token":        b.sign(b.claims(ticket, nil)),
				"claim_token_format": oauth.ClaimTokenFormatJWT,
			}
			var edits []func(*http.Request)
			if tc.basic {
				edits = append(edits, basic(tc.client, tc.secret))
			} else {
				form["client_id"], form["client_secret"] = tc.client, tc.secret
			}
			res := b.token(form, edits...)
			if res.status != tc.status || res.code() != tc.code {
				t.Fatalf("%d %s", res.status, res.text)
			}
			if got := res.header.Get("WWW-Authenticate") != ""; got != (tc.basic && tc.status == 401) {
				t.Errorf("WWW-Authenticate = %v", res.header)
			}
			if tc.status != 200 { // the ticket was not spent
				if again := b.present(ticket, b.sign(b.claims(ticket, nil))); again.status != 200 {
					t.Errorf("the ticket was lost: %s", again.text)
				}
			}
		})
	}
}

// TestCA_37_ClaimsToken: what makes a claims token useless. The process goes on

// with a new ticket, the upstream provider is asked only where nothing else is

// wrong (CA-34), and the client does not learn which check failed (A16).

func TestUG_43_NeedInfo(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	res := b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket})
	if res.status != 403 || res.code() != "need_info" {
		t.Fatalf("%d %s", res.status, res.text)
	}
	t.Run("UG-44 required_claims", func(t *testing.T) {
		list, _ := res.body["required_claims"].([]any)
		if len(list) != 1 {
			t.Fatalf("%s", res.text)
		}
		claim, _ := list[0].(map[string]any)
		formats, _ := claim["claim_token_format"].([]any)
		if len(formats) != 1 || formats[0] != oauth.ClaimTokenFormatJWT || claim["issuer"] != nil || claim["name"] != "email" {
			t.Errorf("%v", claim)
		}
	})
	t.Run("UG-45 no redirect_user", func(t *testing.T) {
		if res.body["redirect_user"] != nil {
			t.Error("redirect_user")
		}
	})
	next := res.get("ticket")
	t.Run("CA-38 a token for the old ticket is refused", func(t *testing.T) {
		res := b.present(next, b.sign(b.claims(ticket, nil)))
		if res.code() != "need_info" {
			t.Fatalf("%s", res.text)
		}
		next = res.get("ticket")
	})
	t.Run("CA-38 another client's successor", func(t *testing.T) {
		res := b.present(next, b.sign(b.claims(next, nil)), map[string]string{"client_id": "other"})
		if res.status != 400 || res.code() != "invalid_grant" {
			t.Fatalf("%s", res.text)
		}
	})
	t.Run("UG-17 claims for the new ticket", func(t *testing.T) {
		if res := b.present(next, b.sign(b.claims(next, nil))); res.status != 200 {
			t.Fatalf("%s", res.text)
		}
	})
	t.Run("CA-25 another format", func(t *testing.T) {
		ticket := b.fresh()
		res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"claim_token_format": "http://openid.net/specs/openid-connect-core-1_0.html#IDToken"})
		if res.code() != "need_info" || !strings.Contains(res.text, oauth.ClaimTokenFormatJWT) {
			t.Fatalf("%s", res.text)
		}
	})
	t.Run("A16 the rounds are capped", func(t *testing.T) {
		ticket := b.fresh()
		for round := range 5 {
			res := b.present(ticket, "x.y.z")
			if res.code() != "need_info" {
				t.Fatalf("round %d: %s", round, res.text)
			}
			ticket = res.get("ticket")
		}
		if res := b.present(ticket, "x.y.z"); res.code() != "request_denied" || res.body["ticket"] != nil {
			t.Fatalf("%s", res.text)
		}
	})
}

func TestCA_24_PushedClaims(t *testing.T) {
	for _, tc := range []struct {
		name   string
		off    bool
		form   func(token string) map[string]string
		status int
		code   string
	}{
		{"alias", false, func(s string) map[string]string {
			return map[string]string{"claim_token": "", "claim_token_format": "", "pushed_claims": s}
		}, 200, ""},
		{"both", false, func(s string) map[string]string { return map[string]string{"pushed_claims": s} }, 400, "invalid_request"},
		{"off", true, func(s string) map[string]string {
			return map[string]string{"claim_token": "", "claim_token_format": "", "pushed_claims": s}
		}, 403, "need_info"},
		{"off and both", true, func(s string) map[string]string { return map[string]string{"pushed_claims": s} }, 200, ""},
		{"UG-15 the token alone", false, func(string) map[string]string { return map[string]string{"claim_token_format": ""} }, 400, "invalid_request"},
		{"UG-15 the format alone", false, func(string) map[string]string { return map[string]string{"claim_token": ""} }, 400, "invalid_request"},
		{"UG-14 no ticket", false, func(string) map[string]string { return map[string]string{"ticket": ""} }, 400, "invalid_request"},
		{"UG-13 almost the grant", false, func(string) map[string]string { return map[string]string{"grant_type": oauth.GrantUMATicket + "s"} }, 400, "unsupported_grant_type"},
		{"UG-01 upper case", false, func(string) map[string]string {
			return map[string]string{"grant_type": strings.ToUpper(oauth.GrantUMATicket)}
		}, 400, "unsupported_grant_type"},
		{"OA-05 password", false, func(string) map[string]string { return map[string]string{"grant_type": "password"} }, 400, "unsupported_grant_type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.NoPushedClaims = tc.off })
			ticket := b.fresh()
			token := b.sign(b.claims(ticket, nil))
			res := b.present(ticket, token, tc.form(token))
			if res.status != tc.status || res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
}

func TestUG_41_Ticket(t *testing.T) {
	good := func(b *bench) (string, string) {
		ticket := b.fresh()
		return ticket, b.sign(b.claims(ticket, nil))
	}
	for name, spoil := range map[string]func(b *bench, ticket string) string{
		"unknown":         func(*bench, string) string { return "016f84e8-f9b9-11e0-bd6f-0021cc6004de" },
		"changed":         func(_ *bench, s string) string { return s[:20] + flip(s[20]) + s[21:] },
		"cut":             func(_ *bench, s string) string { return s[:len(s)-4] },
		"expired":         func(b *bench, s string) string { b.pass(5 * time.Minute); return s },
		"UG-59 presented": func(b *bench, s string) string { b.present(s, "x.y.z"); return s },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ticket, token := good(b)
			res := b.present(spoil(b, ticket), token)
			if res.status != 400 || res.code() != "invalid_grant" || res.body["ticket"] != nil {
				t.Errorf("%d %s", res.status, res.text)
			}
			if b.op.Hits("") != 0 {
				t.Error("the provider was called")
			}
		})
	}
	t.Run("one second before it expires", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		b.pass(5*time.Minute - time.Second)
		if res := b.present(ticket, b.sign(b.claims(ticket, nil))); res.status != 200 {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("UG-58 tickets are unguessable", func(t *testing.T) {
		b := newBench(t)
		pat := b.pat("api")
		id := b.register(pat, "x", "", "get")
		seen := map[string]bool{}
		for range 500 {
			ticket := b.ticket(pat, id, "get")
			if seen[ticket] || len(ticket) < 100 {
				t.Fatalf("%q", ticket)
			}
			seen[ticket] = true
		}
	})
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestSEC_12_OneWinner(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	token := b.sign(b.claims(ticket, nil))
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	count := map[string]int{}
	for range 50 {
		wg.Go(func() {
			<-start
			res := b.present(ticket, token)
			mu.Lock()
			defer mu.Unlock()
			count[res.code()]++
		})
	}
	close(start)
	wg.Wait()
	if count[""] != 1 || count["invalid_grant"] != 49 {
		t.Errorf("%v", count)
	}
}

func TestSEC_13_FailClosed(t *testing.T) {
	for _, tc := range []struct {
		name string
		kind string
		verb store.Action
	}{
		{"the spent ticket cannot be written", "spent", store.ActionCreate},
		{"the outcome cannot be written", "spent", store.ActionSwap},
		{"the grant cannot be written", "grant", store.ActionCreate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			ticket := b.fresh()
			token := b.sign(b.claims(ticket, nil))
			b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(tc.verb, tc.kind) })
			res := b.present(ticket, token)
			if res.status != http.StatusServiceUnavailable || res.body["access_token"] != nil {
				t.Fatalf("%d %s", res.status, res.text)
			}
			b.faulty.Repair()
			if again := b.present(ticket, token); tc.verb == store.ActionCreate && tc.kind == "spent" {
				if again.status != 200 {
					t.Errorf("the ticket was lost: %s", again.text)
				}
			} else if again.code() != "invalid_grant" {
				t.Errorf("a spent ticket works again: %s", again.text)
			}
		})
	}
	t.Run("written but the answer lost", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		token := b.sign(b.claims(ticket, nil))
		b.faulty.LoseAnswer(func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "spent") })
		if res := b.present(ticket, token); res.status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", res.status, res.text)
		}
		b.faulty.Repair()
		if res := b.present(ticket, token); res.code() != "invalid_grant" {
			t.Errorf("%s", res.text)
		}
	})
}

func TestUG_42_Scope(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	if res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"scope": "nonsense"}); res.status != 400 || res.code() != "invalid_scope" {
		t.Errorf("%s", res.text)
	}
	t.Run("UG-21 a scope that is offered but not pre-registered is not granted", func(t *testing.T) {
		ticket := b.fresh()
		res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"scope": "post"})
		if res.status != 200 || strings.Contains(res.text, "post") {
			t.Fatalf("%s", res.text)
		}
		list, _ := payload(t, res.get("access_token"))["permissions"].([]any)
		if scopes := list[0].(map[string]any)["resource_scopes"].([]any); len(scopes) != 1 || scopes[0] != "get" {
			t.Errorf("%v", list)
		}
	})
}
