package sts_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

// Each request is told exactly once, whatever it is.
func TestExchangeIsObservedOnceWhenMalformed(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	grant := "grant_type=" + oauth.GrantTokenExchange
	for name, tc := range map[string]struct {
		contentType, body string
		other             bool
		events            int
	}{
		"no form":                        {"application/json", "{}", false, 1},
		"another type":                   {"multipart/form-data; boundary=x", grant, false, 1},
		"repeated parameter":             {form, grant + "&client_id=a&client_id=b", false, 1},
		"repeated grant":                 {form, grant + "&" + grant, false, 1},
		"bad escape":                     {form, grant + "&client_id=%zz", false, 1},
		"too large":                      {form, grant + "&x=" + strings.Repeat("x", 100<<10), false, 1},
		"repeated, beside a provider":    {form, grant + "&client_id=a&client_id=b", true, 1},
		"another grant":                  {form, "grant_type=password", false, 0},
		"another grant, of the provider": {form, "grant_type=password&grant_type=password", true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				if tc.other {
					b.cfg.Other = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was handed on") })
				}
			})
			r := httptest.NewRequest(http.MethodPost, issuer+"/sts/token", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.contentType)
			w := b.serve(r)
			if w.Code < 400 || len(b.events) != tc.events {
				t.Fatalf("%d, %d events, want %d", w.Code, len(b.events), tc.events)
			}
			for _, ev := range b.events {
				if ev.Outcome != event.Refused || ev.Reason == "" || ev.Issuer != issuer {
					t.Errorf("event = %+v", ev)
				}
			}
		})
	}
}

// The log and the events hold nothing that could be used.
func TestSEC_22_NothingLeaks(t *testing.T) {
	var logged bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"}), zapcore.AddSync(&logged), zapcore.DebugLevel)
	b := newBench(t, func(b *bench) {
		b.cfg.Log = zap.New(core)
		b.cfg.Targets[1].When = `int(claims.name) > 3`
	})
	proof := b.proof(bobKey, nil)
	assertion := josetest.NewKeypair("k1").Sign(nil, map[string]any{"iss": "web", "sub": "web"})
	forms := []string{
		good().Encode(), good("subject_token", "at-garbage").Encode(), good("resource", "https://paths.corp/a").Encode(),
		webForm().Encode(), webForm("client_secret", "wrong-secret").Encode(), assertionForm(assertion).Encode(),
		good("required_claims", `["hunter2"]`).Encode(), good("ticket_challenge", "hunter2").Encode(), good("actor_token", "hunter2").Encode(),
	}
	var told strings.Builder
	for _, form := range forms {
		for _, p := range []string{"", proof, proof} {
			r := httptest.NewRequest(http.MethodPost, issuer+"/sts/token", strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if p != "" {
				r.Header.Set("DPoP", p)
			}
			w := b.serve(r)
			if a := decode(t, w); a.AccessToken == "" {
				told.WriteString(w.Body.String())
			}
		}
	}
	b.broken = http.ErrServerClosed
	b.post(good())
	for _, ev := range b.events {
		told.WriteString(ev.Reason + ev.Target + ev.ClientID + ev.TicketChallenge)
	}
	all := told.String() + logged.String()
	for _, secret := range []string{bobToken, "at-garbage", secret, "wrong-secret", proof, assertion, "hunter2", "Bob", "staff", "bob@bob.example"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s can be found", secret)
		}
	}
	if len(b.events) != 3*len(forms)+1 || logged.Len() == 0 {
		t.Errorf("%d events, %d bytes logged", len(b.events), logged.Len())
	}
}

// What is no access token never gets to be looked at as one under another name.
func TestTX_03_TypesCannotBeConfused(t *testing.T) {
	b := newBench(t, nil)
	claimsToken := decode(t, b.post(good())).AccessToken
	for _, typ := range []string{
		oauth.TokenTypeJWT, "urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:refresh_token",
		oauth.TokenTypeAccessToken + " ", strings.ToUpper(oauth.TokenTypeAccessToken), "access_token",
	} {
		before := b.asked
		b.wantError(t, b.post(good("subject_token", claimsToken, "subject_token_type", typ)), http.StatusBadRequest, oauth.CodeInvalidRequest)
		b.wantError(t, b.post(good("subject_token_type", typ)), http.StatusBadRequest, oauth.CodeInvalidRequest)
		if b.asked != before {
			t.Errorf("%q was looked at", typ)
		}
	}
	b.mustIssue(t, good())
}

// FuzzExchange takes a form and a DPoP header as they come. What is issued is
// for bob, for a listed target and for the challenge that was sent.
func FuzzExchange(f *testing.F) {
	f.Add(good().Encode(), "")
	f.Add(webForm("required_claims", `[{"name":"name"}]`, "as_uri", "https://as.alice.example").Encode(), "a.b.c")
	f.Add(good("resource", "https://api.corp/../secret", "audience", "RS API").Encode(), "")
	f.Add(good("resource", "https://paths.corp/a%2f..").Encode()+"&resource=", "")
	f.Add("grant_type="+oauth.GrantTokenExchange+"&client_assertion=x.y.z&client_assertion_type=x", "")
	f.Fuzz(func(t *testing.T, body, proof string) {
		b := newBench(t, func(b *bench) {
			b.cfg.Targets = append(b.cfg.Targets, sts.Target{Names: []string{"Odd"}, When: `claims.nickname == target`})
		})
		b.token("web")
		r := httptest.NewRequest(http.MethodPost, issuer+"/sts/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if proof != "" {
			r.Header["Dpop"] = []string{proof}
		}
		w := b.serve(r)
		if len(b.events) > 1 {
			t.Fatalf("%d events", len(b.events))
		}
		a := decode(t, w)
		if w.Code != http.StatusOK {
			if a.Error == "" || a.AccessToken != "" || w.Code >= 500 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return
		}
		claims := b.verify(t, a.AccessToken)
		aud := claims["aud"].([]any)[0].(string)
		raw, err := base64.RawURLEncoding.Strict().DecodeString(claims["ticket_challenge"].(string))
		if err != nil || len(raw) != 32 || claims["email"] != "bob@bob.example" || claims["salary"] != nil {
			t.Fatalf("claims = %v", claims)
		}
		listed := aud == "RS API" || aud == "Other API" || aud == "https://api.corp" || strings.HasPrefix(aud, "https://api.corp/") ||
			aud == "https://paths.corp/a" || strings.HasPrefix(aud, "https://paths.corp/a/")
		if !listed || strings.HasPrefix(aud, "https://api.corp/secret/") || strings.ContainsAny(aud, "?#%\\@ ") || strings.Contains(aud, "..") {
			t.Fatalf("aud = %q", aud)
		}
		if proof == "" && claims["cnf"] != nil || claims["act"] != nil {
			t.Fatalf("claims = %v", claims)
		}
	})
}
