package uma_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// lacking takes resource servers out of a configuration.
func lacking(gone ...string) func(*uma.Config) {
	return func(c *uma.Config) {
		c.ResourceServers = slices.DeleteFunc(slices.Clone(c.ResourceServers), func(rs uma.ResourceServer) bool { return slices.Contains(gone, rs.ID) })
	}
}

// orphans gives the warnings about grants at resource servers that are not there.
func orphans(logs *observer.ObservedLogs) (all []map[string]any) {
	for _, line := range logs.FilterMessageSnippet("resource server").All() {
		all = append(all, line.ContextMap())
	}
	return all
}

// A resource server that left the configuration takes nothing with it: who runs the
// server is told what lives on, and how to end it.
func TestOrphans(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.ResourceServers = append(b.cfg.ResourceServers, uma.ResourceServer{
			ID: "o'range", URI: "https://orange.example", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(apiSecret)}},
		})
	})
	pat := b.pat("o'range")
	id := b.register(pat, "x", "", "get")
	var rpts []string
	for range 3 {
		rpts = append(rpts, b.ask(b.fresh()).get("access_token"))
	}
	if res := b.ask(b.ticket(pat, id, "get"), map[string]any{"aud": "https://orange.example"}); res.status != 200 {
		t.Fatal(res.text)
	}
	next := func(edits ...func(*uma.Config)) (*bench, *observer.ObservedLogs) {
		core, logs := observer.New(zapcore.InfoLevel)
		n := b.reload(append(edits, func(c *uma.Config) { c.Background, c.Log = t.Context(), zap.New(core) })...)
		n.get("/uma/jwks")
		waitFor(t, func() bool { return n.server.Reviews() > 0 })
		return n, logs
	}
	if _, logs := next(); logs.Len() != 0 {
		t.Errorf("all are there: %v", logs.All())
	}
	n, logs := next(lacking("api", "o'range"))
	want := []map[string]any{
		{"issuer": issuer, "resource_server": "api", "grants": int64(3), "command": "caddy uma grants revoke --issuer " + issuer + " --resource-server api"},
		{"issuer": issuer, "resource_server": "o'range", "grants": int64(1), "command": "caddy uma grants revoke --issuer " + issuer + ` --resource-server 'o'\''range'`},
	}
	if diff := cmp.Diff(want, orphans(logs)); diff != "" {
		t.Error(diff)
	}
	t.Run("once", func(t *testing.T) {
		n.pass(2 * time.Minute)
		n.get("/uma/jwks")
		waitFor(t, func() bool { return n.server.Reviews() > 1 })
		if got := len(orphans(logs)); got != 2 {
			t.Errorf("%d warnings", got)
		}
	})
	t.Run("the command ends them", func(t *testing.T) {
		if res := n.admin(http.MethodPost, "/change/grants/revoke", `{"resource_server":"api"}`); res.body["ended"] != 3.0 {
			t.Fatalf("%d %s", res.status, res.text)
		}
		for _, rpt := range rpts {
			if !n.listed(rpt) {
				t.Error("not on the status list")
			}
		}
		_, logs := next(lacking("api", "o'range"))
		if got := orphans(logs); len(got) != 1 || got[0]["resource_server"] != "o'range" {
			t.Errorf("%v", got)
		}
	})
}

// Only what is certain is told: after a pass that came to its end.
func TestOrphans_WhenTheStoreFails(t *testing.T) {
	b := newBench(t)
	b.ask(b.fresh())
	core, logs := observer.New(zapcore.InfoLevel)
	n := b.reload(lacking("api"), func(c *uma.Config) { c.Background, c.Log = t.Context(), zap.New(core) })
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "List" })
	n.get("/uma/jwks")
	waitFor(t, func() bool { return logs.FilterMessageSnippet("looked through").Len() == 1 })
	if got := orphans(logs); got != nil {
		t.Errorf("%v", got)
	}
	b.faulty.Repair()
	waitFor(t, func() bool { // the pass that failed may not have come to its end
		n.pass(time.Second)
		n.get("/uma/jwks")
		return len(orphans(logs)) == 1
	})
}

// The log is not as long as the list of those that are gone.
func TestOrphans_Many(t *testing.T) {
	all := uma.Orphans{}
	for i := range 500 {
		for range 500 - i {
			all.Add(fmt.Sprintf("rs-%d-%s", i, strings.Repeat("x", 100)))
		}
	}
	core, logs := observer.New(zapcore.InfoLevel)
	all.Warn(zap.New(core), issuer)
	lines := logs.All()
	if len(lines) != 11 || lines[10].ContextMap()["resource_servers"] != int64(490) {
		t.Fatalf("%d lines, %v", len(lines), lines[len(lines)-1].ContextMap())
	}
	sum := int64(0)
	for _, line := range lines {
		sum += line.ContextMap()["grants"].(int64)
	}
	if sum != 500*501/2 {
		t.Errorf("%d grants", sum)
	}
}
