package rqp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestNineSteps(t *testing.T) {
	w := newWorld(t)
	var steps []rqp.Step
	c := w.client(func(cfg *rqp.Config) { cfg.Trace = func(s rqp.Step) { steps = append(steps, s) } })
	if got, err := w.do(c, "POST", rs+"/x?a=b", "data"); got != "200 hello POST" || err != nil {
		t.Fatalf("Do = %q, %v", got, err)
	}
	x, g := w.at(sts + "/token")[0], w.at(as + "/token")[0]
	t.Run("CA-10 CA-47 exchange", func(t *testing.T) {
		want := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "resource": {rs}, "as_uri": {as}, "client_id": {"caddy-uma"},
			"ticket_challenge": {oauth.TicketChallenge("ticket-secret-1")}, "subject_token": {"access-token-of-bob"},
			"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
			"requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		}
		if d := cmp.Diff(want, x.form); d != "" {
			t.Error(d)
		}
	})
	t.Run("CA-23 grant", func(t *testing.T) {
		want := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:uma-ticket"}, "ticket": {"ticket-secret-1"}, "client_id": {"caddy-uma"},
			"claim_token": {"claims-token-0"}, "claim_token_format": {"urn:ietf:params:oauth:token-type:jwt"},
		}
		if d := cmp.Diff(want, g.form); d != "" {
			t.Error(d)
		}
	})
	t.Run("CA-09 the ticket stays away from the STS", func(t *testing.T) {
		for _, h := range w.at(sts) {
			if strings.Contains(marshal(h), "ticket-secret") || strings.Contains(h.body, "ticket-secret") {
				t.Error("the STS saw the ticket")
			}
		}
	})
	t.Run("trace has nine steps and no secret", func(t *testing.T) {
		var numbers []int
		for _, s := range steps {
			if s.Number > 0 {
				numbers = append(numbers, s.Number)
			}
			for _, secret := range []string{"ticket-secret-1", "access-token-of-bob", "claims-token-0", "rpt-of-as.example"} {
				if strings.Contains(s.String(), secret) {
					t.Errorf("%q has a secret", s)
				}
			}
		}
		if d := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8, 9}, numbers); d != "" {
			t.Error(d)
		}
	})
	if bodies := w.at(rs + "/x"); len(bodies) != 2 || bodies[1].body != "data" || bodies[0].auth != "" {
		t.Errorf("requests at the resource: %v", bodies)
	}
	if got, err := w.do(c, "GET", rs+"/y", ""); got != "200 hello GET" || err != nil || len(w.at(sts+"/token")) != 1 {
		t.Errorf("second request = %q, %v, exchanges %d, want the RPT to be used again", got, err, len(w.at(sts+"/token")))
	}
}

func TestCA_08_Vector(t *testing.T) {
	w := newWorld(t)
	w.on(rs+"/v", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `UMA as_uri="`+as+`", ticket="016f84e8-f9b9-11e0-bd6f-0021cc\6004de"`)
		rw.WriteHeader(401)
	})
	_, _ = w.do(w.client(nil), "GET", rs+"/v", "")
	if got := w.at(sts + "/token")[0].form.Get("ticket_challenge"); got != "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c" {
		t.Errorf("ticket_challenge = %s", got)
	}
}

// TestCaution: the dance stops before identity leaves. Each case says what is

// different from TestNineSteps, its accepted neighbour.

