package sts_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestCA_10_ExchangeNeedsItsParameters(t *testing.T) {
	tests := []struct {
		name, drop, code string
	}{
		{"CA-10 no resource", "resource", oauth.CodeInvalidTarget},
		{"CA-10 no ticket_challenge", "ticket_challenge", oauth.CodeInvalidRequest},
		{"TX-02 no subject_token", "subject_token", oauth.CodeInvalidRequest},
		{"TX-02 no subject_token_type", "subject_token_type", oauth.CodeInvalidRequest},
		{"CA-10 no grant_type", "grant_type", oauth.CodeInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.wantError(t, b.post(good(tt.drop, "-")), http.StatusBadRequest, tt.code)
			b.wantError(t, b.post(good(tt.drop, "")), http.StatusBadRequest, tt.code)
			b.mustIssue(t, good())
		})
	}
	t.Run("TX-04 requested_token_type may be left out", func(t *testing.T) {
		b := newBench(t, nil)
		b.mustIssue(t, good("requested_token_type", "-"))
	})
}

func TestTX_ParametersWithOtherValues(t *testing.T) {
	tests := []struct {
		name  string
		pairs []string
		code  string
	}{
		{"TX-01 near-miss grant", []string{"grant_type", oauth.GrantTokenExchange + "s"}, oauth.CodeUnsupportedGrantType},
		{"TX-01 upper-case grant", []string{"grant_type", strings.ToUpper(oauth.GrantTokenExchange)}, oauth.CodeUnsupportedGrantType},
		{"OA-05 no password grant", []string{"grant_type", "password"}, oauth.CodeUnsupportedGrantType},
		{"TX-03 saml2", []string{"subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}, oauth.CodeInvalidRequest},
		{"TX-03 id_token", []string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, oauth.CodeInvalidRequest},
		{"TX-03 jwt is not configured", []string{"subject_token_type", oauth.TokenTypeJWT}, oauth.CodeInvalidRequest},
		{"TX-04 refresh_token", []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, oauth.CodeInvalidRequest},
		{"TX-04 access_token", []string{"requested_token_type", oauth.TokenTypeAccessToken}, oauth.CodeInvalidRequest},
		{"TX-05 actor_token alone", []string{"actor_token", "x"}, oauth.CodeInvalidRequest},
		{"TX-05 actor_token_type alone", []string{"actor_token_type", oauth.TokenTypeJWT}, oauth.CodeInvalidRequest},
		{"TX-05 both while unsupported", []string{"actor_token", "x", "actor_token_type", oauth.TokenTypeJWT}, oauth.CodeInvalidRequest},
		{"CA-47 as_uri is no issuer", []string{"as_uri", "http://as.alice.example"}, oauth.CodeInvalidRequest},
		{"CA-47 as_uri with a query", []string{"as_uri", "https://as.alice.example?x"}, oauth.CodeInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.wantError(t, b.post(good(tt.pairs...)), http.StatusBadRequest, tt.code)
			b.mustIssue(t, good())
		})
	}
}

func TestCA_11_TicketChallengeIsCanonical(t *testing.T) {
	bad := map[string]string{
		"42 characters":      challenge[:42],
		"44 characters":      challenge + "A",
		"padding":            challenge + "=",
		"plus":               "+" + challenge[1:],
		"slash":              "/" + challenge[1:],
		"non-zero last bits": challenge[:42] + "d",
		"line break":         challenge[:20] + "\n" + challenge[20:],
		"space":              " " + challenge,
	}
	for name, value := range bad {
		t.Run("CA-11 "+name, func(t *testing.T) {
			b := newBench(t, nil)
			b.wantError(t, b.post(good("ticket_challenge", value)), http.StatusBadRequest, oauth.CodeInvalidRequest)
			if b.events[0].TicketChallenge != "" {
				t.Errorf("the event holds a malformed challenge")
			}
		})
	}
	t.Run("CA-11 repeated", func(t *testing.T) {
		b := newBench(t, nil)
		form := good()
		form.Add("ticket_challenge", challenge)
		b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidRequest)
	})
	t.Run("CA-11 accepted", func(t *testing.T) {
		b := newBench(t, nil)
		if got := b.mustIssue(t, good())["ticket_challenge"]; got != challenge {
			t.Errorf("ticket_challenge = %v, want %s", got, challenge)
		}
	})
}

