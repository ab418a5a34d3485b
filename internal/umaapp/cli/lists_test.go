package cli

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestMain sets where the administrator is, before anybody reads the clock.
func TestMain(m *testing.M) {
	time.Local = time.FixedZone("there", 2*60*60) //nolint:gosmopolitan // it is what is set
	os.Exit(m.Run())
}

const (
	aGrant    = "kJ3nC0gq7Yd2mQ4TtX8v1A"
	aDecision = "dJ3nC0gq7Yd2mQ4TtX8v1Q"
	aResource = "rJ3nC0gq7Yd2mQ4TtX8v1g"
	aSession  = "sJ3nC0gq7Yd2mQ4TtX8v1A-sJ3nC0gq7Yd2mQ4TtX8v"

	grantEntry = `{"grant_id":"` + aGrant + `","state":"live","client_id":"https://client.example/\u202ea/very/long/name/of/a/client","resource_server":"api","owner":"alice",
		"sub":"u-1","policy":"readers","decision_id":"` + aDecision + `","issued_at":"2026-01-02T23:04:05Z","expires_at":"2026-03-04T05:06:07Z",
		"permissions":[{"resource_id":"` + aResource + `","resource_scopes":["get","post"]}],"rpts":1,"refresh_token":true}`
	endedEntry = `{"grant_id":"eJ3nC0gq7Yd2mQ4TtX8v1A","state":"ended","ended_because":"revoked by the administrator","client_id":"app","resource_server":"photos\u001b[31m","owner":"photos",
		"sub":"u-2","decision_id":"d","expires_at":"2026-03-04T05:06:07Z","permissions":[],"rpts":0,"refresh_token":false}`
	grantDetails = `{"grant_id":"` + aGrant + `","state":"ended","ended_because":"upgraded","client_id":"app","resource_server":"api","owner":"alice","sub":"u-1","policy":"readers",
		"policy_revision":"r1","decision_id":"` + aDecision + `","issued_at":"2026-01-02T23:04:05Z","expires_at":"2026-03-04T05:06:07Z","refresh_ends_at":"2026-03-04T05:06:07Z",
		"bound_by":"dpop","pct":true,"replaced_by":"eJ3nC0gq7Yd2mQ4TtX8v1A","rpts":1,"refresh_token":true,
		"permissions":[{"resource_id":"` + aResource + `","resource_scopes":["get","post"],"name":"RS\u001b]0;x\u0007 API"},{"resource_id":"x","resource_scopes":[],"gone":true}],
		"live_rpts":[{"jti":"` + aGrant + `.7","issued_at":"2026-01-02T23:04:05Z","expires_at":"2026-01-02T23:09:05Z","scopes":["get"]}]}`
)