func TestGrantAnswers(t *testing.T) {
	needInfo := func(ticket string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteError(rw, &oauth.Error{Code: oauth.CodeNeedInfo, Status: 403, Extra: map[string]any{
				"ticket": ticket, "required_claims": []any{map[string]any{"claim_token_format": []string{oauth.ClaimTokenFormatJWT}}},
			}})
		}
	}
	token := func(kind string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "rpt-of-as.example", TokenType: kind})
		}
	}
	tests := []struct {
		name  string
		first http.HandlerFunc
		code  string // "" = success
		calls int
	}{
		{"need_info with a new ticket", needInfo("ticket-secret-next"), "", 2},
		{"UG-28 need_info with the same ticket", needInfo("ticket-secret-1"), rqp.CodeBadAnswer, 1},
		{"request_denied ends", func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteError(rw, &oauth.Error{Code: oauth.CodeRequestDenied, Status: 403, Extra: map[string]any{"ticket": "t2", "decision_id": "dec-9"}})
		}, oauth.CodeRequestDenied, 1},
		{"UG-31 unknown members", func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteJSON(rw, 200, map[string]any{"access_token": "rpt-of-as.example", "token_type": "bearer", "zzz": []int{1}})
		}, "", 1},
		{"token type DPoP", token("DPoP"), rqp.CodeBadAnswer, 1},
		{"no token type", token(""), rqp.CodeBadAnswer, 1},
		{"header injection", func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "a\r\nX: y", TokenType: "Bearer"})
		}, rqp.CodeBadAnswer, 1},
		{"no answer: not retried", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, rqp.CodeUnreachable, 1},
		{"503", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) }, rqp.CodeBadAnswer, 1},
		{"too large", func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(rw, strings.Repeat(" ", 1<<19))
		}, rqp.CodeBadAnswer, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			good := w.handle["as.example/token"]
			first := true
			w.on(as+"/token", func(rw http.ResponseWriter, r *http.Request) {
				h := good
				if first {
					h, first = tt.first, false
				}
				h(rw, r)
			})
			_, err := w.do(w.client(nil), "GET", rs+"/", "")
			var e *rqp.StepError
			if errors.As(err, &e) && (e.Code != tt.code || e.Step != 6) || (err == nil) != (tt.code == "") {
				t.Errorf("error = %v, want code %q at step 6", err, tt.code)
			}
			if n := len(w.at(as + "/token")); n != tt.calls {
				t.Errorf("%d token requests, want %d", n, tt.calls)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has a ticket: %v", err)
			}
		})
	}
}

func TestUG_40_OldRPTIsDropped(t *testing.T) {
	w := newWorld(t)
	c := w.client(nil)
	if _, err := w.do(c, "GET", rs+"/", ""); err != nil {
		t.Fatal(err)
	}
	w.on(rs+"/", w.protected(otherAS)) // the old RPT is refused
	w.resourceDoc(rs, "", rs, otherAS)
	for range 2 {
		if _, err := w.do(c, "GET", rs+"/", ""); err != nil {
			t.Fatal(err)
		}
	}
	var auth []string
	for _, h := range w.at(rs + "/") {
		auth = append(auth, h.auth)
	}
	want := []string{"", "Bearer rpt-of-as.example", "Bearer rpt-of-as.example", "Bearer rpt-of-other.example", "Bearer rpt-of-other.example"}
	if d := cmp.Diff(want, auth); d != "" {
		t.Error(d)
	}
}

func TestStepErrorSpeaks(t *testing.T) {
	w := newWorld(t)
	w.on(as+"/token", func(rw http.ResponseWriter, _ *http.Request) {
		// Not oauth.WriteError: it would keep to the permitted characters.
		oauth.WriteJSON(rw, 403, map[string]string{
			"error": oauth.CodeRequestDenied, "error_description": "access is not \x1b[granted", "decision_id": "dec-7",
		})
	})
	_, err := w.do(w.client(nil), "GET", rs+"/", "")
	want := "step 6, asking the authorization server for an RPT, failed: as.example said request_denied (status 403): access is not ?[granted; decision dec-7. " +
		"Try: asking the owner of the resource, who finds the reason by the decision"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant %s", err, want)
	}
}

func TestPushedClaims(t *testing.T) {
	w := newWorld(t)
	c := w.client(func(c *rqp.Config) { c.PushedClaims = true })
	if _, err := w.do(c, "GET", rs+"/", ""); err != nil {
		t.Fatal(err)
	}
	if f := w.at(as + "/token")[0].form; f.Get("pushed_claims") == "" || f.Has("claim_token") || f.Has("claim_token_format") {
		t.Errorf("form = %v", f)
	}
}