func TestCA_12_ClaimsComeFromTheSubjectToken(t *testing.T) {
	b := newBench(t, nil)
	claims := b.mustIssue(t, good("email", "eve@bob.example", "sub", "eve", "name", "Eve", "email_verified", "false"))
	if claims["email"] != "bob@bob.example" || claims["name"] != "Bob" || claims["email_verified"] != true {
		t.Errorf("claims = %v, want those of the provider", claims)
	}
}

func TestCA_13_WhoseTokenMayBeExchanged(t *testing.T) {
	tests := []struct {
		name   string
		change func(*oauth.Subject)
		web    bool // by the confidential client
		ok     bool
	}{
		{"CA-13 own token, public client", nil, false, true},
		{"CA-13 own token, confidential client", nil, true, true},
		{"CA-13 token of another client", func(s *oauth.Subject) { s.ClientID = "other" }, false, false},
		{"CA-13 token of another client, confidential", func(s *oauth.Subject) { s.ClientID = "caddy-uma" }, true, false},
		{"CA-13 token of no client", func(s *oauth.Subject) { s.ClientID = "" }, false, false},
		{"CA-13 token for another audience", func(s *oauth.Subject) { s.Audience = []string{"https://mail.bob.example"} }, true, false},
		{"CA-13 token for no audience", func(s *oauth.Subject) { s.Audience = nil }, true, false},
		{"CA-13 audience with a slash", func(s *oauth.Subject) { s.Audience = []string{issuer + "/"} }, true, false},
		{"CA-13 public client, several audiences", func(s *oauth.Subject) { s.Audience = append(s.Audience, "https://mail.bob.example") }, false, false},
		{"CA-13 confidential client, several audiences", func(s *oauth.Subject) { s.Audience = append(s.Audience, "https://mail.bob.example") }, true, true},
		{"CA-02 no user", func(s *oauth.Subject) { s.ID = "" }, false, false},
		{"CA-02 no provider", func(s *oauth.Subject) { s.Issuer = "" }, false, false},
		{"TX-09 expired now", func(s *oauth.Subject) { s.Expires = s.Expires.Add(-10 * time.Minute) }, false, false},
		{"TX-09 a second left", func(s *oauth.Subject) { s.Expires = s.Expires.Add(-10*time.Minute + time.Second) }, false, true},
		{"TX-09 part of a second left", func(s *oauth.Subject) { s.Expires = s.Expires.Add(-10*time.Minute + time.Millisecond) }, false, false},
		{"TX-09 no expiry", func(s *oauth.Subject) { s.Expires = time.Time{} }, false, false},
		{"CA-17 foreign domain", func(s *oauth.Subject) { s.Email = "bob@alice.example" }, false, false},
		{"CA-17 parent domain", func(s *oauth.Subject) { s.Email = "bob@example" }, false, false},
		{"CA-17 subdomain", func(s *oauth.Subject) { s.Email = "bob@x.bob.example" }, false, false},
		{"CA-17 suffix", func(s *oauth.Subject) { s.Email = "bob@evil-bob.example" }, false, false},
		{"CA-17 two signs", func(s *oauth.Subject) { s.Email = "bob@evil.example@bob.example" }, false, false},
		{"CA-17 no address", func(s *oauth.Subject) { s.Email = "" }, false, false},
		{"CA-17 listed subdomain", func(s *oauth.Subject) { s.Email = "bob@staff.bob.example" }, false, true},
		{"CA-17 upper-case domain", func(s *oauth.Subject) { s.Email = "bob@BOB.example" }, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			form, header, client := good(), []string(nil), "caddy-uma"
			if tt.web {
				client = "web"
				form, header = good("client_id", "-"), []string{"Authorization", basic("web", secret)}
			}
			subject := b.bob(client)
			if tt.change != nil {
				tt.change(&subject)
			}
			b.users[bobToken] = subject
			if tt.ok {
				b.mustIssue(t, form, header...)
				return
			}
			b.wantError(t, b.post(form, header...), http.StatusBadRequest, oauth.CodeInvalidRequest)
			if len(b.events) != 1 || b.events[0].Outcome == event.Granted {
				t.Errorf("events = %+v, want one that is not granted", b.events)
			}
		})
	}
}

