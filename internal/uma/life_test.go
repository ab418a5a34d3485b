package uma_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// send posts a form to an endpoint below /uma/.
func (b *bench) send(endpoint string, form map[string]string, edits ...func(*http.Request)) reply {
	b.t.Helper()
	values := url.Values{}
	for name, value := range form {
		values.Set(name, value)
	}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+"/uma/"+endpoint, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, edit := range edits {
		edit(r)
	}
	return b.do(b.server, r)
}

const inactive = `{"active":false}`

// introspect asks as the resource server api.
func (b *bench) introspect(token string) reply {
	b.t.Helper()
	return b.send("introspect", map[string]string{"token": token}, bearer(b.pat("api")))
}

// active tells whether a token is active for the api; nothing but the two answers
// is accepted.
func (b *bench) active(token string) bool {
	b.t.Helper()
	res := b.introspect(token)
	if res.status != http.StatusOK || res.text != inactive && res.body["active"] != true {
		b.t.Fatalf("introspection: %d %s", res.status, res.text)
	}
	return res.body["active"] == true
}

// opens gives scopes by resource, as introspection by the api shows them.
func (b *bench) opens(token string) map[string][]string {
	b.t.Helper()
	return scopesIn(b.introspect(token).body["permissions"])
}

func scopesIn(permissions any) map[string][]string {
	all := map[string][]string{}
	list, _ := permissions.([]any)
	for _, entry := range list {
		p, _ := entry.(map[string]any)
		id, _ := p["resource_id"].(string)
		scopes, _ := p["resource_scopes"].([]any)
		all[id] = []string{}
		for _, scope := range scopes {
			text, _ := scope.(string)
			all[id] = append(all[id], text)
		}
	}
	return all
}

// webGrant gives the confidential client an RPT for a ticket.
func (b *bench) webGrant(ticket string, more ...map[string]string) reply {
	b.t.Helper()
	form := map[string]string{
		"ticket": ticket, "claim_token": b.sign(b.claims(ticket, nil)), "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
	for _, m := range more {
		maps.Copy(form, m)
	}
	res := b.asWeb(form)
	if res.status != http.StatusOK {
		b.t.Fatalf("no RPT: %d %s", res.status, res.text)
	}
	return res
}

// renew uses a refresh token as the confidential client.
func (b *bench) renew(token string, more ...map[string]string) reply {
	b.t.Helper()
	form := map[string]string{"grant_type": "refresh_token", "refresh_token": token}
	for _, m := range more {
		maps.Copy(form, m)
	}
	return b.token(form, basic("web", webSecret))
}

// revoke revokes a token as the confidential client.
func (b *bench) revoke(token string, more ...map[string]string) reply {
	b.t.Helper()
	form := map[string]string{"token": token}
	for _, m := range more {
		maps.Copy(form, m)
	}
	return b.send("revoke", form, basic("web", webSecret))
}

// revocations are the reasons of the revocations observed so far.
func (b *bench) revocations() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, e := range b.events {
		if r, ok := e.(event.Revocation); ok {
			if r.ClientID == "" || r.DecisionID == "" || r.ResourceServer == "" || r.Issuer != issuer {
				b.t.Errorf("%+v", r)
			}
			all = append(all, r.Reason)
		}
	}
	return all
}

// refreshing switches refresh tokens on.
func refreshing(b *bench) { b.cfg.RefreshLifetime = 24 * time.Hour }

// persisting switches persisted claims tokens on, with policies that take them.
func persisting(b *bench) {
	b.cfg.PCTLifetime = time.Hour
	for i := range b.cfg.Policies {
		b.cfg.Policies[i].AcceptPCT = true
	}
}

// opaque makes the RPTs of the api references.
func opaque(b *bench) { b.cfg.ResourceServers[0].Opaque = true }

// strangersKey is not the key of the client.
var strangersKey = josetest.NewKey("ES256", "")

// bound sends a form to the token endpoint as the public client, with a proof of a
// key.
func (b *bench) bound(key josetest.Key, form map[string]string) reply {
	b.t.Helper()
	all := map[string]string{"client_id": "app"}
	maps.Copy(all, form)
	return b.token(all, prove(b.proof(key, nil, nil)))
}

