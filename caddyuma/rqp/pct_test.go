package rqp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// persisting makes an authorization server that gives PCTs, and takes them or not.
func (w *world) persisting(issuer string, refuse *oauth.Error) {
	w.mu.Lock()
	plain := w.handle[strings.TrimPrefix(issuer, "https://")+"/token"]
	w.mu.Unlock()
	w.on(issuer+"/token", func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch pct := r.PostForm.Get("pct"); {
		case pct != "" && refuse != nil:
			oauth.WriteError(rw, refuse)
		case pct != "":
			oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: rptOf(issuer), TokenType: "Bearer"})
		default:
			plain(persist{rw}, r)
		}
	})
}

// persist adds a PCT to a successful answer.
type persist struct{ http.ResponseWriter }

func (p persist) Write(b []byte) (int, error) {
	text := strings.Replace(string(b), `{"access_token"`, `{"pct":"pct-secret-0123456789","access_token"`, 1)
	_, err := p.ResponseWriter.Write([]byte(text))
	return len(b), err
}

// WriteHeader drops the length of the shorter body.
func (p persist) WriteHeader(status int) {
	p.Header().Del("Content-Length")
	p.ResponseWriter.WriteHeader(status)
}

func TestUG_18_UG_19_PCTs(t *testing.T) {
	needInfo := &oauth.Error{Code: oauth.CodeNeedInfo, Status: 403, Extra: map[string]any{
		"ticket": "ticket-secret-next", "required_claims": []any{map[string]any{"claim_token_format": []string{oauth.ClaimTokenFormatJWT}}},
	}}
	denied := &oauth.Error{Code: oauth.CodeRequestDenied, Status: 403}
	for _, c := range []struct {
		name           string
		refuse         *oauth.Error
		server         string // of the second resource
		other          bool   // another user is there
		fails          bool
		pcts, exchange int // of the second request
	}{
		{"UG-18 for another resource", nil, as, false, false, 1, 0},
		{"UG-19 another user", nil, as, true, false, 0, 1},
		{"UG-56 another authorization server", nil, otherAS, false, false, 0, 1},
		{"UG-18 a claims token is demanded besides", needInfo, as, false, false, 1, 1},
		{"UG-18 denied", denied, as, false, true, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.persisting(as, c.refuse)
			w.persisting(otherAS, nil)
			user, steps := "access-token-of-bob", ""
			client := w.client(func(cfg *rqp.Config) {
				cfg.AccessToken = func(context.Context) (string, error) { return user, nil }
				cfg.Trace = func(s rqp.Step) { steps += s.String() + "\n" }
			})
			second := evil // an origin of its own: the first RPT is not for it
			w.resource(second, c.server)
			if got, err := w.do(client, "GET", rs+"/", ""); got != "200 hello GET" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			before, exchanges := len(w.at(c.server+"/token")), len(w.at(sts+"/token"))
			if c.other {
				user = "access-token-of-alice"
			}
			if got, err := w.do(client, "GET", second+"/", ""); (err != nil) != c.fails || !c.fails && got != "200 hello GET" {
				t.Errorf("%q, %v", got, err)
			}
			pcts := 0
			for i, h := range w.at(c.server + "/token")[before:] {
				if h.form.Get("pct") == "" {
					continue
				}
				pcts++
				if i != 0 || h.form.Get("claim_token") != "" || h.form.Get("ticket") == "" {
					t.Errorf("request %d: %v", i, h.form)
				}
			}
			if n := len(w.at(sts+"/token")) - exchanges; pcts != c.pcts || n != c.exchange {
				t.Errorf("%d PCTs and %d exchanges, want %d and %d", pcts, n, c.pcts, c.exchange)
			}
			if strings.Contains(steps, "pct-secr") {
				t.Errorf("UG-56: the trace has the PCT:\n%s", steps)
			}
			for _, host := range []string{rs, second, sts} {
				for _, h := range w.at(host) {
					if strings.Contains(h.auth+h.body, "pct-secret") {
						t.Errorf("UG-56: the PCT went to %s", host)
					}
				}
			}
			if c.refuse != nil { // what did not do is not tried again
				w.resource(bob, c.server)
				sent := len(w.at(c.server + "/token"))
				_, _ = w.do(client, "GET", bob+"/", "")
				if first := w.at(c.server + "/token")[sent]; c.fails && first.form.Get("pct") != "" {
					t.Errorf("tried again: %v", first.form)
				}
			}
		})
	}
}

const bob = "https://bob.example"