func TestTX_07_BadSubjectToken(t *testing.T) {
	b := newBench(t, nil)
	claimsToken := decode(t, b.post(good())).AccessToken
	for name, token := range map[string]string{
		"TX-07 forged":                        "at-bo",
		"TX-09 revoked":                       "at-revoked",
		"AT-06 claims token as subject token": claimsToken,
		"AT-06 PAT as subject token":          "pat_0123456789",
		"AT-06 RPT as subject token":          "rpt_0123456789",
		"AT-06 ID token as subject token":     "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.e30.AA",
	} {
		t.Run(name, func(t *testing.T) {
			b.wantError(t, b.post(good("subject_token", token)), http.StatusBadRequest, oauth.CodeInvalidRequest)
		})
	}
}

func TestTX_09_SubjectCannotBeChecked(t *testing.T) {
	b := newBench(t, nil)
	b.broken = errors.New("the store is gone")
	w := b.post(good())
	b.wantError(t, w, http.StatusServiceUnavailable, oauth.CodeUnavailable)
	if strings.Contains(w.Body.String(), "store") || w.Header().Get("Retry-After") == "" {
		t.Errorf("answer = %v %s, want Retry-After and no cause", w.Header(), w.Body)
	}
	if b.events[0].Outcome != event.Failed {
		t.Errorf("outcome = %s, want failed", b.events[0].Outcome)
	}
	b.broken = nil
	b.mustIssue(t, good())
}

func TestCA_16_TX_08_Response(t *testing.T) {
	for _, id := range []string{"CA-16", "TX-08"} {
		t.Run(id+" members", func(t *testing.T) {
			b := newBench(t, nil)
			w := b.post(good())
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "access_token")
			want := map[string]any{"issued_token_type": oauth.TokenTypeJWT, "token_type": "N_A", "expires_in": 120.0}
			if d := cmp.Diff(want, got); w.Code != http.StatusOK || d != "" {
				t.Errorf("status %d, diff %s", w.Code, d)
			}
		})
	}
}

func TestOA_07_ResponseIsNotStored(t *testing.T) {
	b := newBench(t, nil)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"OA-07 success": b.post(good()),
		"OA-07 error":   b.post(good("subject_token", "x")),
	} {
		t.Run(name, func(t *testing.T) {
			h := w.Header()
			if h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || h.Get("Content-Type") != "application/json" {
				t.Errorf("headers = %v", h)
			}
		})
	}
}

func TestTX_10_OA_04_ClientAuthentication(t *testing.T) {
	tests := []struct {
		name   string
		pairs  []string
		header string
		status int
		code   string
	}{
		{"OA-04 basic", []string{"client_id", "-"}, basic("web", secret), 200, ""},
		{"OA-03 body", []string{"client_id", "web", "client_secret", secret}, "", 200, ""},
		{"OA-04 wrong secret by basic", []string{"client_id", "-"}, basic("web", secret+"x"), 401, oauth.CodeInvalidClient},
		{"OA-04 wrong secret by body", []string{"client_id", "web", "client_secret", "x"}, "", 401, oauth.CodeInvalidClient},
		{"OA-03 basic and body", []string{"client_id", "web", "client_secret", secret}, basic("web", secret), 400, oauth.CodeInvalidRequest},
		{"TX-10 confidential without secret", []string{"client_id", "web"}, "", 401, oauth.CodeInvalidClient},
		{"TX-10 public with secret", []string{"client_secret", secret}, "", 401, oauth.CodeInvalidClient},
		{"TX-10 unknown client", []string{"client_id", "nobody"}, "", 401, oauth.CodeInvalidClient},
		{"TX-10 disabled client", []string{"client_id", "old"}, "", 401, oauth.CodeInvalidClient},
		{"TX-10 no client", []string{"client_id", "-"}, "", 400, oauth.CodeInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.users["at-web"] = b.bob("web") })
			form := good(append(tt.pairs, "subject_token", "at-web")...)
			var header []string
			if tt.header != "" {
				header = []string{"Authorization", tt.header}
			}
			w := b.post(form, header...)
			if tt.status == 200 {
				if w.Code != 200 {
					t.Fatalf("status = %d %s", w.Code, w.Body)
				}
				return
			}
			b.wantError(t, w, tt.status, tt.code)
			if tt.status == 401 && (w.Header().Get("WWW-Authenticate") != "") != (tt.header != "") {
				t.Errorf("WWW-Authenticate = %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestOA_06_ErrorsDoNotEcho(t *testing.T) {
	const marker = "zq<'\"\u00e9marker"
	for name := range good() {
		t.Run("OA-06 "+name, func(t *testing.T) {
			b := newBench(t, nil)
			a := decode(t, b.post(good(name, marker)))
			if a.Error == "" || strings.Contains(a.ErrorDescription, "zq") {
				t.Errorf("answer = %+v, want an error without the input", a)
			}
			for _, c := range []byte(a.ErrorDescription) {
				if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
					t.Errorf("character %q in the description", c)
				}
			}
		})
	}
}

func TestSEC_18_LimitPerUser(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Exchanges = limit.New(2, time.Minute, 100, b.cfg.Now)
		eve := b.bob("caddy-uma")
		eve.ID, eve.Email = "eve-id", "eve@bob.example"
		b.users["at-eve"] = eve
	})
	b.mustIssue(t, good())
	b.mustIssue(t, good())
	w := b.post(good())
	b.wantError(t, w, http.StatusTooManyRequests, oauth.CodeSlowDown)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.mustIssue(t, good("subject_token", "at-eve")) // somebody else's limit
	b.now = b.now.Add(time.Minute)
	b.mustIssue(t, good())
}

