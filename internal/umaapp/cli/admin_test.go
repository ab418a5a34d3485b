package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeAdmin is an admin API that answers "METHOD URI" and remembers the last
// request.
type fakeAdmin struct {
	address string
	answers map[string]string // a leading number is the status
	asked   string
	body    string
}

func newAdmin(t *testing.T, answers map[string]string) *fakeAdmin {
	t.Helper()
	a := &fakeAdmin{answers: answers}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.address = s.Listener.Addr().String()
	return a
}

func (a *fakeAdmin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.asked, a.body = r.Method+" "+r.RequestURI, string(body)
	answer, ok := a.answers[a.asked]
	switch number, text, _ := strings.Cut(answer, " "); {
	case !ok:
		http.NotFound(w, r)
	case number == "503" || number == "400" || number == "404" || number == "403" || number == "409":
		status := map[string]int{"503": 503, "400": 400, "404": 404, "403": 403, "409": 409}[number]
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	default:
		_, _ = io.WriteString(w, answer)
	}
}

// golden compares with testdata/NAME; with UMA_UPDATE set it writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UMA_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

const (
	firstPage = `{"domains":[{"domain":"bob.example","delegated":true,"addresses":3,"issuers":[
		{"issuer":"https://bob.example","known":true,"evidence":"webfinger","first_seen":"2026-01-02T03:04:05Z","last_seen":"2026-03-04T05:06:07Z","keys":["k"]},
		{"issuer":"https://other.example","evidence":"webfinger","first_seen":"2026-02-02T03:04:05Z","last_seen":"2026-02-02T03:04:05Z"}],
		"doubt":{"issuer":"https://other.example","kind":"address","outcome":"denied","at":"2026-02-02T03:04:05Z"}}],"next":"bob.example"}`
	secondPage = `{"domains":[{"domain":"carol.example","addresses":1000,"more_addresses":true,"issuers":[
		{"issuer":"https://carol.example/\u001b[31m\u202e","known":true,"evidence":"accepted"}],
		"doubt":{"issuer":"https://x.example/$(id)'","kind":"domain","outcome":"warn","at":"2026-02-02T03:04:05Z"}}]}`
	accepted = `{"domain":"bob.example","addresses":1,"issuers":[{"issuer":"https://old.example"},{"issuer":"https://new.example","known":true}]}`
)

func TestDomainsList(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/domains?after=":            firstPage,
		"GET /uma/show/as/domains?after=bob.example": secondPage,
	})
	code, stdout, stderr := caddyUMA(t, "", "", "domains", "list", "--address", a.address)
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "domains_list.txt", stdout)
	code, stdout, _ = caddyUMA(t, "", "", "domains", "list", "--json", "--address", a.address)
	var got struct {
		Domains []struct {
			Domain  string
			Issuers []struct{ Keys []string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || len(got.Domains) != 2 || got.Domains[0].Issuers[0].Keys[0] != "k" {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
}

func TestDomainsChanges(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"POST /uma/change/as/domains/accept":                               accepted,
		"POST /uma/change/as/domains/accept?issuer=https%3A%2F%2Fas.carol": accepted,
		"POST /uma/change/as/domains/forget":                               `{"domain":"bob.example","addresses":7}`,
	})
	for _, tc := range []struct {
		name   string
		args   []string
		asked  string
		body   string
		stdout string
	}{
		{"accept", []string{"accept", "bob.example"}, "POST /uma/change/as/domains/accept", `{"domain":"bob.example"}`, "https://new.example is the known issuer of bob.example now.\n"},
		{
			"accept an issuer",
			[]string{"accept", "bob.example", "https://new.example"},
			"POST /uma/change/as/domains/accept", `{"domain":"bob.example","issuer":"https://new.example"}`, "https://new.example is the known issuer of bob.example now.\n",
		},
		{
			"of one of several",
			[]string{"accept", "--issuer", "https://as.carol", "bob.example"},
			"POST /uma/change/as/domains/accept?issuer=https%3A%2F%2Fas.carol", `{"domain":"bob.example"}`, "https://new.example is the known issuer of bob.example now.\n",
		},
		{"forget", []string{"forget", "bob.example"}, "POST /uma/change/as/domains/forget", `{"domain":"bob.example"}`, "bob.example is forgotten, with 7 of its addresses.\n"},
		{"as JSON", []string{"forget", "--json", "bob.example"}, "POST /uma/change/as/domains/forget", `{"domain":"bob.example"}`, "{\n  \"domain\": \"bob.example\",\n  \"addresses\": 7\n}\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := caddyUMA(t, "", "", append([]string{"domains"}, append(tc.args, "--address", a.address)...)...)
			if code != 0 || stdout != tc.stdout || a.asked != tc.asked || a.body != tc.body {
				t.Errorf("exit %d, %q, %q; asked %s %s", code, stdout, stderr, a.asked, a.body)
			}
		})
	}
}

