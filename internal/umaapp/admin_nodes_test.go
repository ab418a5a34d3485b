package umaapp_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestNodesRoute(t *testing.T) {
	registerRings()
	a := startAdmin(t)
	a.load(`{}`)
	if status, text := a.ask("GET", "/uma/show/nodes"); status != http.StatusNotFound {
		t.Errorf("without the app: %d %s", status, text)
	}
	a.load(`{"uma":{"store":{"module":"bolt","path":"` + filepath.Join(a.dir, "x.db") + `"}},` + rings + `}`)
	if status, text := a.ask("POST", "/uma/show/nodes"); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", status, text)
	}
	first := a.nodes()
	if len(first) != 1 || !first[0].Asked || len(first[0].Issuers) != 2 || first[0].Issuers[0].Issuer != alice || first[0].Issuers[0].Keys != "same" {
		t.Errorf("%+v", first)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "x.db")); err == nil {
		t.Error("the question opened a store that nobody else can use")
	}
	a.load(`{"uma":{"store":{"module":"bolt","path":"` + filepath.Join(a.dir, "x.db") + `"},"algorithm":"EdDSA"},` + rings + `}`)
	if again := a.nodes(); again[0].ID != first[0].ID {
		t.Errorf("another node after a reload: %+v", again)
	}
}

type nodeAnswer struct {
	ID      string
	Asked   bool
	Issuers []struct{ Issuer, Keys string }
}

func (a *liveAdmin) nodes() []nodeAnswer {
	a.t.Helper()
	status, text := a.ask("GET", "/uma/show/nodes")
	var answer struct{ Nodes []nodeAnswer }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
		a.t.Fatalf("%d %s: %v", status, text, err)
	}
	return answer.Nodes
}

// Nothing is written, and no store opened, by who only checks a configuration; and the
// metric is there.
func TestProvisionOfNodes(t *testing.T) {
	registerRings()
	dir := t.TempDir()
	text := `{"admin":{"disabled":true},"storage":{"module":"file_system","root":"` + dir + `"},"apps":{"uma":{"store":{"module":"bolt","path":"` + dir + `/x.db"}},` + rings + `}}`
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
	cfg = new(caddy.Config)
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "caddy_uma_policy_revision_behind" && f.GetMetric()[0].GetGauge().GetValue() == 0 {
			return
		}
	}
	t.Errorf("%d metrics, and not caddy_uma_policy_revision_behind 0", len(families))
}