// Each list and each view, as a table.
func TestLists(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/grants?limit=100":                     `{"grants":[` + grantEntry + `],"next":"` + aGrant + `"}`,
		"GET /uma/show/as/grants?all=true&limit=100":            `{"grants":[` + grantEntry + `,` + endedEntry + `],"unreadable":2}`,
		"GET /uma/show/as/grants?after=" + aGrant + "&limit=99": `{"grants":[]}`,
		"GET /uma/show/as/grants/" + aGrant:                     grantDetails,
		"GET /uma/show/as/clients?limit=100": `{"clients":[{"client_id":"app","source":"configured","public":true},{"client_id":"gone","source":"configured","disabled":true,"public":false},
			{"client_id":"c-1","source":"registered","client_name":"Bad\u202e\u001b[2J\nname","registered_at":"2026-01-02T23:04:05Z","public":false},
			{"client_id":"https://c.example/id","source":"document","public":true}]}`,
		"GET /uma/show/as/client?client_id=c-1": `{"client_id":"c-1","source":"registered","client_name":"Name","registered_at":"2026-01-02T23:04:05Z","public":false,"token_endpoint_auth_method":"private_key_jwt",
			"grant_types":["a","b"],"scopes":["s"],"dpop_bound_access_tokens":true,"contacts":["x@y.example"],"client_uri":"https://c.example","jwks_uri":"https://c.example/keys","grants":5000,"more_grants":true}`,
		"GET /uma/show/as/resource-servers?limit=100": `{"resource_servers":[{"client_id":"api","resource_uri":"https://api.example","audience":"https://api.example","owner":"api","local":true,"resources":5000,"more_resources":true,"grants":3,"pats":1,"last_pat_at":"2026-01-02T23:04:05Z"},
			{"client_id":"photos","resource_uri":"https://photos.example","audience":"Photos","owner":"*","local":false,"resources":0,"grants":0,"pats":0}]}`,
		"GET /uma/show/as/resource-server?client_id=photos": `{"client_id":"photos","resource_uri":"https://photos.example","audience":"Photos","owner":"*","opaque_rpts":true,"require":"dpop","release":["name"],"resources":0,"grants":0,"pats":0}`,
		"GET /uma/show/as/resources/" + aResource:           `{"resource_id":"` + aResource + `","resource_server":"api","owner":"alice","name":"photo","type":"urn:t","scopes":["get"],"captures":["user","id"],"max_instances":10000,"instances":2,"grants":1}`,
		"GET /uma/show/as/resources/" + aSession:            `{"resource_id":"` + aSession + `","resource_server":"api","owner":"alice","name":"photo","scopes":["get"],"pattern":"` + aResource + `","values":{"user":"alice","id":"7\u001b"},"grants":1}`,
		"GET /uma/show/as/decisions?limit=100&outcome=denied": `{"decisions":[{"decision_id":"` + aDecision + `","at":"2026-01-02T23:04:05Z","outcome":"denied","policy":"nobody","client_id":"app","resource_server":"api"},
			{"decision_id":"eJ3nC0gq7Yd2mQ4TtX8v1A","at":"2026-01-02T22:04:05Z","outcome":"denied","client_id":"app","resource_server":"api"}]}`,
		"GET /uma/show/sts/sessions?limit=100": `{"sessions":[{"session_id":"` + aSession + `","kind":"browser","user":"bob@bob.example","counts":true,"logged_in_at":"2026-01-02T23:04:05Z","expires_at":"2026-01-03T11:04:05Z","client_ids":["app"]},
			{"session_id":"` + aSession + `","kind":"application","user":"eve@bob.example","counts":false,"logged_in_at":"2026-01-02T23:04:05Z","expires_at":"2026-01-03T11:04:05Z","client_ids":["app"]}]}`,
		"GET /uma/show/sts/sessions/" + aSession: `{"session_id":"` + aSession + `","kind":"application","user":"eve@bob.example","counts":false,"logged_in_at":"2026-01-02T23:04:05Z","expires_at":"2026-01-03T11:04:05Z","client_ids":["app"],"scope":"openid","refresh_token":true}`,
		"POST /uma/show/sts/sessions/search": `{"sessions":[{"session_id":"` + aSession + `","kind":"browser","user":"bob@bob.example","counts":true,"logged_in_at":"2026-01-02T23:04:05Z","expires_at":"2026-01-03T11:04:05Z","client_ids":[]}],
			"consents":[{"client_id":"app","target":"https://api.example","claims":["groups","name"],"given_at":"2026-01-02T23:04:05Z"}]}`,
	})
	for _, tc := range []struct{ name, args, stderr string }{
		{"grants", "grants list", ""},
		{"grants_all", "grants list --all", "2 cannot be read: a newer program wrote them.\n"},
		{"grant", "grants show " + aGrant, ""},
		{"clients", "clients list", ""},
		{"client", "clients show c-1", ""},
		{"resource_servers", "resource-servers list", ""},
		{"resource_server", "resource-servers show photos", ""},
		{"resource_pattern", "resources show " + aResource, ""},
		{"resource_instance", "resources show " + aSession, ""},
		{"decisions", "decisions list --outcome denied", ""},
		{"sessions", "sessions list", ""},
		{"session", "sessions show " + aSession, ""},
		{"session_user", "sessions show bob@bob.example", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(tc.args), "--address", a.address)...)
			if code != 0 || stderr != tc.stderr {
				t.Errorf("exit %d, %q", code, stderr)
			}
			golden(t, "list_"+tc.name+".txt", stdout)
			if strings.ContainsAny(stdout, "\x1b\u202e\a") {
				t.Errorf("it steers the terminal: %q", stdout)
			}
		})
	}
}