// boundGrant gives the public client an RPT that is bound to its key.
func (b *bench) boundGrant(ticket string) reply {
	b.t.Helper()
	res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil))
	if res.status != http.StatusOK || res.get("token_type") != "DPoP" {
		b.t.Fatalf("%d %s", res.status, res.text)
	}
	return res
}

// SEC-24, UG-64: what lies in the store in the middle of all this names nobody and
// is no live token.
func TestUG_64_DumpOfTheStore(t *testing.T) {
	b := newBench(t, refreshing, persisting, opaque)
	res := b.webGrant(b.fresh())
	again := b.renew(res.get("refresh_token"))
	for _, name := range []string{"access_token", "refresh_token"} {
		if again.get(name) == "" || again.get(name) == res.get(name) {
			t.Fatalf("%s: %s", name, again.text)
		}
	}
	dump, err := os.ReadFile(b.path)
	if err != nil || !bytes.Contains(dump, []byte(res.get("decision_id"))) {
		t.Fatalf("%v: %d bytes", err, len(dump))
	}
	for name, live := range map[string]string{
		"address": "bob@bob.example", "local part": "bob@", "subject": "bob-1",
		"RPT": res.get("access_token"), "second RPT": again.get("access_token"), "PCT": res.get("pct"),
		"refresh token": again.get("refresh_token"), "old refresh token": res.get("refresh_token"),
	} {
		_, bare, _ := strings.Cut(live, "_")
		if live == "" || bytes.Contains(dump, []byte(live)) || bare != "" && bytes.Contains(dump, []byte(bare)) {
			t.Errorf("%s (%q) is in the store", name, live)
		}
	}
	t.Run("UG-37 a PCT shows nothing of the claims", func(t *testing.T) {
		pct := res.get("pct")
		raw, err := oauth.DecodeBase64(strings.TrimPrefix(pct, "pct_"))
		if err != nil || len(raw) != 32 || bytes.Contains(raw, []byte("bob")) {
			t.Errorf("%q: %d bytes, %v", pct, len(raw), err)
		}
		if other := b.webGrant(b.fresh()).get("pct"); other == pct || len(other) != len(pct) {
			t.Errorf("%q and %q", pct, other)
		}
	})
	t.Run("UG-37 UG-64 off by default", func(t *testing.T) {
		b := newBench(t)
		if res := b.webGrant(b.fresh()); res.body["pct"] != nil || res.body["refresh_token"] != nil {
			t.Errorf("%s", res.text)
		}
	})
}

// The record of a grant stays small, however often its client refreshes.
func TestA_29_RecordIsBounded(t *testing.T) {
	for name, scopes := range map[string][]string{
		"all": nil, "one": {"get"}, "many": strings.Fields(strings.Repeat("scope ", 4000)),
	} {
		t.Run(name, func(t *testing.T) {
			if size, n := uma.GrantRecordSize(scopes); size > 64<<10 || n < 1 || n > 32 || name != "many" && n != 32 {
				t.Errorf("%d bytes, %d RPTs", size, n)
			}
		})
	}
	t.Run("the oldest RPT ends, with an event", func(t *testing.T) {
		b := newBench(t, refreshing)
		res := b.webGrant(b.fresh())
		first, second := res.get("access_token"), ""
		for i := range 32 {
			res = b.renew(res.get("refresh_token"))
			if i == 0 {
				second = res.get("access_token")
			}
			if i < 31 && len(b.revocations()) != 0 {
				t.Fatalf("after %d: %v", i, b.revocations())
			}
		}
		if b.active(first) || !b.active(second) || !b.active(res.get("access_token")) || len(b.revocations()) != 1 {
			t.Errorf("first %v, second %v, revocations %v", b.active(first), b.active(second), b.revocations())
		}
	})
}

// between does something just before the next commit that swaps a grant.
func (b *bench) between(do func()) {
	done := false
	b.faulty.Before(func(_ context.Context, c storetest.Call) error {
		if !done && c.Writes(store.ActionSwap, "grant") {
			done = true
			do()
		}
		return nil
	})
}