// Exit codes: 1 refused or not found, 2 usage, 3 unreachable.
func TestAdminErrors(t *testing.T) {
	const list = "GET /uma/show/as/domains?after="
	for _, tc := range []struct {
		name, answer string
		args         []string
		code         int
		stderr       string
	}{
		{"no uma_server", `404 {"error":"the running configuration has no uma_server"}`, nil, 1, "has no uma_server"},
		{"engine says", `404 {"error":"not_found","error_description":"nobody of this domain was let in yet"}`, nil, 1, "caddy uma: nobody of this domain was let in yet\n"},
		{"control characters", `409 {"error":"\u001b[2Jx\u202e"}`, nil, 1, "caddy uma: [2Jx\n"},
		{"several", `400 {"error":"several uma_server run here: say which with issuer=, one of a, b"}`, nil, 2, "say which with --issuer, one of a, b"},
		{"a Caddy without us", "404 404 page not found", nil, 1, "has no such command"},
		{"not permitted", "403 no", nil, 1, "does not permit"},
		{"store down", `503 {"error":"temporarily_unavailable","error_description":"try again later"}`, nil, 3, "again in a minute"},
		{"not JSON", "<html>", nil, 3, "is not whole"},
		{"another JSON", `{"domains":7}`, nil, 3, "is not understood"},
		{"empty", `{"domains":[]}`, nil, 0, "Nobody was let in yet"},
		{"nobody listens", "", []string{"--address", "127.0.0.1:1"}, 3, "no Caddy answers at 127.0.0.1:1"},
		{"no such file", "", []string{"--address", "", "--config", "/nonexistent/Caddyfile"}, 2, "/nonexistent/Caddyfile"},
		{"an argument", "", []string{"bob.example"}, 2, "takes no arguments"},
		{"unknown flag", "", []string{"--nope"}, 2, "unknown flag"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAdmin(t, map[string]string{list: tc.answer})
			code, stdout, stderr := caddyUMA(t, "", "", append([]string{"domains", "list", "--address", a.address}, tc.args...)...)
			if code != tc.code || stdout != "" || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit %d, %q, %q; want %d, %q", code, stdout, stderr, tc.code, tc.stderr)
			}
		})
	}
	for _, args := range [][]string{{"domains", "nonsense"}, {"domains", "accept"}, {"domains", "accept", "a", "b", "c"}, {"domains", "forget"}, {"domains", "forget", "a", "b"}} {
		if code, _, stderr := caddyUMA(t, "", "", args...); code != 2 {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}

// The admin address stands in the configuration file.
func TestAdminAddressOfConfig(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /uma/show/as/domains?after=": `{"domains":[]}`})
	config := file(t, "caddy.json", `{"admin":{"listen":"`+a.address+`"}}`)
	if code, _, stderr := caddyUMA(t, "", "", "domains", "list", "--config", config); code != 0 || a.asked == "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

const explained = `{"decision_id":"d-1","at":"2026-02-02T03:04:05Z","outcome":"denied","reason":"no policy allows it, or not all of it","policy":"readers",
	"policy_revision":"r1","current_revision":"r2","client_id":"app","resource_server":"api","owner":"alice","evidence":"webfinger",
	"person":{"iss":"https://bob.example","sub":"bob-1\u001b]0;x\u0007","email":"bob@bob.example"},
	"notes":["the policies have changed since"],
	"resources":[{"resource_id":"res-1","name":"RS API\u202e","type":"photo","scopes":[{"scope":"get","allowed":true,"policy":"readers"},{"scope":"post","allowed":false,"shadow":"strict would deny 'post'"},{"scope":"put","allowed":false,"policy":"nobody"}],
	"policies":[{"name":"readers","effect":"allow","result":"matches"},{"name":"adults","effect":"allow","result":"condition is false","detail":"claims.age > 17"},{"name":"strict","effect":"shadow deny","result":"matches"}]},
	{"resource_id":"res-2","captures":{"user":"alice\u001b","id":"7"},"scopes":[{"scope":"","allowed":false}],"policies":[]}]}`

func TestExplain(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/decisions/d-1": explained,
		"GET /uma/show/as/decisions/d-2": `404 {"error":"not_found","error_description":"this decision is not kept"}`,
		"GET /uma/show/as/decisions/d-3": `{"outcome":"granted","client_id":"app","resource_server":"api","policy":"readers","person":{}}`,
		"POST /uma/show/as/explain":      explained,
	})
	claims := file(t, "claims.json", `{"iss":"https://bob.example","email":"bob@bob.example"}`)
	list := file(t, "list.json", `[1]`)
	dry := []string{"--claims", claims, "--resource-server", "api", "--resource", "RS API"}
	for _, tc := range []struct {
		name, stdin string
		args        []string
		code        int
		stderr      string
		golden      string
		body        string
	}{
		{name: "a decision", args: []string{"d-1"}, golden: "explain_decision.txt"},
		{name: "little is known", args: []string{"d-3"}, golden: "explain_little.txt"},
		{name: "as JSON", args: []string{"--json", "d-1"}, golden: "explain_decision.json"},
		{name: "not kept", args: []string{"d-2"}, code: 1, stderr: "this decision is not kept"},
		{
			name: "dry run", args: append(dry, "--scope", "get", "--scope", "post"), golden: "explain_decision.txt",
			body: `{"claims":{"iss":"https://bob.example","email":"bob@bob.example"},"client_id":"caddy-uma","resource":"RS API","resource_server":"api","scopes":["get","post"]}`,
		},
		{
			name: "dry run of a client, claims from stdin", stdin: `{"email":"b@b.example"}`, args: []string{"--claims", "-", "--resource-server", "api", "--resource", "RS API", "--client", "web"},
			golden: "explain_decision.txt", body: `{"claims":{"email":"b@b.example"},"client_id":"web","resource":"RS API","resource_server":"api","scopes":[]}`,
		},
		{
			name: "dry run of an instance", args: append(dry, "--capture", "user=alice", "--capture", "id=a=b", "--owner", "alice"), golden: "explain_decision.txt",
			body: `{"captures":{"id":"a=b","user":"alice"},"claims":{"iss":"https://bob.example","email":"bob@bob.example"},"client_id":"caddy-uma","owner":"alice","resource":"RS API","resource_server":"api","scopes":[]}`,
		},
		{name: "a capture without a value", args: append(dry, "--capture", "user"), code: 2, stderr: "--capture takes NAME=VALUE"},
		{name: "a capture twice", args: append(dry, "--capture", "user=a", "--capture", "user=b"), code: 2, stderr: "once for each name"},
		{name: "a decision and a capture", args: []string{"d-1", "--capture", "user=a"}, code: 2, stderr: "takes either"},
		{name: "nothing", code: 2, stderr: "needs the id of a decision"},
		{name: "both", args: append(dry, "d-1"), code: 2, stderr: "takes either"},
		{name: "no resource", args: dry[:4], code: 2, stderr: "belong together"},
		{name: "claims are a list", args: append([]string{"--claims", list}, dry[2:]...), code: 2, stderr: "must hold a JSON object"},
		{name: "no such file", args: append([]string{"--claims", claims + "x"}, dry[2:]...), code: 2, stderr: "no such file"},
		{name: "two decisions", args: []string{"d-1", "d-2"}, code: 2, stderr: "takes the id of a decision"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.body = ""
			code, stdout, stderr := caddyUMA(t, tc.stdin, "", append([]string{"explain", "--address", a.address}, tc.args...)...)
			if code != tc.code || !strings.Contains(stderr, tc.stderr) || a.body != tc.body {
				t.Fatalf("exit %d, %q; body %s", code, stderr, a.body)
			}
			if tc.golden != "" {
				golden(t, tc.golden, stdout)
			} else if stdout != "" {
				t.Errorf("stdout %q", stdout)
			}
		})
	}
}
