package umaapp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// umaServers is an app of the tests that registers authorization servers, as
// the directive uma_server does.
type umaServers struct {
	Issuers []string `json:"issuers"`
	Label   string   `json:"label"`
	// STS are security token services; one that ends with ! has no users of its own.
	STS []string `json:"sts"`
	// Clients are those of resource servers; one that ends with ! cannot compare.
	Clients []string `json:"clients"`
}

// registerServers is once: a module cannot be registered twice.
var registerServers = sync.OnceFunc(func() { caddy.RegisterModule(new(umaServers)) })

func (*umaServers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma_test_servers", New: func() caddy.Module { return new(umaServers) }}
}

func (u *umaServers) Provision(ctx caddy.Context) error {
	app, err := umaapp.Get(ctx)
	if err != nil {
		return err
	}
	for _, issuer := range u.Issuers {
		if _, err := app.RegisterAS(issuer, nil, echo(u.Label+" "+issuer)); err != nil {
			return err
		}
	}
	for _, issuer := range u.STS {
		if _, err := app.RegisterSTS(issuer, nil, echoSTS(u.Label+" "+issuer)); err != nil {
			return err
		}
	}
	for _, client := range u.Clients {
		app.RegisterRS("https://as.example", client, compared(client))
	}
	return nil
}

// compared is a resource server that answers with its name.
type compared string

func (c compared) ResourceDiff(context.Context) (any, error) {
	if strings.HasSuffix(string(c), "!") {
		return nil, errors.New("the authorization server is asleep")
	}
	return map[string]any{"of": c}, nil
}

func (*umaServers) Start() error { return nil }
func (*umaServers) Stop() error  { return nil }

// echo answers with its name and with what it was asked.
type echo string

func (echo) Local(string) http.Handler { return http.NotFoundHandler() }

func (e echo) Admin() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, string(e)+" "+r.Method+" "+r.URL.Path)
	})
}

// echoSTS is echo for a security token service.
type echoSTS string

func (echoSTS) ServeHTTP(http.ResponseWriter, *http.Request) {}

func (e echoSTS) Admin() http.Handler {
	if strings.HasSuffix(string(e), "!") {
		return nil
	}
	return echo(e).Admin()
}

// liveAdmin is a Caddy with an admin endpoint on a socket.
type liveAdmin struct {
	t      *testing.T
	dir    string
	socket string
	client *http.Client
}

func startAdmin(t *testing.T) *liveAdmin {
	t.Helper()
	dir, err := os.MkdirTemp("", "uma") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := &liveAdmin{t: t, dir: dir, socket: filepath.Join(dir, "admin")}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", a.socket)
		},
	}
	a.client = &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *liveAdmin) load(apps string) {
	a.t.Helper()
	body := `{"admin":{"listen":"unix/` + a.socket + `","config":{"persist":false}},"logging":{"logs":{"default":{"level":"PANIC"}}},` +
		`"storage":{"module":"file_system","root":"` + a.dir + `"},"apps":` + apps + `}`
	if err := caddy.Load([]byte(body), true); err != nil {
		a.t.Fatal(err)
	}
}

