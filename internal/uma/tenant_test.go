package uma_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// SEC-24: what lies on disk and in storage opens nothing.
func TestSEC_24_NothingLiveIsStored(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	id := b.register(pat, "RS API", "", "get")
	unused := b.ticket(pat, id, "get")
	round := b.token(map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": b.ticket(pat, id, "get"),
	}).get("ticket")
	claimToken := b.sign(b.claims(round, nil))
	res := b.present(round, claimToken)
	if res.status != 200 {
		t.Fatal(res.text)
	}
	var dump []byte
	err := filepath.WalkDir(filepath.Dir(b.path), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		dump = append(dump, data...)
		return err
	})
	if err != nil || !bytes.Contains(dump, []byte(id)) {
		t.Fatalf("%v: %d bytes", err, len(dump))
	}
	for name, live := range map[string]string{
		"PAT": pat, "bare PAT": strings.TrimPrefix(pat, "pat_"), "unused ticket": unused, "successor": round,
		"client secret": apiSecret, "RPT": res.get("access_token"), "claims token": claimToken,
	} {
		if live == "" || bytes.Contains(dump, []byte(live)) {
			t.Errorf("%s (%q) is in the store", name, live)
		}
	}
}

// SEC-24: a restart between ticket and token changes nothing.
func TestSEC_24_Restart(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	id := b.register(pat, "RS API", "", "get")
	ticket, spent := b.ticket(pat, id, "get"), b.ticket(pat, id, "get")
	if res := b.ask(spent); res.status != 200 {
		t.Fatal(res.text)
	}
	if err := b.faulty.Close(); err != nil {
		t.Fatal(err)
	}
	bolt, err := store.OpenBolt(b.path, store.BoltOptions{Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	next := b.reload(func(c *uma.Config) { c.Store = bolt })
	if res := next.ask(spent); res.code() != "invalid_grant" {
		t.Errorf("a spent ticket is live again: %s", res.text)
	}
	if got := next.permissions(next.ask(ticket)); len(got[id]) != 1 {
		t.Errorf("%v", got)
	}
	if res := next.call(pat, http.MethodGet, "resource/"+id, ""); res.status != 200 {
		t.Errorf("PAT: %d", res.status)
	}
	t.Run("a new store voids older tickets", func(t *testing.T) {
		ticket := next.ticket(pat, id, "get")
		empty, err := store.OpenBolt(filepath.Join(t.TempDir(), "new.db"), store.BoltOptions{Now: b.clock})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = empty.Close() }()
		other := next.reload(func(c *uma.Config) { c.Store = empty })
		if res := other.ask(ticket); res.code() != "invalid_grant" {
			t.Errorf("%s", res.text)
		}
	})
}

// SEC-28: two authorization servers with equal names on one store and one
// storage: nothing of one opens at the other.
func TestSEC_28_Tenants(t *testing.T) {
	one := newBench(t)
	two := one.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
	pat := one.pat("api")
	id := one.register(pat, "RS API", "", "get")
	ticket := one.ticket(pat, id, "get")

	if res := two.ask(ticket); res.status != 400 || res.code() != "invalid_grant" {
		t.Errorf("ticket: %d %s", res.status, res.text)
	}
	if res := two.call(pat, http.MethodGet, "resource", ""); res.status != 401 {
		t.Errorf("PAT: %d", res.status)
	}
	other := two.pat("api")
	if res := two.call(other, http.MethodGet, "resource", ""); res.text != "[]" {
		t.Errorf("list: %s", res.text)
	}
	if res := two.call(other, http.MethodGet, "resource/"+id, ""); res.status != 404 {
		t.Errorf("resource: %d", res.status)
	}
	if res := two.call(other, http.MethodPost, "permission", `{"resource_id":"`+id+`","resource_scopes":[]}`); res.code() != "invalid_resource_id" {
		t.Errorf("permission: %s", res.text)
	}
	rpt := one.ask(ticket)
	if rpt.status != 200 {
		t.Fatalf("at its own: %s", rpt.text)
	}
	if res := two.call(rpt.get("access_token"), http.MethodGet, "resource", ""); res.status != 401 {
		t.Errorf("RPT: %d", res.status)
	}
	t.Run("disjoint keys and subjects", func(t *testing.T) {
		ticket := two.ticket(other, two.register(other, "RS API", "", "get"), "get")
		res := two.ask(ticket)
		if res.status != 200 {
			t.Fatal(res.text)
		}
		if payload(t, res.get("access_token"))["sub"] == payload(t, rpt.get("access_token"))["sub"] {
			t.Error("one person has one sub at both")
		}
		if a, b := one.get("/uma/jwks").text, two.get("/uma/jwks").text; a == b || kid(t, a) == kid(t, b) {
			t.Errorf("%s and %s", a, b)
		}
	})
}

func kid(t *testing.T, jwks string) string {
	t.Helper()
	_, rest, ok := strings.Cut(jwks, `"kid":"`)
	if !ok {
		t.Fatal(jwks)
	}
	return rest[:43]
}
