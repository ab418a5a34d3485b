package integration_test

import (
	"bytes"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// asWritten runs an example under the names that stand in it: only files, addresses
// of backends and what a test adds are other ones.
type asWritten struct {
	file  string
	names map[string]string // of hosts, for the helpers: as, api, bob
	sites string            // further sites
	pairs []string          // replaced in the example
}

// optionsOfTests lead every host of an example to this Caddy, with certificates of
// its own CA.
func (w *world) optionsOfTests(hosts []string) string {
	options := "\tskip_install_trust\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n\tlocal_certs\n\thttps_port " + w.port +
		"\n\tuma {\n\t\ttrust_internal_ca\n"
	for _, host := range hosts {
		options += "\t\tconnect_to " + host + ":443 127.0.0.1:" + w.port + "\n"
	}
	return options + "\t}\n"
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
}

func (w *world) runExample(e asWritten) {
	w.t.Helper()
	text := strings.NewReplacer(e.pairs...).Replace(w.withFiles(readText(w.t, "../examples/"+e.file)))
	options := ""
	if block, rest, found := strings.Cut("\n"+text, "\n{\n"); found {
		own, after, _ := strings.Cut(rest, "\n}\n")
		options, text = own+"\n", block+"\n"+after
	}
	w.names = e.names
	hosts := slices.Compact(slices.Sorted(maps.Values(e.names)))
	w.adapt("{\n" + w.optionsOfTests(hosts) + options + "}\n" + text + "\n" + e.sites)
	w.t.Cleanup(w.searchLog)
	lendCertificates(w.t, filepath.Join(w.dir, "storage"))
	w.reload()
	w.t.Cleanup(w.stop)
	w.client = w.newClient()
	for _, host := range hosts {
		w.awaitSite(host)
	}
}

// fileOf finds placeholders of files, and folders of logs.
var (
	fileOf = regexp.MustCompile(`\{file\./[^}]*/([^/}]+)\}`)
	logsOf = regexp.MustCompile(`/var/log/caddy`)
)

// withFiles makes a secret for each file that an example names.
func (w *world) withFiles(text string) string {
	w.t.Helper()
	for _, m := range fileOf.FindAllStringSubmatch(text, -1) {
		secret := "a-secret-of-the-file-" + m[1] + "-0123456789-0123456789"
		if m[1] == "alice.hash" {
			secret = demoHash(w.t)
		}
		write(w.t, w.dir, m[1], secret+"\n")
	}
	text = fileOf.ReplaceAllString(text, "{file."+w.dir+"/$1}")
	return logsOf.ReplaceAllString(text, w.dir)
}

// TestExamples: every example is formatted, adapts without a warning, and is run by
// a test of this package.
func TestExamples(t *testing.T) {
	var tests []byte
	for _, file := range glob(t, "*_test.go") {
		tests = append(tests, readText(t, file)...)
	}
	files := slices.Concat(glob(t, "../examples/*.Caddyfile"), glob(t, "../examples/*/*.caddy"))
	if len(files) < 8 {
		t.Fatalf("only %d examples found", len(files))
	}
	for _, file := range files {
		text := []byte(readText(t, file))
		if !bytes.Equal(caddyfile.Format(text), text) {
			t.Errorf("%s is not formatted: caddy fmt --overwrite %s", file, file)
		}
		if strings.HasSuffix(file, ".caddy") {
			continue // a part of a site
		}
		_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": file})
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", file, warnings, err)
		}
		if name := filepath.Base(file); !bytes.Contains(tests, []byte(`"`+name+`"`)) && !bytes.Contains(tests, []byte("examples/"+name+`"`)) {
			t.Errorf("no test runs %s", file)
		}
		if !strings.HasPrefix(string(text), "# ") || !strings.Contains(string(text), "# Change:\n") {
			t.Errorf("%s does not begin with what it is and what to change", file)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// presents gets a ticket of a URL and shows a claims token of a partner for it; aud
// is whom the token is made for.
func (w *world) presents(p *partner, method, url, aud string, edits map[string]any, more ...func(*http.Request)) answer {
	w.t.Helper()
	ticket := w.ticketAt(method, url)
	claims := map[string]any{"aud": aud}
	maps.Copy(claims, edits)
	return w.redeem(ticket, p.token(w, ticket, claims), nil, more...)
}

// ticketAt asks a URL without a token.
func (w *world) ticketAt(method, url string) string {
	w.t.Helper()
	a := w.request(method, url, "", nil)
	challenges, err := oauth.ParseChallenges(a.header.Values("WWW-Authenticate"))
	if err != nil || a.status != http.StatusUnauthorized || len(challenges) == 0 || challenges[0].Scheme != "UMA" {
		w.t.Fatalf("%s %s: %d %v %s", method, url, a.status, a.header, a.text)
	}
	return challenges[0].Get("ticket")
}

// TestExample_Backend: what is public is public, the rest wants a permission, reading
// and writing are two, and the backend hears who asks.
func TestExample_Backend(t *testing.T) {
	t.Setenv("API_SECRET", "a-secret-of-the-example-0123456789-0123456789")
	bob := newPartner(t, "bob.example")
	w := newWorld(t)
	w.runExample(asWritten{
		file: "backend.Caddyfile", names: map[string]string{"api": "api.alice.example", "as": "as.alice.example"},
		pairs: []string{"127.0.0.1:9000", w.backend()},
		sites: `as.alice.example {
	uma_server https://as.alice.example {
		resource_server api https://api.alice.example {env.API_SECRET} {
			release email
		}
		policy readers {
			scopes get
			from bob.example
		}
		` + bob.entry(t, "") + `
	}
}
`,
	})
	for _, path := range []string{"/health", "/assets/logo.svg"} {
		if a := w.get(w.url("api", path), nil); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	w.hits.Store(0)
	rpt := w.presents(bob, http.MethodGet, w.url("api", "/photos"), w.url("api", ""), nil).get("access_token")
	if w.hits.Load() != 0 {
		t.Error("the backend was reached without an RPT")
	}
	header := bearer(rpt)
	header.Set("Remote-User", "mallory@bob.example")
	a := w.get(w.url("api", "/photos"), header)
	seen, _ := a.body["header"].(map[string]any)
	if users, _ := seen["Remote-User"].([]any); a.status != http.StatusOK || len(users) != 1 || users[0] != "carol@bob.example" {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := w.request(http.MethodPost, w.url("api", "/photos"), "x", bearer(rpt)); a.status != http.StatusUnauthorized {
		t.Errorf("an RPT for reading writes: %d %s", a.status, a.text)
	}
	if a := w.presents(bob, http.MethodPost, w.url("api", "/photos"), w.url("api", ""), nil); a.get("error") != "request_denied" {
		t.Errorf("the scope use, which no policy grants: %d %s", a.status, a.text)
	}
}

// TestExample_Server: each policy of the example lets in whom its comment says.
func TestExample_Server(t *testing.T) {
	partners := map[string]*partner{}
	entries := ""
	for _, domain := range []string{"bob.example", "audit.example", "supplier.example", "contractor.example"} {
		partners[domain] = newPartner(t, domain)
		if domain != "contractor.example" { // it has an entry in the example
			entries += partners[domain].entry(t, "")
		}
	}
	contractor := partners["contractor.example"].entry(t, "\t\t\twebfinger off\n")
	w := newWorld(t)
	backend := "\treverse_proxy " + w.backend() + "\n}\n"
	rs := func(host, id, more string) string {
		return host + ".alice.example {\n\tuma_protect https://as.alice.example {\n\t\tclient_id " + id + "\n\t\tclient_secret {file." + w.dir + "/" + id + "}\n" +
			more + "\t}\n" + backend
	}
	w.runExample(asWritten{
		file:  "server.Caddyfile",
		names: map[string]string{"as": "as.alice.example", "photos": "photos.alice.example", "ledger": "ledger.alice.example", "api": "ledger.alice.example", "ci": "ci.alice.example"},
		pairs: []string{"\t\temail_domain contractor.example https://sso.contractor.example {\n\t\t\twebfinger off\n\t\t}\n", "\t\trate_limit token off\n\t\t" + entries + contractor + "\n"},
		sites: rs("photos", "photos", "") + rs("ledger", "ledger", "\t\tscope get\n\t\tscope use *\n") +
			rs("ci", "builds", "\t\tresource_uri https://ci.alice.example/api\n\t\tresource nightly /api/nightly {\n\t\t\ttype https://alice.example/types/pipeline\n\t\t}\n\t\tresource other /api/*\n"),
	})
	photos, ledger, ci := w.url("photos", ""), w.url("ledger", ""), w.url("ci", "/api")
	auditor := map[string]any{"groups": []string{"auditor"}}
	signer := w.prover()
	for name, tc := range map[string]struct {
		who, method, url, aud string
		claims                map[string]any
		dpop                  bool
		opens                 bool
	}{
		"carol of the family":              {who: "carol@carol.example", url: photos, aud: photos},
		"bob of the family":                {who: "bob@bob.example", url: photos, aud: photos, opens: true},
		"somebody else of bob.example":     {who: "eve@bob.example", url: photos, aud: photos},
		"an auditor":                       {who: "ann@audit.example", url: ledger, aud: ledger, claims: auditor, dpop: true, opens: true},
		"an auditor without a proof":       {who: "ann@audit.example", url: ledger, aud: ledger, claims: auditor},
		"an auditor who writes":            {who: "ann@audit.example", method: http.MethodPost, url: ledger, aud: ledger, claims: auditor, dpop: true},
		"of audit.example, no auditor":     {who: "ann@audit.example", url: ledger, aud: ledger, dpop: true},
		"a supplier, on trial":             {who: "sue@supplier.example", url: ledger, aud: ledger},
		"a contractor at the pipeline":     {who: "joe@contractor.example", url: ci + "/nightly", aud: ci, opens: true},
		"a contractor at something else":   {who: "joe@contractor.example", url: ci + "/x", aud: ci},
		"a contractor who has left":        {who: "mallory@contractor.example", url: ci + "/nightly", aud: ci},
		"a token for the photos elsewhere": {who: "bob@bob.example", url: photos, aud: ledger},
	} {
		t.Run(name, func(t *testing.T) {
			_, domain, _ := strings.Cut(tc.who, "@")
			p := partners[domain]
			if p == nil { // carol.example publishes nothing here
				p = partners["bob.example"]
			}
			claims := map[string]any{"email": tc.who, "sub": tc.who}
			maps.Copy(claims, tc.claims)
			method := http.MethodGet
			if tc.method != "" {
				method = tc.method
			}
			var more []func(*http.Request)
			if tc.dpop {
				more = append(more, w.proof(signer, ""))
			}
			a := w.presents(p, method, tc.url, tc.aud, claims, more...)
			if !tc.opens {
				if a.get("access_token") != "" || a.status == http.StatusServiceUnavailable {
					t.Errorf("%d %s", a.status, a.text)
				}
				return
			}
			ask := func() answer { return w.get(tc.url, bearer(a.get("access_token"))) }
			if tc.dpop {
				ask = func() answer { return w.bound(signer, a.get("access_token"))(method, "/") }
			}
			if ok := ask(); a.status != http.StatusOK || ok.status != http.StatusOK {
				t.Errorf("%d %s, then %d %s", a.status, a.text, ok.status, ok.text)
			}
		})
	}
}

// TestExample_Home: all three roles in one Caddy. Alice lives here and has an account,
// Bob is a friend whose own organisation vouches for him.
func TestExample_Home(t *testing.T) {
	bob := newPartner(t, "bob.example")
	w := newWorld(t)
	backend := w.backend()
	w.runExample(asWritten{
		file: "home.Caddyfile", names: map[string]string{"bob": "home.example", "as": "as.home.example", "api": "photos.home.example", "docs": "docs.home.example"},
		pairs: []string{"127.0.0.1:2283", backend, "127.0.0.1:8080", backend, "\t\tpolicy family {", "\t\t" + bob.entry(t, "") + "policy family {"},
	})
	access := w.login("alice@home.example", "bob-demo")
	for _, app := range []string{"api", "docs"} {
		ticket := w.ticketAt(http.MethodPut, w.url(app, "/album"))
		rpt := w.redeem(ticket, w.claimsToken(access, w.url(app, ""), ticket), nil)
		a := w.request(http.MethodPut, w.url(app, "/album"), "x", bearer(rpt.get("access_token")))
		if a.status != http.StatusOK || !strings.Contains(a.text, "alice@home.example") {
			t.Errorf("alice at %s: %d %s, then %d %s", app, rpt.status, rpt.text, a.status, a.text)
		}
	}
	friend := map[string]any{"email": "bob@bob.example"}
	rpt := w.presents(bob, http.MethodGet, w.url("api", "/"), w.url("api", ""), friend)
	if a := w.get(w.url("api", "/"), bearer(rpt.get("access_token"))); a.status != http.StatusOK || !strings.Contains(a.text, "bob@bob.example") {
		t.Errorf("bob: %d %s, then %d %s", rpt.status, rpt.text, a.status, a.text)
	}
	if a := w.presents(bob, http.MethodGet, w.url("docs", "/"), w.url("docs", ""), friend); a.get("error") != "request_denied" {
		t.Errorf("bob at the documents: %d %s", a.status, a.text)
	}
	if a := w.presents(bob, http.MethodGet, w.url("api", "/"), w.url("api", ""), map[string]any{"email": "eve@bob.example", "sub": "eve"}); a.get("error") != "request_denied" {
		t.Errorf("eve: %d %s", a.status, a.text)
	}
	if a := w.get(w.url("bob", "/"), nil); a.text != "The home of home.example" {
		t.Errorf("the web site: %d %s", a.status, a.text)
	}
}

// TestExample_Docker: the image's own Caddyfile answers its health check.
func TestExample_Docker(t *testing.T) {
	text := readText(t, "../examples/docker/Caddyfile")
	if !bytes.Equal(caddyfile.Format([]byte(text)), []byte(text)) {
		t.Error("it is not formatted")
	}
	w := newWorld(t)
	w.adapt(strings.ReplaceAll(text, ":8081", ":"+w.port))
	w.reload()
	t.Cleanup(w.stop)
	awaitHealth(t, "http://127.0.0.1:"+w.port+"/")
}

// snippet finds Caddyfiles in documents.
var snippet = regexp.MustCompile("(?ms)^```caddyfile\n(.*?)^```$")

// TestSnippets: what stands in a document as a Caddyfile is one, and is formatted.
func TestSnippets(t *testing.T) {
	seen := 0
	for _, file := range slices.Concat(glob(t, "../*.md"), glob(t, "../docs/*.md"), glob(t, "../examples/*.md"), glob(t, "../examples/*/*.md")) {
		for _, m := range snippet.FindAllStringSubmatch(readText(t, file), -1) {
			seen++
			text := []byte(m[1])
			if !strings.HasPrefix(m[1], "\t") && !bytes.Equal(caddyfile.Format(text), text) {
				t.Errorf("%s: not formatted:\n%s", file, text)
			}
			adaptSnippet(t, file, m[1])
		}
	}
	if seen < 4 {
		t.Errorf("only %d snippets found", seen)
	}
}

// adaptSnippet: some are lines of a site, or of a uma_sts.
func adaptSnippet(t *testing.T, file, text string) {
	t.Helper()
	switch {
	case strings.HasPrefix(text, "\t\t"):
		text = "x.example {\n\tuma_sts https://x.example {\n\t\temail_domain x.example\n" + text + "\t}\n}\n"
	case strings.HasPrefix(text, "uma_"):
		text = "x.example {\n" + text + "}\n"
	}
	if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": file}); err != nil {
		t.Errorf("%s: %v\n%s", file, err, text)
	}
}