// A list stops where it was told, says so, and goes on from there.
func TestLists_Pages(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/grants?limit=1":               `{"grants":[` + grantEntry + `],"next":"n1"}`,
		"GET /uma/show/as/grants?after=n1&limit=2":      `{"grants":[],"next":"n2"}`, // nothing was found so far
		"GET /uma/show/as/grants?after=n2&limit=2":      `{"grants":[` + endedEntry + `],"next":"n3"}`,
		"GET /uma/show/as/grants?after=n3&limit=1":      `{"grants":[` + endedEntry + `],"next":"n 4"}`,
		"GET /uma/show/as/grants?limit=1000":            `{"grants":[` + grantEntry + `],"next":"n5"}`,
		"GET /uma/show/as/grants?after=n5&limit=1000":   `{"grants":[` + endedEntry + `],"unreadable":1}`,
		"GET /uma/show/as/grants?after=loop&limit=1000": `{"grants":[` + endedEntry + `],"next":"loop"}`,
	})
	for _, tc := range []struct {
		args    string
		entries int
		stderr  string
	}{
		{"--limit 1", 1, "There is more: --limit 0 shows all, --after n1 what follows.\n"},
		{"--limit 2 --after=n1", 2, "There is more: --limit 0 shows all, --after 'n 4' what follows.\n"},
		{"--limit 0", 2, "1 cannot be read: a newer program wrote them.\n"},
		{"--limit 0 --after loop", 1, "There is more: --limit 0 shows all, --after loop what follows.\n"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			args := append([]string{"grants", "list", "--address", a.address}, strings.Fields(tc.args)...)
			code, stdout, stderr := caddyUMA(t, "", "", args...)
			if code != 0 || strings.Count(stdout, "\n") != tc.entries+1 || stderr != tc.stderr {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
			code, stdout, stderr = caddyUMA(t, "", "", append(args, "--json")...)
			var got struct {
				Grants []map[string]any
				Next   string
			}
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || len(got.Grants) != tc.entries || (got.Next != "") != strings.Contains(tc.stderr, "more") || stderr != "" {
				t.Errorf("exit %d, %v, %q, %q", code, err, stdout, stderr)
			}
		})
	}
}

// What is asked, and what is not: a person never stands in a URL.
func TestLists_Asked(t *testing.T) {
	for _, tc := range []struct{ args, asked, body string }{
		{"grants list --client app --resource-server api --owner alice --sub u-1 --decision d --resource r --issuer https://as.carol", "GET /uma/show/as/grants?client_id=app&decision_id=d&issuer=https%3A%2F%2Fas.carol&limit=100&owner=alice&resource_id=r&resource_server=api&sub=u-1", ""},
		{"grants list --person bob@bob.example --client app --issuer https://as.carol", "POST /uma/show/as/grants/search?issuer=https%3A%2F%2Fas.carol", `{"after":"","client_id":"app","limit":100,"person":"bob@bob.example"}`},
		{"grants list --person bob.example --all --limit 5 --after x", "POST /uma/show/as/grants/search", `{"after":"x","all":true,"limit":5,"person":"bob.example"}`},
		{"decisions list --person bob@bob.example --outcome granted", "POST /uma/show/as/decisions/search", `{"after":"","limit":100,"outcome":"granted","person":"bob@bob.example"}`},
		{"sessions list --user bob@bob.example --limit 7 --issuer https://id.example", "POST /uma/show/sts/sessions/search?issuer=https%3A%2F%2Fid.example", `{"after":"","limit":7,"user":"bob@bob.example"}`},
		{"sessions show bob@bob.example", "POST /uma/show/sts/sessions/search", `{"limit":100,"user":"bob@bob.example"}`},
		{"clients show https://c.example/../x?y", "GET /uma/show/as/client?client_id=https%3A%2F%2Fc.example%2F..%2Fx%3Fy", ""},
		{"resource-servers show ../../change", "GET /uma/show/as/resource-server?client_id=..%2F..%2Fchange", ""},
		{"resources list --owner alice", "GET /uma/show/as/resources?limit=100&owner=alice", ""},
		{"decisions show " + aDecision, "GET /uma/show/as/decisions/" + aDecision, ""},
		{"grants revoke --person bob@bob.example --client app", "POST /uma/change/as/grants/revoke", `{"client_id":"app","person":"bob@bob.example"}`},
		{"grants revoke " + aGrant, "POST /uma/change/as/grants/revoke", `{"grant_id":"` + aGrant + `"}`},
		{"resources revoke " + aResource, "POST /uma/change/as/resources/revoke", `{"resource_id":"` + aResource + `"}`},
		{"clients revoke c-1", "POST /uma/change/as/clients/revoke", `{"client_id":"c-1"}`},
		{"sessions revoke " + aSession, "POST /uma/change/sts/sessions/revoke", `{"session_id":"` + aSession + `"}`},
		{"sessions revoke bob@bob.example", "POST /uma/change/sts/sessions/revoke", `{"user":"bob@bob.example"}`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			a := newAdmin(t, map[string]string{tc.asked: `404 {"error":"not_found","error_description":"there is no such thing"}`})
			code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(tc.args), "--address", a.address)...)
			if code != 1 || stdout != "" || stderr != "caddy uma: there is no such thing\n" || a.asked != tc.asked || a.body != tc.body {
				t.Errorf("exit %d, %q, %q; asked %s %s", code, stdout, stderr, a.asked, a.body)
			}
		})
	}
	a := newAdmin(t, nil)
	before := time.Now().Add(-2 * time.Hour).UTC().Truncate(time.Second)
	caddyUMA(t, "", "", "decisions", "list", "--since", "2h", "--address", a.address)
	_, since, _ := strings.Cut(a.asked, "since=")
	since, _ = url.QueryUnescape(since)
	if got, err := time.Parse(time.RFC3339, since); err != nil || got.Before(before) || got.After(before.Add(time.Minute)) {
		t.Errorf("%s: %v", a.asked, err)
	}
}

