package uma_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// put writes a record as an older caddy-uma wrote it.
func (b *bench) put(kind, id, index string, record map[string]any) {
	b.t.Helper()
	body, err := json.Marshal(record)
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.faulty.Commit(b.t.Context(), store.Create(store.Doc{
		Key: store.Key{Tenant: store.Tenant("as", issuer), Kind: kind, ID: id}, Index: index,
		Expires: b.clock().Add(10 * time.Minute), Body: body,
	}))
	if err != nil {
		b.t.Fatal(err)
	}
}

// What a caddy-uma before refresh tokens and introspection left in the store: its
// grants had one RPT, whose jti was the grant's id. Such an RPT lives until it
// expires where resource servers check it themselves, as it did then; here it is
// nothing, and nothing fails because of it.
func TestRecordsOfAnOlderVersion(t *testing.T) {
	b := newBench(t, refreshing)
	now, ticket := b.clock().Unix(), b.fresh()
	const old = "AAAAAAAAAAAAAAAAAAAAAA"
	grant := map[string]any{
		"v": 1, "resource_server": "api", "owner": "api", "client": "web", "iss": "https://bob.example", "sub": "bob-1",
		"permissions": []any{}, "policy": "bob", "decision_id": "BBBBBBBBBBBBBBBBBBBBBB", "exp": now + 300,
	}
	b.put("grant", old, "api", grant)
	claims := func(jti string) map[string]any {
		return map[string]any{
			"iss": issuer, "sub": "u-x", "aud": apiURI, "client_id": "web", "iat": now, "exp": now + 300, "jti": jti,
			"permissions": []any{}, "decision_id": "BBBBBBBBBBBBBBBBBBBBBB",
		}
	}
	for name, jti := range map[string]string{"of then": old, "as if of now": old + ".0", "the first": old + ".1"} {
		rpt, err := b.cfg.RPTKeys.Sign(t.Context(), oauth.TypAccessToken, claims(jti))
		if err != nil {
			t.Fatal(err)
		}
		if b.active(rpt) {
			t.Errorf("%s: active", name)
		}
		if res := b.webGrant(b.fresh(), map[string]string{"rpt": rpt}); res.body["upgraded"] != nil {
			t.Errorf("%s: upgraded", name)
		}
		if res := b.revoke(rpt); res.status != http.StatusOK {
			t.Errorf("%s: revocation %d", name, res.status)
		}
	}
	raw, err := oauth.DecodeBase64(old)
	if err != nil {
		t.Fatal(err)
	}
	if res := b.renew("rt_" + base64.RawURLEncoding.EncodeToString(append(raw, make([]byte, 32)...))); res.code() != "invalid_grant" {
		t.Errorf("refresh: %d %s", res.status, res.code())
	}
	t.Run("A40 a ticket that was spent then", func(t *testing.T) {
		id, err := b.server.TicketHash(t.Context(), ticket, "web")
		if err != nil {
			t.Fatal(err)
		}
		b.put("spent", id, "", map[string]any{"v": 1, "client": "web", "outcome": event.Granted, "grant": old})
		for range 2 {
			if res := b.pushWeb(ticket, b.sign(b.claims(ticket, nil))); res.code() != "invalid_grant" {
				t.Errorf("%d %s", res.status, res.code())
			}
		}
		if got := b.revocations(); len(got) != 1 || got[0] != "a ticket was presented again" {
			t.Errorf("%v", got)
		}
	})
	t.Run("one that is newer is refused", func(t *testing.T) {
		grant["v"] = 2
		b.put("grant", "CCCCCCCCCCCCCCCCCCCCCC", "api", grant)
		rpt, err := b.cfg.RPTKeys.Sign(t.Context(), oauth.TypAccessToken, claims("CCCCCCCCCCCCCCCCCCCCCC.1"))
		if err != nil {
			t.Fatal(err)
		}
		if res := b.introspect(rpt); res.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", res.status, res.code())
		}
	})
}
