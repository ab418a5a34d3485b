package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// roundRobin ends TLS, so to speak, and gives each request to the next node. proto is
// what it says of the request.
type roundRobin struct {
	nodes []string
	next  atomic.Int64
	proto string
}

func (b *roundRobin) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Host, out.URL.Scheme = r.URL.Host, "http"
	out.URL.Host = b.nodes[int(b.next.Add(1))%len(b.nodes)]
	out.Header.Set("X-Forwarded-Proto", b.proto)
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(out)
}

// clusterNode starts a node with the example; it gives the addresses of its sites and
// of its health.
func (w *world) clusterNode(bob *partner, backend string) (sites, health string) {
	w.t.Helper()
	dir, port, private := w.t.TempDir(), freePort(w.t), freePort(w.t)
	text := fileOf.ReplaceAllString(readText(w.t, "../examples/cluster.Caddyfile"), "{file."+w.dir+"/$1}")
	text = strings.NewReplacer(
		"\n{\n\tservers", "\n{\n\thttp_port "+port+"\n\tdefault_bind 127.0.0.1\n\tservers",
		"10.0.0.0/8", "127.0.0.0/8", "10.1.0.5:9000 10.1.0.6:9000", backend, ":8081", ":"+private,
		"/var/log/caddy", dir, "shutdown_delay 10s", "shutdown_delay 1s",
		"\t\timport policies", "\t\t"+bob.entry(w.t, "")+"import policies",
	).Replace("\n" + text)
	if err := os.CopyFS(filepath.Join(dir, "policies"), os.DirFS("../examples/policies")); err != nil {
		w.t.Fatal(err)
	}
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": filepath.Join(dir, "Caddyfile")})
	if err != nil {
		w.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(body, &config); err != nil {
		w.t.Fatal(err)
	}
	config["admin"] = map[string]any{"disabled": true}
	logs, _ := config["logging"].(map[string]any)["logs"].(map[string]any)
	logs["default"] = map[string]any{"level": "DEBUG", "writer": map[string]any{"output": "file", "filename": filepath.Join(dir, "log")}}
	body, err = json.Marshal(config)
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, dir, "caddy.json", string(body))
	w.runNode(dir)
	w.nodeDirs = append(w.nodeDirs, dir)
	return "127.0.0.1:" + port, "127.0.0.1:" + private
}

// TestExample_Cluster: two processes with the file of the example, one database,
// and each step at the other node.
func TestExample_Cluster(t *testing.T) {
	database := pgtest.New(t)
	t.Setenv("DATABASE_URL", database.DSN())
	bob := newPartner(t, "bob.example")
	w := newWorld(t)
	w.names = map[string]string{"as": "as.alice.example", "api": "api.alice.example"}
	w.withFiles(readText(t, "../examples/cluster.Caddyfile"))
	backend := w.backend()
	var b roundRobin
	var private []string
	for range 2 {
		sites, health := w.clusterNode(bob, backend)
		b.nodes, private = append(b.nodes, sites), append(private, health)
	}
	b.proto = "https"
	w.client = &http.Client{Transport: &b, Timeout: 20 * time.Second}
	for _, health := range private {
		awaitHealth(t, "http://"+health+"/.health")
	}
	for range 3 { // an odd number of requests each: the steps change their nodes
		ticket := w.ticketAt(http.MethodGet, w.url("api", "/"))
		claims := bob.token(w, ticket, nil)
		rpt := w.redeem(ticket, claims, nil)
		for range 2 {
			if a := w.get(w.url("api", "/"), bearer(rpt.get("access_token"))); a.status != http.StatusOK {
				t.Errorf("%d %s, then %d %s", rpt.status, rpt.text, a.status, a.text)
			}
		}
		for range 2 {
			if again := w.redeem(ticket, claims, nil); again.get("error") != "invalid_grant" {
				t.Errorf("a spent ticket: %d %s", again.status, again.text)
			}
		}
	}
	stranger := map[string]any{"email": "eve@else.example"}
	if a := w.presents(bob, http.MethodGet, w.url("api", "/"), w.url("api", ""), stranger); a.get("access_token") != "" {
		t.Errorf("of a domain that no policy names: %d %s", a.status, a.text)
	}
	b.proto = "http"
	if a := w.get(w.url("as", "/uma/jwks"), nil); a.status != http.StatusForbidden {
		t.Errorf("what came without TLS: %d %s", a.status, a.text)
	}
	for _, health := range private {
		if text := plainGet(t, "http://"+health+"/metrics"); !strings.Contains(text, "\ncaddy_uma_tickets_total ") {
			t.Errorf("the metrics of a node have no tickets:\n%s", text)
		}
	}
	for _, dir := range w.nodeDirs {
		if log := readText(t, filepath.Join(dir, "uma-audit.log")); !strings.Contains(log, `"decision_id"`) {
			t.Errorf("the log uma.audit has no decision:\n%s", log)
		}
	}
}

// awaitHealth waits until a node says that it is well.
func awaitHealth(t *testing.T, url string) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // a real process
		if last = plainGet(t, url); strings.Contains(last, `"status":"pass"`) {
			return
		}
	}
	t.Fatalf("%s: %s", url, last)
}

// plainGet asks a port that has no TLS; an error is its text.
func plainGet(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