func TestRevocations(t *testing.T) {
	const revoke = "POST /uma/change/as/grants/revoke"
	for _, tc := range []struct {
		name, args  string
		answers     map[string]string
		code        int
		out, errors string
	}{
		{"one", "grants revoke " + aGrant, map[string]string{revoke: `{"ended":1}`}, 0, "Ended: 1 grant.\n", ""},
		{"none", "grants revoke --client app", map[string]string{revoke: `{"ended":0}`}, 0, "Nothing ended: no live grant fits.\n", ""},
		{"JSON", "grants revoke --client app --json", map[string]string{revoke: `{"ended":7}`}, 0, "{\n  \"ended\": 7\n}\n", ""},
		{"resource", "resources revoke " + aResource, map[string]string{"POST /uma/change/as/resources/revoke": `{"ended":2}`}, 0, "Ended: 2 grants.\n", ""},
		{"client", "clients revoke c-1", map[string]string{"POST /uma/change/as/clients/revoke": `{"ended":2}`}, 0, "c-1 is not registered any more; ended: 2 grants.\n", ""},
		{"client, page by page", "clients revoke c-1", map[string]string{"POST /uma/change/as/clients/revoke": `{"ended":2,"next":"x"}`, revoke: `{"ended":3}`}, 0, "c-1 is not registered any more; ended: 5 grants.\n", ""},
		{"configured client", "clients revoke app", map[string]string{"POST /uma/change/as/clients/revoke": `409 {"error":"invalid_request","error_description":"write 'disabled'"}`}, 1, "", "write 'disabled'"},
		{"breaks off", "clients revoke c-1", map[string]string{"POST /uma/change/as/clients/revoke": `{"ended":2,"next":"x"}`, revoke: `503 {"error_description":"later"}`}, 3, "", "2 grants ended, then: the Caddy at"},
		{"sessions", "sessions revoke bob@bob.example", map[string]string{"POST /uma/change/sts/sessions/revoke": `{"browsers":1,"applications":2}`}, 0, "Ended: 1 in browsers, 2 in applications.\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAdmin(t, tc.answers)
			code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(tc.args), "--address", a.address)...)
			if code != tc.code || stdout != tc.out || !strings.Contains(stderr, tc.errors) || (stderr == "") != (tc.errors == "") {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

// Wrong words get an answer that helps, and nothing is asked.
func TestLists_Usage(t *testing.T) {
	a := newAdmin(t, nil)
	for args, want := range map[string]string{
		"grnats list":                              "did you mean 'grants'? see caddy uma --help",
		"grants lst":                               "did you mean 'list'? see caddy uma grants --help",
		"clients revok x":                          "did you mean 'revoke'?",
		"sessions nonsense":                        `there is no command "nonsense"; see caddy uma sessions --help`,
		"resource-server list":                     "did you mean 'resource-servers'?",
		"domains lst":                              "did you mean 'list'?",
		"keys rotat":                               "did you mean 'rotate'?",
		"grants \x1b[2J":                           `there is no command "\x1b[2J"`,
		"grants show":                              "takes one argument",
		"grants show ../../change/as/block":        "is not the id of a grant; see caddy uma grants list",
		"grants show ..":                           "is not the id of a grant",
		"grants revoke " + aSession:                "is not the id of a grant",
		"grants revoke":                            "say which grants are to end",
		"grants revoke --client app " + aGrant:     "either a GRANT or flags",
		"grants list --limit -1":                   "--limit is a number, 0 for all",
		"grants list --limit x":                    "invalid argument",
		"grants list " + aGrant:                    "takes no arguments",
		"resources show ..%2f":                     "is not the id of a resource",
		"resources revoke x":                       "is not the id of a resource",
		"decisions show ../x":                      "is not the id of a decision; see caddy uma decisions list",
		"explain ../x":                             "is not the id of a decision",
		"decisions list --since soon":              "write hours or days",
		"decisions list --since -1h":               "write hours or days",
		"sessions show x":                          "is not the id of a session",
		"sessions revoke " + aGrant:                "is not the id of a session",
		"clients show a b":                         "takes one argument",
		"grants show -bbcdefghijklmnopqrstu":       "stands at the end, after --: uma grants show -- -bbcdefghijklmnopqrstu",
		"grants show --bcdefghijklmnopqrstu":       "uma grants show -- --bcdefghijklmnopqrstu",
		"grants show -bcdefghijklmnopqrstu":        "unknown shorthand flag", // too short for an id
		"resource-servers show api --issuer x --y": "unknown flag",
	} {
		code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(args), "--address", a.address)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || a.asked != "" {
			t.Errorf("%s: exit %d, %q, %q, asked %s", args, code, stdout, stderr, a.asked)
		}
	}
	if code, _, stderr := caddyUMA(t, "", "", "sessions", "list", "--address", "127.0.0.1:1"); code != 3 || !strings.Contains(stderr, "no Caddy answers") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	several := newAdmin(t, map[string]string{"GET /uma/show/as/clients?limit=100": `400 {"error":"several uma_server run here: say which with issuer=, one of a, b"}`})
	if code, _, stderr := caddyUMA(t, "", "", "clients", "list", "--address", several.address); code != 2 || !strings.Contains(stderr, "say which with --issuer, one of a, b") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// A script whose variable is empty does not end more than it names, nor accept the issuer
// that came last.
func TestAdmin_Empty(t *testing.T) {
	a := newAdmin(t, nil)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"grants", "revoke", "", "--client", "app"}, "an argument of uma grants revoke is empty"},
		{[]string{"grants", "revoke", "--client", "", "--person", "bob@bob.example"}, "--client is empty"},
		{[]string{"domains", "accept", "bob.example", ""}, "an argument of uma domains accept is empty"},
		{[]string{"keys", "rotate", "--purpose", ""}, "--purpose is empty"},
		{[]string{"block", "bob@bob.example", "--for="}, "--for is empty"},
		{[]string{"clients", "revoke", ""}, "is empty"},
		{[]string{"sessions", "list", "--user", ""}, "--user is empty"},
		{[]string{"resources", "revoke", "--issuer", "", aResource}, "--issuer is empty"},
	} {
		code, stdout, stderr := caddyUMA(t, "", "", append(tc.args, "--address", a.address)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, tc.want) || a.asked != "" {
			t.Errorf("%q: exit %d, %q, %q, asked %s", tc.args, code, stdout, stderr, a.asked)
		}
	}
	a = newAdmin(t, map[string]string{"GET /uma/show/as/grants?limit=100": `{"grants":[]}`})
	if code, _, stderr := caddyUMA(t, "", "", "grants", "list", "--after", "", "--config", "", "--address", a.address); code != 0 {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// What answers with 200 and says nothing of what was done is no Caddy of ours.
func TestAdmin_SaysNothing(t *testing.T) {
	for _, answer := range []string{`{}`, `null`, `{"ok":true}`} {
		a := newAdmin(t, map[string]string{
			"POST /uma/change/as/grants/revoke": answer, "POST /uma/change/as/clients/revoke": answer, "POST /uma/change/as/block": answer,
			"POST /uma/change/as/unblock": answer, "POST /uma/change/sts/sessions/revoke": answer, "POST /uma/change/as/domains/forget": answer,
		})
		for _, args := range []string{
			"grants revoke " + aGrant, "clients revoke c-1", "block bob@bob.example", "unblock bob@bob.example",
			"sessions revoke bob@bob.example", "domains forget bob.example", "block bob@bob.example --json",
		} {
			code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(args), "--address", a.address)...)
			if code != 3 || stdout != "" || !strings.Contains(stderr, "is not understood") {
				t.Errorf("%s, %s: exit %d, %q, %q", answer, args, code, stdout, stderr)
			}
		}
	}
}

