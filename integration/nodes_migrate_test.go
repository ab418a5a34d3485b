package integration_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// beforeMigration is what people and programs have in their hands when a store moves.
type beforeMigration struct {
	access, offline  string // of Bob's login
	rpt, revoked     string
	rotated, current string // refresh tokens for RPTs
	pct              string
	spent            presented
	tickets          []presented // not presented yet
	photos           string      // of a resource
}

// migrating is a world whose store moves.
type migrating struct {
	*vault
	beforeMigration
}

// TestSEC_12_StoreMigrate: from bolt to PostgreSQL and back. What was begun before goes
// on, what was spent or revoked stays so, and the store that was left takes no ticket
// of before.
func TestSEC_12_StoreMigrate(t *testing.T) {
	db := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", db.DSN())
	m := &migrating{vault: withVault(t, "refresh_tokens\n\t\tpct\n\t\t", apiClient, apiClient+"\t\trate_limit off\n")}
	m.adapt(strings.Replace(m.text, "policy vault {", "policy vault {\n\t\t\taccept_pct", 1))
	m.reload()
	m.await()
	m.begin()
	first, last := filepath.Join(m.dir, "uma.db"), filepath.Join(m.dir, "back.db")
	const postgres = "postgres:{env.UMA_TEST_DSN}"

	m.migrates(t, 3, "another process has it open", "bolt:"+first, postgres) // it runs
	m.stop()
	m.migrates(t, 0, "The new store is the old one now", "bolt:"+first, postgres)
	m.with(map[string]any{"module": "postgres", "dsn": "{env.UMA_TEST_DSN}", "max_conns": 3})
	t.Run("SEC-12 on PostgreSQL", m.goesOn)
	m.stop()
	m.migrates(t, 1, "holds documents already", "bolt:"+first, postgres)
	m.migrates(t, 0, "The new store is the old one now", postgres, "bolt:"+last)
	m.with(map[string]any{"module": "bolt", "path": last})
	t.Run("SEC-12 back on bolt", m.goesOn)
	m.with(map[string]any{"module": "bolt", "path": first})
	t.Run("SEC-12 a server with the store that was left", func(t *testing.T) {
		p := m.tickets[0]
		if a := m.redeem(p.ticket, p.claims, nil); a.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("a ticket of before: %d %s", a.status, a.text)
		}
		if ok := m.askAsBob(); ok.status != http.StatusOK {
			t.Errorf("a ticket of now: %d %s", ok.status, ok.text)
		}
	})
}

// begin begins everything that can be under way.
func (m *migrating) begin() {
	m.t.Helper()
	login := m.redeemCode(m.challengeCode("bob@bob.localhost", "bob-demo", "openid email profile offline_access"))
	m.access, m.offline = login.get("access_token"), login.get("refresh_token")
	m.photos = m.register("photos", "read")
	granted := m.granted(m.access, m.ticket(m.photos, "read"), nil)
	m.rpt, m.rotated, m.pct = granted.get("access_token"), granted.get("refresh_token"), granted.get("pct")
	m.current = m.vault.refresh(m.rotated).get("refresh_token")
	m.revoked = m.granted(m.access, m.ticket(m.photos, "read"), nil).get("access_token")
	m.revoke(m.revoked, basic("web", webSecret))
	for range 4 {
		ticket, _ := m.challenged(http.MethodGet, "/")
		m.tickets = append(m.tickets, presented{ticket, m.claimsToken(m.access, m.url("api", ""), ticket)})
	}
	m.spent, m.tickets = m.tickets[0], m.tickets[1:]
	if a := m.redeem(m.spent.ticket, m.spent.claims, nil); a.status != http.StatusOK || m.current == "" || m.pct == "" || m.offline == "" {
		m.t.Fatalf("%d %s, %+v", a.status, a.text, granted.body)
	}
}

// goesOn uses what was there before.
func (m *migrating) goesOn(t *testing.T) {
	if !m.active(m.rpt) || m.active(m.revoked) {
		t.Error("the RPT is not active, or the revoked one is")
	}
	p := m.tickets[len(m.tickets)-1]
	m.tickets = m.tickets[:len(m.tickets)-1]
	rpt := m.redeem(p.ticket, p.claims, nil)
	if rpt.status != http.StatusOK || m.get(m.url("api", "/"), bearer(rpt.get("access_token"))).status != http.StatusOK {
		t.Errorf("a ticket of before: %d %s", rpt.status, rpt.text)
	}
	for name, p := range map[string]presented{"before": m.spent, "now": p} {
		if a := m.redeem(p.ticket, "", map[string]string{"claim_token_format": ""}); a.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("a ticket that was spent %s: %d %s", name, a.status, a.text)
		}
	}
	next := m.vault.refresh(m.current)
	if m.current = next.get("refresh_token"); next.status != http.StatusOK || !m.active(next.get("access_token")) {
		t.Errorf("refresh token: %d %s", next.status, next.text)
	}
	if a := m.asWeb(m.ticket(m.photos, "read"), "", map[string]string{"pct": m.pct}); a.status != http.StatusOK {
		t.Errorf("PCT: %d %s", a.status, a.text)
	}
	login := m.world.refresh(m.offline)
	if m.offline = login.get("refresh_token"); login.status != http.StatusOK {
		t.Errorf("login: %d %s", login.status, login.text)
	}
	ticket, _ := m.challenged(http.MethodGet, "/")
	for name, access := range map[string]string{"of before": m.access, "of now": login.get("access_token")} {
		if a := m.exchange(access, m.url("api", ""), ticket, nil); a.status != http.StatusOK {
			t.Errorf("an access token %s: %d %s", name, a.status, a.text)
		}
	}
}

// with starts Caddy with another store.
func (m *migrating) with(store map[string]any) {
	m.t.Helper()
	m.config["apps"].(map[string]any)["uma"].(map[string]any)["store"] = store
	m.reload()
	m.await()
}

// migrates runs the command in a process of its own.
func (m *migrating) migrates(t *testing.T, code int, text, from, to string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "uma", "store", "migrate", "--from", from, "--to", to) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), asCaddy+"=1")
	cmd.WaitDelay = 20 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(out.String(), text) {
		t.Fatalf("exit %d, %s; want %d, %q", got, out.String(), code, text)
	}
}