func (a *liveAdmin) ask(method, path string) (int, string) {
	a.t.Helper()
	res, err := a.do(method, path)
	for range 50 { // the endpoint of the configuration before may be closing
		if err == nil {
			break
		}
		res, err = a.do(method, path)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(data, &e) == nil && e.Error != "" {
		return res.StatusCode, e.Error
	}
	return res.StatusCode, string(data)
}

func (a *liveAdmin) do(method, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://127.0.0.1"+path, nil)
	if err != nil {
		return nil, err
	}
	return a.client.Do(r)
}

func (a *liveAdmin) want(method, path string, status int, text string) {
	a.t.Helper()
	got, answer := a.ask(method, path)
	if got != status || !strings.Contains(answer, text) {
		a.t.Errorf("%s %s: %d %q, want %d %q", method, path, got, answer, status, text)
	}
}

// The admin routes reach the authorization servers of the configuration that
// runs, and of no other.
func TestAdminAPI(t *testing.T) {
	registerServers()
	const alice, carol = "https://as.alice.example", "https://as.carol.example"
	a := startAdmin(t)

	a.load(`{"uma_test_servers":{"label":"first","issuers":["` + alice + `"]}}`)
	a.want("GET", "/uma/show/as/domains", 200, "first "+alice+" GET /show/domains")
	a.want("POST", "/uma/change/as/domains/forget", 200, "first "+alice+" POST /change/domains/forget")
	a.want("GET", "/uma/show/as/domains?issuer="+alice, 200, "first "+alice)
	a.want("GET", "/uma/show/as/domains?issuer="+carol, 404, "there is "+alice)
	a.want("POST", "/uma/show/as/%2e%2e/change/domains/forget", 404, "there is no such path")
	a.want("POST", "/uma/show/as/..%2fchange/domains/forget", 404, "there is no such path")
	a.want("POST", "/uma/show/as/domains/", 404, "there is no such path")
	a.want("GET", "/uma/domains", 404, "")
	a.want("GET", "/uma/show/domains", 404, "")

	a.load(`{"uma_test_servers":{"label":"second","issuers":["` + alice + `","` + carol + `"]}}`)
	a.want("GET", "/uma/show/as/domains", 400, alice+", "+carol)
	a.want("GET", "/uma/show/as/domains?issuer="+carol, 200, "second "+carol)
	a.want("GET", "/uma/show/as/domains?issuer="+alice, 200, "second "+alice)

	bad := `{"admin":{"listen":"unix/` + a.socket + `"},"apps":{"uma_test_servers":{"label":"third","issuers":["` + alice + `"]},"uma":{"keys":"nowhere"}}}`
	if err := caddy.Load([]byte(bad), true); err == nil {
		t.Fatal("a bad configuration was loaded")
	}
	a.want("GET", "/uma/show/as/domains?issuer="+carol, 200, "second "+carol)

	a.load(`{"uma":{}}`)
	a.want("GET", "/uma/show/as/domains", 404, "the running configuration has no uma_server")
	a.load(`{}`)
	a.want("GET", "/uma/show/as/domains", 404, "the running configuration has no uma_server")
	a.want("POST", "/uma/change/as/domains/forget?issuer="+alice, 404, "the running configuration has no uma_server")
}

// So do those of the security token services, which have paths of their own.
func TestAdminSTS(t *testing.T) {
	registerServers()
	const bob, carol = "https://id.bob.example", "https://id.carol.example!"
	a := startAdmin(t)
	a.load(`{"uma_test_servers":{"label":"first","sts":["` + bob + `"],"issuers":["https://as.example"]}}`)
	a.want("GET", "/uma/show/sts/sessions", 200, "first "+bob+" GET /show/sessions")
	a.want("POST", "/uma/change/sts/sessions/revoke", 200, "first "+bob+" POST /change/sessions/revoke")
	a.want("GET", "/uma/show/sts/sessions?issuer=https://as.example", 404, "no uma_sts has this issuer; there is "+bob)
	a.want("GET", "/uma/show/as/grants?issuer="+bob, 404, "no uma_server has this issuer")
	a.want("POST", "/uma/show/sts/%2e%2e/change/sessions/revoke", 404, "there is no such path")
	a.want("POST", "/uma/show/sts/..%2f..%2fchange/sts/sessions/revoke", 404, "there is no such path")
	a.want("POST", "/uma/show/sts/sessions/", 404, "there is no such path")
	a.load(`{"uma_test_servers":{"label":"second","sts":["` + bob + `","` + carol + `"]}}`)
	a.want("GET", "/uma/show/sts/sessions", 400, bob+", "+carol)
	a.want("GET", "/uma/show/sts/sessions?issuer="+bob, 200, "second "+bob)
	a.want("GET", "/uma/show/sts/sessions?issuer="+carol, 404, "log in at another provider")
	a.load(`{"uma":{}}`)
	a.want("GET", "/uma/show/sts/sessions", 404, "the running configuration has no uma_sts")
}

// What resource servers declare is compared for those of the configuration that
// runs, which need no authorization server here.
func TestAdminResourcesDiff(t *testing.T) {
	registerServers()
	a := startAdmin(t)
	const path = "/uma/show/rs/resources/diff"
	a.load(`{"uma_test_servers":{"clients":["b","a","c!"]}}`)
	one := func(client string) string {
		return `{"issuer":"https://as.example","client_id":"` + client + `","diff":{"of":"` + client + `"}}`
	}
	a.want("GET", path, 200, `{"resource_servers":[`+one("a")+","+one("b")+`,{"issuer":"https://as.example","client_id":"c!","error":"the authorization server is asleep"}]}`)
	a.want("GET", path+"?client_id=b", 200, `{"resource_servers":[`+one("b")+`]}`)
	a.want("GET", path+"?client_id=a&issuer=https://as.example", 200, `[`+one("a")+`]`)
	a.want("GET", path+"?client_id=a&issuer=https://other.example", 404, "no uma_protect has this issuer and client_id; there is 'a' at https://as.example, among 3")
	a.want("GET", path+"?client_id=d", 404, "no uma_protect has this")
	a.want("GET", path+"?client=b", 400, "a parameter that is not known")
	a.want("POST", path, 405, "this path takes GET")
	a.want("GET", "/uma/change/rs/resources/diff", 404, "")
	a.want("GET", "/uma/show/as/resources", 404, "the running configuration has no uma_server")
	a.load(`{"uma":{}}`)
	a.want("GET", path, 404, "the running configuration has no uma_protect")
	a.load(`{}`)
	a.want("GET", path, 404, "the running configuration has no uma_protect")
}