// JSON is looked at on terminals, too. It stays the same JSON.
func TestLists_JSONSteersNothing(t *testing.T) {
	const name = "Bad\u009b2J\u202e\x7f\U000e0001\ufeff name <&>é"
	entry, err := json.Marshal(map[string]any{"client_id": "c-1", "client_name": name})
	if err != nil {
		t.Fatal(err)
	}
	a := newAdmin(t, map[string]string{
		"GET /uma/show/as/clients?limit=100":    `{"clients":[` + string(entry) + `,{"client_name":"` + "\xff" + `"}]}`,
		"GET /uma/show/as/client?client_id=c-1": string(entry),
	})
	for _, args := range []string{"clients list --json", "clients show c-1 --json"} {
		code, stdout, stderr := caddyUMA(t, "", "", append(strings.Fields(args), "--address", a.address)...)
		if code != 0 || strings.ContainsAny(stdout, "\u009b\u202e\x7f\U000e0001\ufeff") || !utf8.ValidString(stdout) {
			t.Errorf("%s: exit %d, %q, %q", args, code, stdout, stderr)
		}
		var got struct {
			Clients []struct {
				Name string `json:"client_name"`
			}
			Name string `json:"client_name"`
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Name != name && got.Clients[0].Name != name {
			t.Errorf("%s: %v, %q", args, err, stdout)
		}
	}
}

// On a terminal a line stays a line: the columns that may be cut are, the ids are not.
func TestTable(t *testing.T) {
	list := &table{head: []string{"GRANT", "CLIENT", "RESOURCE SERVER", "ISSUED", "UNTIL"}, cut: []int{1, 2}}
	list.add(aGrant, "https://client.example/a/very/long/name", "the api of österreich", "2026-01-02 15:04", "2026-01-02 15:04")
	list.add(aGrant, "app", "", "2026-01-02 15:04", "")
	for width, want := range map[int]string{
		0:  "https://client.example/a/very/long/name  the api of österreich",
		80: "https://…  the api …  2026",
		90: "https://clien…  the api of ös…  2026",
		20: "https:/…  the api…  2026", // no less than this
	} {
		var out bytes.Buffer
		if err := list.printWidth(&out, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width >= 80 && n > width {
				t.Errorf("width %d: %d: %s", width, n, line)
			}
		}
		if !strings.Contains(out.String(), want) || strings.Count(out.String(), aGrant) != 2 {
			t.Errorf("width %d:\n%s", width, out.String())
		}
	}
}

// What a terminal of eighty columns has no room for goes before anything is cut; a kid
// stays whole, because a command takes it.
func TestTable_leaveOut(t *testing.T) {
	kid := strings.Repeat("k", hashLength)
	keys := keyTable([]keyRow{{Purpose: "introspection", KID: kid, Alg: "ES256", State: "verifying", RetireAfter: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)}})
	for width, want := range map[int]string{
		0:   "PURPOSE        STATE      ALG    CREATED  USED FROM  GOOD UNTIL        KID\n",
		120: "PURPOSE        STATE      ALG    CREATED  USED FROM  GOOD UNTIL        KID\n",
		110: "PURPOSE        STATE      ALG    USED FROM  GOOD UNTIL        KID\n",
		100: "PURPOSE        STATE      ALG    GOOD UNTIL        KID\n",
		80:  "PURPOSE      STATE      GOOD UNTIL   KID\n",
	} {
		var out bytes.Buffer
		if err := keys.printWidth(&out, width); err != nil {
			t.Fatal(err)
		}
		first, second, _ := strings.Cut(out.String(), "\n")
		if first+"\n" != want || !strings.Contains(second, kid) || width > 0 && utf8.RuneCountInString(second)-1 > width {
			t.Errorf("width %d:\n%s", width, out.String())
		}
	}
}
