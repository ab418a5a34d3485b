package uma_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// clean holds for each error of a parser: it is ours and echoes nothing.
func clean(t *testing.T, err error) {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) || e.Code != "invalid_request" || e.Status != 400 || e.Extra != nil {
		t.Errorf("error %v", err)
	}
}

func FuzzParseResource(f *testing.F) {
	for _, seed := range []string{
		`{"resource_scopes":["get"],"name":"x","name#de":"y","owner":"o","icon_uri":"https://x/"}`,
		`{"resource_scopes":[],"x":{"a":[1]}}`, `{"resource_scopes":null}`, `[]`, `{"resource_scopes":["a","a"]}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		scopes, texts, owner, err := uma.ParseResource(body)
		if err != nil {
			clean(t, err)
			return
		}
		if !json.Valid(body) || scopes == nil || len(scopes) > 256 || len(owner) > 2048 {
			t.Errorf("accepted: %q", body)
		}
		seen := map[string]bool{}
		for _, scope := range scopes {
			if scope == "" || strings.ContainsAny(scope, " \"\\\x00\n") || seen[scope] {
				t.Errorf("scope %q", scope)
			}
			seen[scope] = true
		}
		for name, text := range texts {
			if name == "owner" || len(text) > 2048 {
				t.Errorf("%q: %q", name, text)
			}
		}
	})
}

func FuzzParsePermissions(f *testing.F) {
	for _, seed := range []string{
		`{"resource_id":"x","resource_scopes":[]}`, `[{"resource_id":"x","resource_scopes":["get"]}]`, `[]`, ` [null]`, `"x"`,
		`{"resource_id":null,"resource_scopes":[]}`, `{"resource_id":"x","resource_scopes":[null]}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := uma.ParsePermissions(body)
		if err != nil {
			clean(t, err)
			return
		}
		if n < 1 || n > 32 || !json.Valid(body) {
			t.Errorf("accepted %d: %q", n, body)
		}
	})
}

// FuzzOpenTicket: of all texts exactly those that were issued open, and only
// for the client that they are bound to.
func FuzzOpenTicket(f *testing.F) {
	b := newBench(f)
	f.Add("AVERd5kA", "app")
	f.Add("", "")
	f.Add(strings.Repeat("A", 200), "app")
	f.Fuzz(func(t *testing.T, text, client string) {
		if b.server.OpenTicket(t.Context(), text, client) {
			t.Errorf("opened %q", text)
		}
	})
}

func TestUG_58_TicketIsBound(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	next := b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket}).get("ticket")
	for _, tc := range []struct {
		name, text, client string
		want               bool
	}{
		{"first ticket, any client", ticket, "other", true},
		{"successor", next, "app", true},
		{"CA-38 successor of another client", next, "other", false},
		{"cut", ticket[:len(ticket)-1], "app", false},
		{"longer", ticket + "A", "app", false},
		{"padded", ticket + "=", "app", false},
		{"line break", ticket[:8] + "\n" + ticket[8:], "app", false},
		{"blank", " " + ticket, "app", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := b.server.OpenTicket(t.Context(), tc.text, tc.client); got != tc.want {
				t.Errorf("OpenTicket = %v", got)
			}
		})
	}
}