func TestPasswordLogin(t *testing.T) {
	w := newWorld(t)
	w.on(sts+"/challenge", func(rw http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("password") != "right" || r.PostFormValue("code_challenge_method") != "S256" || r.PostFormValue("client_id") != "caddy-uma" {
			oauth.WriteError(rw, oauth.Errorf("access_denied", "wrong"))
			return
		}
		oauth.WriteJSON(rw, 200, map[string]string{"authorization_code": "c0de"})
	})
	w.on(sts+"/token", func(rw http.ResponseWriter, r *http.Request) {
		challenge := w.at(sts + "/challenge")
		if oauth.TicketChallenge(r.PostFormValue("code_verifier")) != challenge[len(challenge)-1].form.Get("code_challenge") || r.PostFormValue("code") != "c0de" {
			oauth.WriteError(rw, oauth.Errorf("invalid_grant", "no"))
			return
		}
		oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "at-1", TokenType: "Bearer", ExpiresIn: 60})
	})
	now := time.Unix(1000, 0)
	cfg := rqp.LoginConfig{Issuer: sts, User: "bob@bob.example", Password: "right", Network: w.network, Now: func() time.Time { return now }}
	if token, until, err := rqp.PasswordLogin(t.Context(), cfg); token != "at-1" || !until.Equal(now.Add(time.Minute)) || err != nil {
		t.Errorf("PasswordLogin = %q, %v, %v", token, until, err)
	}
	cfg.Password = "wrong"
	if _, _, err := rqp.PasswordLogin(t.Context(), cfg); err == nil || strings.Contains(err.Error(), cfg.Password+"!") {
		t.Errorf("wrong password: %v", err)
	}
	w.doc(sts, "openid-configuration", map[string]any{"issuer": sts, "token_endpoint": sts + "/token", "authorization_challenge_endpoint": evil + "/challenge"})
	if _, _, err := rqp.PasswordLogin(t.Context(), cfg); err == nil || len(w.at(evil)) != 0 {
		t.Errorf("the password goes to another origin: %v", err)
	}
}

func TestFindSTS(t *testing.T) {
	w := newWorld(t)
	bob := "https://bob.example"
	find := func() (string, error) { return rqp.FindSTS(t.Context(), "bob@bob.example", w.network) }
	if got, err := find(); err == nil {
		t.Errorf("nothing there = %q", got)
	}
	w.doc(bob, "openid-configuration", map[string]any{"issuer": bob})
	if got, err := find(); got != bob || err != nil {
		t.Errorf("domain itself = %q, %v", got, err)
	}
	w.doc(bob, "webfinger", map[string]any{"links": []any{map[string]string{"rel": oauth.RelIssuer, "href": sts}}})
	if got, err := find(); got != sts || err != nil {
		t.Errorf("WebFinger = %q, %v", got, err)
	}
	w.doc(bob, "webfinger", map[string]any{"links": []any{map[string]string{"rel": oauth.RelIssuer, "href": "http://sts.example"}}})
	if got, err := find(); err == nil {
		t.Errorf("http issuer = %q", got)
	}
	w.on(bob+"/.well-known/webfinger", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) })
	if got, err := find(); err == nil {
		t.Errorf("broken WebFinger = %q, want an error and no fallback", got)
	}
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		size int
		ok   bool
	}{{16, true}, {17, false}} {
		c := w.client(func(c *rqp.Config) { c.MaxBody = 16 })
		req, _ := http.NewRequestWithContext(t.Context(), "PUT", rs+"/body", strings.NewReader(strings.Repeat("b", tt.size)))
		req.GetBody = nil
		if _, err := text(c.Do(req)); (err == nil) != tt.ok {
			t.Errorf("%d bytes: %v", tt.size, err)
		}
		list := w.at(rs + "/body")
		if last := list[len(list)-1]; len(last.body) != tt.size {
			t.Errorf("%d bytes sent, want %d", len(last.body), tt.size)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]rqp.Config{
		"http STS":                   {STS: "http://sts.example"},
		"secret for nobody":          {ClientSecret: "x"},
		"origin with a path":         {AllowedOrigins: []string{rs + "/x"}},
		"name for something else":    {Names: map[string]string{"n": "http://api.example"}},
		"pin of no issuer":           {Pins: map[string][]string{rs: {"http://as.example"}}},
		"pin of something no origin": {Pins: map[string][]string{"api": {as}}},
	} {
		if _, err := rqp.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := rqp.New(rqp.Config{}); err != nil {
		t.Error(err)
	}
}

func TestNoIdentity(t *testing.T) {
	w := newWorld(t)
	for name, edit := range map[string]func(*rqp.Config){
		"none": func(c *rqp.Config) { c.AccessToken = nil },
		"fails": func(c *rqp.Config) {
			c.AccessToken = func(context.Context) (string, error) { return "", errors.New("no") }
		},
		"broken": func(c *rqp.Config) { c.AccessToken = func(context.Context) (string, error) { return "a b", nil } },
	} {
		_, err := w.do(w.client(edit), "GET", rs+"/", "")
		var e *rqp.StepError
		if !errors.As(err, &e) || e.Code != rqp.CodeNoIdentity || len(w.at(sts+"/token")) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
