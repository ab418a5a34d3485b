package integration_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

const otherVault = "0123456789-the-vault-of-another-one-"

// twins starts two authorization servers with the same names for their clients and
// resource servers, and Bob's provider, on one store and one storage.
func twins(t *testing.T, store string) (one, two *vault) {
	t.Helper()
	t.Setenv("UMA_TEST_OTHER", otherVault)
	lines := "refresh_tokens\n\t\tpct\n\t\tregistration {env.UMA_TEST_INITIAL}\n\t\t"
	t.Setenv("UMA_TEST_INITIAL", initialToken)
	block := strings.NewReplacer("UMA_TEST_VAULT", "UMA_TEST_OTHER").Replace(vaultLines) + lines + vaultPolicy
	one = withVault(t, lines, "trust_internal_ca\n", "trust_internal_ca\n"+store,
		apiSite, "https://as2.localhost:{$UMA_PORT:8443} {\n\ttls internal\n\tuma_server https://as2.localhost:{$UMA_PORT:8443} {\n\t\t"+block+"\n\t}\n}\n\n"+apiSite)
	accepts := strings.Replace(vaultPolicy, "from", "accept_pct\n\t\t\tfrom", 1)
	one.edit(vaultPolicy, accepts, vaultPolicy, accepts)
	return one, newVault(one.world, "as2", otherVault)
}

func TestSEC_28_TwoAuthorizationServers(t *testing.T) {
	for name, store := range map[string]func(*testing.T) string{
		"bolt": func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string {
			t.Helper()
			dsn := pgtest.DSN(t)
			t.Setenv("UMA_TEST_DSN", dsn)
			return "\t\tstore postgres {env.UMA_TEST_DSN} {\n\t\t\tschema " + pgtest.Schema(t, dsn) + "\n\t\t}\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := twins(t, store(t))
			nothingOpensAcross(t, one, two)
			nothingOpensAcross(t, two, one)
			t.Run("SEC-28 key sets", func(t *testing.T) { disjoint(t, one.keySets()) })
			t.Run("SEC-28 keys in the storage", func(t *testing.T) { disjoint(t, one.storedKeys()) })
		})
	}
}

// nothingOpensAcross shows what one issued to the other, under the same names.
func nothingOpensAcross(t *testing.T, one, two *vault) {
	t.Helper()
	access := one.login("bob@bob.localhost", "bob-demo")
	id := one.register("one", "read")
	a := one.granted(access, one.ticket(id, "read"), nil)
	rpt := a.get("access_token")
	if !one.active(rpt) || a.get("refresh_token") == "" || a.get("pct") == "" {
		t.Fatalf("at home: %s", a.text)
	}
	prefix := "SEC-28 " + one.as + " at " + two.as + ": "
	t.Run(prefix+"secret", func(t *testing.T) {
		if one.world.pat(two.as, "vault", one.secret) != "" {
			t.Error("it gives a PAT")
		}
	})
	t.Run(prefix+"PAT", func(t *testing.T) {
		list := two.get(two.url(two.as, "/.well-known/uma2-configuration"), nil).get("resource_registration_endpoint")
		if a := one.get(list, bearer(one.pat)); a.status != http.StatusUnauthorized {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := two.get(list, bearer(two.pat)); a.status != http.StatusOK || strings.Contains(a.text, id) {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := two.get(list+"/"+id, bearer(two.pat)); a.status != http.StatusNotFound {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run(prefix+"ticket", func(t *testing.T) {
		ticket := one.ticket(id, "read")
		claims := one.claimsToken(access, one.url("vault", ""), ticket)
		two.refused(t, two.asWeb(ticket, claims, nil), oauth.CodeInvalidGrant)
		if ok := one.asWeb(ticket, claims, nil); ok.status != http.StatusOK {
			t.Errorf("at home: %d %s", ok.status, ok.text)
		}
	})
	t.Run(prefix+"RPT", func(t *testing.T) {
		if two.active(rpt) {
			t.Error("it is active")
		}
		if two.revoke(rpt, basic("web", webSecret)); !one.active(rpt) {
			t.Error("it was revoked")
		}
	})
	t.Run(prefix+"refresh token", func(t *testing.T) {
		if a := two.refresh(a.get("refresh_token")); a.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := one.refresh(a.get("refresh_token")); a.status != http.StatusOK {
			t.Errorf("at home: %d %s", a.status, a.text)
		}
	})
	t.Run(prefix+"PCT", func(t *testing.T) {
		theirs := two.register("two", "read")
		alone := map[string]string{"pct": a.get("pct")}
		two.refused(t, two.asWeb(two.ticket(theirs, "read"), "", alone), oauth.CodeNeedInfo)
		if a := one.asWeb(one.ticket(id, "read"), "", alone); a.status != http.StatusOK {
			t.Errorf("at home: %d %s", a.status, a.text)
		}
	})
	t.Run(prefix+"registered client", func(t *testing.T) {
		header := bearer(initialToken)
		header.Set("Content-Type", "application/json")
		meta := one.get(one.url(one.as, "/.well-known/uma2-configuration"), nil)
		made := one.request(http.MethodPost, meta.get("registration_endpoint"), `{"grant_types":["`+oauth.GrantUMATicket+`"]}`, header)
		ask := func(v *vault) answer {
			return v.redeemAt(v.as, "x", "", map[string]string{"client_id": "", "claim_token_format": ""}, basic(made.get("client_id"), made.get("client_secret")))
		}
		refusedClient(t, ask(two))
		if a := ask(one); a.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("at home: %d %s", a.status, a.text)
		}
	})
}

// keySets are the public keys of the three issuers.
func (w *world) keySets() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	for host, document := range map[string]string{"as": "uma2", "as2": "uma2", "bob": "openid"} {
		meta := w.get(w.url(host, "/.well-known/"+document+"-configuration"), nil)
		keys, _ := w.get(meta.get("jwks_uri"), nil).body["keys"].([]any)
		for _, key := range keys {
			x, _ := key.(map[string]any)["x"].(string)
			all[host] = append(all[host], x)
		}
	}
	return all
}

// storedKeys are the private keys in the storage, by issuer and purpose.
func (w *world) storedKeys() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	root := filepath.Join(w.dir, "storage", "uma")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file struct {
			JWK map[string]any `json:"jwk"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			return err
		}
		secret, _ := file.JWK["d"].(string)
		if secret == "" {
			secret, _ = file.JWK["k"].(string)
		}
		folder, _ := filepath.Rel(root, filepath.Dir(path))
		all[folder] = append(all[folder], secret)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// disjoint: no key stands in two sets.
func disjoint(t *testing.T, sets map[string][]string) {
	t.Helper()
	if len(sets) < 3 {
		t.Errorf("only %d sets", len(sets))
	}
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		for _, key := range sets[name] {
			if key == "" || owner[key] != "" {
				t.Errorf("%s and %s share a key, or it is none", name, owner[key])
			}
			owner[key] = name
		}
	}
}