func TestExchangeIsObservedOnce(t *testing.T) {
	tests := []struct {
		name string
		form url.Values
		want event.Exchange
	}{
		{"granted", good(), event.Exchange{ClientID: "caddy-uma", Target: apiURI, TicketChallenge: challenge, Outcome: event.Granted}},
		{"denied", good("resource", "https://evil.example"), event.Exchange{ClientID: "caddy-uma", Target: "https://evil.example", TicketChallenge: challenge, Outcome: event.Denied}},
		{"refused", good("subject_token", "x"), event.Exchange{ClientID: "caddy-uma", Target: apiURI, TicketChallenge: challenge, Outcome: event.Refused}},
		{"unauthenticated", good("client_id", "x"), event.Exchange{Target: apiURI, TicketChallenge: challenge, Outcome: event.Refused}},
		{"malformed", good("subject_token", ""), event.Exchange{ClientID: "caddy-uma", Target: apiURI, TicketChallenge: challenge, Outcome: event.Refused}},
		{"malformed challenge", good("ticket_challenge", "x"), event.Exchange{ClientID: "caddy-uma", Target: apiURI, Outcome: event.Refused}},
		{"long target", good("resource", strings.Repeat("x", 300)), event.Exchange{ClientID: "caddy-uma", Target: strings.Repeat("x", 255), TicketChallenge: challenge, Outcome: event.Denied}},
		{"repeated parameter", url.Values{"grant_type": {oauth.GrantTokenExchange}, "subject_token": {bobToken, bobToken}}, event.Exchange{Outcome: event.Refused}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.post(tt.form)
			if len(b.events) != 1 {
				t.Fatalf("%d events, want 1", len(b.events))
			}
			got := b.events[0]
			if (got.Reason == "") != (tt.want.Outcome == event.Granted) || strings.Contains(got.Reason, bobToken) {
				t.Errorf("reason = %q", got.Reason)
			}
			if (got.Outcome == event.Granted || got.Outcome == event.Denied) && got.Person.Email != "bob@bob.example" {
				t.Errorf("person = %+v", got.Person)
			}
			got.Reason, got.Person, tt.want.Issuer = "", event.Person{}, issuer
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Who has no access token gets the same answer for every target.
func TestCA_14_TargetsAreNotToldToStrangers(t *testing.T) {
	b := newBench(t, nil)
	listed := b.post(good("subject_token", "x"))
	other := b.post(good("subject_token", "x", "resource", "https://evil.example"))
	if listed.Code != other.Code || listed.Body.String() != other.Body.String() {
		t.Errorf("%d %s, but %d %s", listed.Code, listed.Body, other.Code, other.Body)
	}
}
