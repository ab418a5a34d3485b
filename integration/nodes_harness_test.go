package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// nodeProcess is a further Caddy of a cluster, in a process of its own. Its world
// talks to it under the names of the first one, as a load balancer would make a
// client do.
type nodeProcess struct {
	*world
	cmd    *exec.Cmd
	log    string
	killed bool
}

// nodes are three Caddies with one PostgreSQL: a in the process of the test, b and c
// in others.
type nodes struct {
	*vault
	b, c *nodeProcess
	db   *pgtest.Server
	uma  func(args ...string) (int, string) // at a
	keys string
}

// clusterSecret is the key encryption key of the nodes.
const clusterSecret = "the-secret-of-this-cluster-0123456789-0123456789"

// nodeRevocation is how old a status list may be at the resource servers.
const nodeRevocation = 3 * time.Second

// nodeLines are settings of the authorization server.
const nodeLines = "refresh_tokens\n\t\tpct\n\t\tdpop_nonces\n\t\trate_limit ticket off\n\t\t"

// newNodes starts the cluster. With `keys storage` the nodes share Caddy's storage,
// with `keys store` nothing but the database and a secret.
func newNodes(t *testing.T, keys string) *nodes {
	t.Helper()
	n := &nodes{db: pgtest.New(t)}
	t.Setenv("UMA_TEST_DSN", n.db.DSN())
	n.vault = withVault(t, nodeLines,
		apiClient, apiClient+"\t\trate_limit off\n\t\trevocation "+nodeRevocation.String()+"\n\t\tdpop_nonces\n",
		"trust_internal_ca\n", "trust_internal_ca\n\t\trefetch_pause 1s\n",
		stsClient, "rate_limit exchange off\n\t\trate_limit login off\n\t\t"+stsClient,
	)
	n.adapt(strings.Replace(n.text, "policy vault {", "policy vault {\n\t\t\taccept_pct", 1))
	n.share(keys)
	n.uma = n.administer()
	n.client.CloseIdleConnections()
	n.await()
	n.pat = n.world.pat("as", "vault", vaultSecret)
	n.b, n.c = n.join(keys), n.join(keys)
	return n
}

// share makes the configuration of a that of a node.
func (n *nodes) share(keys string) {
	uma, _ := n.config["apps"].(map[string]any)["uma"].(map[string]any)
	uma["store"] = map[string]any{"module": "postgres", "dsn": "{env.UMA_TEST_DSN}", "max_conns": 4}
	if keys == "store" {
		cluster(n.config, clusterSecret)
	}
	n.keys = keys
}

// change edits the Caddyfile of a.
func (n *nodes) change(from, to string) {
	n.t.Helper()
	if !strings.Contains(n.text, from) {
		n.t.Fatalf("the Caddyfile has no %q", from)
	}
	admin := n.config["admin"]
	n.adapt(strings.Replace(n.text, from, to, 1))
	n.share(n.keys)
	n.config["admin"] = admin
	n.reload()
	n.await()
}

// join starts a node.
func (n *nodes) join(keys string) *nodeProcess {
	n.t.Helper()
	port, dir := freePort(n.t), n.t.TempDir()
	config := n.configOfNode(port)
	storage := filepath.Join(n.dir, "storage")
	if keys == "store" {
		storage = filepath.Join(dir, "storage")
		n.copyCertificates(storage)
	}
	config["storage"] = map[string]any{"module": "file_system", "root": storage}
	node := &nodeProcess{log: filepath.Join(dir, "log")}
	text, err := json.Marshal(config)
	if err != nil {
		n.t.Fatal(err)
	}
	write(n.t, dir, "caddy.json", string(text))
	node.start(n.t, dir)
	other := *n.world
	other.client = nodeClient(n.t, storage, port)
	node.world = &other
	node.awaitNode()
	return node
}

// copyCertificates spares a node a CA and certificates of its own, which take time.
func (n *nodes) copyCertificates(to string) {
	n.t.Helper()
	for _, name := range []string{"pki", "certificates"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(n.dir, "storage", name))); err != nil {
			n.t.Fatal(err)
		}
	}
}

// configOfNode is the configuration of a, with another port and without what is of
// this process.
func (n *nodes) configOfNode(port string) map[string]any {
	n.t.Helper()
	text := n.text
	for _, host := range []string{"bob", "as", "api"} {
		text = strings.ReplaceAll(text, "\nhttps://"+host+".localhost:{$UMA_PORT:8443} {", "\nhttps://"+host+".localhost:"+port+" {")
	}
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	var config map[string]any
	if err == nil {
		err = json.Unmarshal(body, &config)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	config["admin"] = map[string]any{"disabled": true}
	mine, _ := n.config["apps"].(map[string]any)["uma"].(map[string]any)
	theirs, _ := config["apps"].(map[string]any)["uma"].(map[string]any)
	for _, name := range []string{"store", "keys", "key_encryption_keys"} {
		if value, set := mine[name]; set {
			theirs[name] = value
		}
	}
	return config
}

func (p *nodeProcess) start(t *testing.T, dir string) {
	t.Helper()
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "run", "--config", filepath.Join(dir, "caddy.json")) //nolint:gosec // the test itself
	p.cmd.Env = append(os.Environ(), asCaddy+"=1", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = log, log, 20*time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer func() { _ = log.Close() }()
		if !p.killed {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("the node: %v", err)
			}
		}
		text, err := os.ReadFile(p.log)
		if err != nil || bytes.Contains(text, []byte("panic")) || p.seen.in(string(text)) != "" {
			t.Errorf("the log of a node: %v, a panic, or %s", err, p.seen.in(string(text)))
		}
	})
}

// kill is kill -9.
func (p *nodeProcess) kill() {
	p.t.Helper()
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// at is the vault at another node.
func (n *nodes) at(w *world) *vault {
	v := *n.vault
	v.world = w
	return &v
}

// worlds are the three nodes.
func (n *nodes) worlds() []*world { return []*world{n.world, n.b.world, n.c.world} }

// attempt sends a form, or a GET with a token, and says when nobody answers. What is
// sent in thousands is not searched for in the logs: the same kinds are, from elsewhere.
func (w *world) attempt(t *testing.T, target, rpt string, form map[string]string) (answer, error) {
	t.Helper()
	method, values := http.MethodGet, url.Values{}
	for name, value := range form {
		method = http.MethodPost
		values.Set(name, value)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, target, strings.NewReader(values.Encode()))
	if err != nil {
		return answer{}, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if rpt != "" {
		r.Header.Set("Authorization", "Bearer "+rpt)
	}
	res, err := w.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(data)}
	_ = json.Unmarshal(data, &a.body)
	return a, err
}
