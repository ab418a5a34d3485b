package umaapp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

const (
	alice = "https://as.alice.example"
	bob   = "https://sts.bob.example"
	kek   = "f4zM3yYHqkM7xkW0aL4c0Vd3mJpQeX1r"
)

// umaRings is an app of the tests that asks for keys, as the directives do.
type umaRings struct {
	Rings [][]string `json:"rings"` // role, issuer, purpose

	rings map[string]*jose.Ring // by purpose
}

var registerRings = sync.OnceFunc(func() { caddy.RegisterModule(new(umaRings)) })

func (*umaRings) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma_test_rings", New: func() caddy.Module { return new(umaRings) }}
}

func (u *umaRings) Provision(ctx caddy.Context) error {
	app, err := umaapp.Get(ctx)
	if err != nil {
		return err
	}
	u.rings = map[string]*jose.Ring{}
	for _, r := range u.Rings {
		if u.rings[r[2]], err = app.Ring(r[0], r[1], r[2], time.Hour); err != nil {
			return err
		}
	}
	return nil
}

func (*umaRings) Start() error { return nil }
func (*umaRings) Stop() error  { return nil }

// running is the ring of a purpose in the configuration that runs.
func running(t *testing.T, purpose string) *jose.Ring {
	t.Helper()
	app, err := caddy.ActiveContext().App("uma_test_rings")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*umaRings).rings[purpose]
}

const rings = `"uma_test_rings":{"rings":[["as","` + alice + `","rpt"],["as","` + alice + `","ticket"],["as","` + alice + `","subject"],["sts","` + bob + `","claims"]]}`

type row struct {
	Role, Issuer, Purpose, KID, Alg, State string
	NotBefore                              time.Time `json:"not_before"`
}

// post sends a body and gives status and answer.
func (a *liveAdmin) post(path, body string) (int, string) {
	a.t.Helper()
	send := func() (*http.Response, error) {
		r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, "http://127.0.0.1"+path, strings.NewReader(body))
		if err != nil {
			a.t.Fatal(err)
		}
		return a.client.Do(r)
	}
	res, err := send()
	for range 50 { // the endpoint of the configuration before may be closing
		if err == nil {
			break
		}
		a.client.CloseIdleConnections()
		res, err = send()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// keys lists the keys of a query.
func (a *liveAdmin) keys(query string) []row {
	a.t.Helper()
	status, text := a.ask("GET", "/uma/show/keys"+query)
	var answer struct{ Keys []row }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
		a.t.Fatalf("%d %s: %v", status, text, err)
	}
	return answer.Keys
}

func states(rows []row) string {
	var all []string
	for _, r := range rows {
		all = append(all, r.Purpose+" "+r.State)
	}
	return strings.Join(all, ", ")
}

func useAll(t *testing.T) {
	t.Helper()
	for _, purpose := range []string{"rpt", "claims"} {
		if _, err := running(t, purpose).Public(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, purpose := range []string{"ticket", "subject"} {
		if _, _, err := running(t, purpose).Current(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSEC_11_KeyCommands(t *testing.T) {
	registerRings()
	a := startAdmin(t)
	a.load(`{` + rings + `}`)
	if got := a.keys(""); len(got) != 0 {
		t.Errorf("keys before the first use: %v", got)
	}
	useAll(t)
	if got := states(a.keys("")); got != "rpt signing, subject signing, ticket signing, claims signing" {
		t.Errorf("keys: %s", got)
	}
	if got := a.keys("?issuer=" + bob); len(got) != 1 || got[0].Role != "sts" || got[0].Issuer != bob || got[0].Alg != "ES256" {
		t.Errorf("keys: %+v", got)
	}
	old := a.keys("?purpose=rpt")[0]

	status, text := a.post("/uma/change/keys/rotate?issuer="+alice, "")
	if status != http.StatusOK || !strings.Contains(text, `"before_use":900`) || !strings.Contains(text, `"other_nodes":80`) || strings.Contains(text, "subject") {
		t.Errorf("rotate: %d %s", status, text)
	}
	if got := states(a.keys("")); got != "rpt next, rpt signing, subject signing, ticket next, ticket signing, claims signing" {
		t.Errorf("after rotate: %s", got)
	}
	if _, text := a.post("/uma/change/keys/rotate?issuer="+alice, `{"purpose":"rpt"}`); len(a.keys("?purpose=rpt")) != 2 {
		t.Errorf("asked again: %s", text)
	}

	status, text = a.post("/uma/change/keys/retire", `{"kid":"`+old.KID+`","reason":"laptop lost"}`)
	if status != http.StatusOK || !strings.Contains(text, `"lost":"every RPT`) || !strings.Contains(text, `"key_sets":900`) {
		t.Errorf("retire: %d %s", status, text)
	}
	if got := states(a.keys("?purpose=rpt")); got != "rpt signing, rpt retired" {
		t.Errorf("after retire: %s", got)
	}
	signer, err := running(t, "rpt").Signer(t.Context())
	if err != nil || signer.KID == old.KID {
		t.Errorf("the retired key signs, %v", err)
	}
	if published, err := running(t, "rpt").Public(t.Context()); err != nil || len(published) != 1 {
		t.Errorf("published %v, %v", published, err)
	}
	a.secret()
}

// secret checks that no private key stands in an answer.
func (a *liveAdmin) secret() {
	a.t.Helper()
	_, text := a.ask("GET", "/uma/show/keys")
	files, err := filepath.Glob(filepath.Join(a.dir, "uma", "*", "*", "*", "*.json"))
	if err != nil || len(files) == 0 {
		a.t.Fatal("no key files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file) //nolint:gosec // a file of the test
		if err != nil {
			a.t.Fatal(err)
		}
		var f struct{ JWK map[string]string }
		if err := json.Unmarshal(data, &f); err != nil {
			a.t.Fatal(err)
		}
		if secret := f.JWK["d"] + f.JWK["k"]; secret == "" || strings.Contains(text, secret) {
			a.t.Errorf("%s: a private key is shown, or there is none", file)
		}
	}
}

func TestKeyCommandsRefused(t *testing.T) {
	registerRings()
	a := startAdmin(t)
	a.load(`{` + rings + `}`)
	useAll(t)
	subject := a.keys("?purpose=subject")[0].KID
	before := states(a.keys(""))
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/uma/change/keys/rotate", "", 400, "say which with issuer="},
		{"POST", "/uma/change/keys/rotate?issuer=https://x.example", "", 404, "there is " + alice + ", " + bob},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"purpose":"claims"}`, 404, "there is as rpt, as subject, as ticket"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"role":"sts"}`, 404, "there are no such keys"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"purpose":"subject"}`, 409, "is never changed"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `[]`, 400, "not acceptable JSON"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"purpose":"rpt","purpose":"ticket"}`, 400, "not acceptable JSON"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"purpose":"` + strings.Repeat("x", 70000) + `"}`, 400, "not acceptable JSON"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"purpse":"rpt"}`, 400, "a member that is empty or not known"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice, `{"purpose":""}`, 400, "a member that is empty or not known"},
		{"POST", "/uma/change/keys/rotate?issuer=" + alice + "&purpose=rpt", "", 400, "a parameter that is not known"},
		{"GET", "/uma/show/keys?purpse=rpt", "", 400, "a parameter that is not known"},
		{"POST", "/uma/change/keys/retire", `{}`, 400, "the kid of the key is missing"},
		{"POST", "/uma/change/keys/retire", `{"kid":"x"}`, 404, "no key of these issuers has this kid"},
		{"POST", "/uma/change/keys/retire?issuer=" + bob, `{"kid":"` + subject + `"}`, 404, "no key of these issuers has this kid"},
		{"POST", "/uma/change/keys/retire", `{"kid":"` + subject + `"}`, 409, "is never changed"},
		{"POST", "/uma/change/keys/retire", `{"kid":"` + subject + `","reason":"` + strings.Repeat("x", 501) + `"}`, 400, "too long"},
		{"POST", "/uma/change/keys/import", "", 409, "import is for 'keys store'"},
		{"GET", "/uma/change/keys/rotate?issuer=" + alice, "", 405, "takes POST"},
		{"POST", "/uma/show/keys", "", 405, "takes GET"},
		{"GET", "/uma/show/keys?purpose=lunch", "", 404, "there are no such keys"},
		{"POST", "/uma/show/keys/..%2f..%2fchange/keys/rotate?issuer=" + alice, "", 404, ""},
		{"POST", "/uma/show/keys/", "", 404, ""},
	} {
		var status int
		var text string
		if tc.method == "POST" {
			status, text = a.post(tc.path, tc.body)
		} else {
			status, text = a.ask(tc.method, tc.path)
		}
		if status != tc.status || !strings.Contains(text, tc.want) {
			t.Errorf("%s %s %.60s: %d %s, want %d %q", tc.method, tc.path, tc.body, status, text, tc.status, tc.want)
		}
	}
	if after := states(a.keys("")); after != before {
		t.Errorf("keys %s, before %s", after, before)
	}
	a.load(`{"uma":{}}`)
	a.want("GET", "/uma/show/keys", 404, "neither uma_server nor uma_sts")
	a.load(`{}`)
	a.want("GET", "/uma/show/keys", 404, "the running configuration has no")
}

// Storage that cannot be read or written is told apart from what is not there.
func TestKeyCommandsWhenStorageFails(t *testing.T) {
	registerRings()
	a := startAdmin(t)
	a.load(`{` + rings + `}`)
	useAll(t)
	kid := a.keys("?purpose=rpt")[0].KID
	dir := filepath.Join(a.dir, "uma", "as")
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.want("GET", "/uma/show/keys", 503, "cannot be read or written")
	for path, body := range map[string]string{"rotate?issuer=" + alice: "", "retire": `{"kid":"` + kid + `"}`} {
		if status, text := a.post("/uma/change/keys/"+path, body); status != 503 || !strings.Contains(text, "cannot be read or written") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if got := states(a.keys("?issuer=" + alice)); got != "rpt signing, subject signing, ticket signing" {
		t.Errorf("half done: %s", got)
	}
}

// Two Caddys on one folder make one key together and agree after the next look.
func TestSEC_11_TwoNodesOnCaddysStorage(t *testing.T) {
	dir := t.TempDir()
	var nodes []*jose.Ring
	for range 2 {
		a, err := provision(t, dir, `{}`)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.Ring("as", alice, "rpt", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, r)
	}
	all := func(do func(*jose.Ring) error) {
		var users sync.WaitGroup
		for i := range 8 {
			users.Go(func() {
				if err := do(nodes[i%2]); err != nil {
					t.Error(err)
				}
			})
		}
		users.Wait()
	}
	all(func(r *jose.Ring) error { _, err := r.Public(t.Context()); return err })
	all(func(r *jose.Ring) error { _, err := r.Rotate(t.Context()); return err })
	first, err := nodes[0].Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := nodes[1].Retire(t.Context(), first.KID); err != nil {
		t.Fatal(err)
	}
	var seen [][]jose.KeyInfo
	for _, r := range nodes {
		keys, err := r.Keys(t.Context()) // a look
		if err != nil || len(keys) != 2 {
			t.Fatalf("keys %+v, %v, want two", keys, err)
		}
		seen = append(seen, keys)
		if s, err := r.Signer(t.Context()); err != nil || s.KID != keys[0].KID || s.KID == first.KID {
			t.Errorf("%s signs, %v", s.KID, err)
		}
	}
	if !slices.Equal(seen[0], seen[1]) {
		t.Errorf("the nodes disagree: %+v", seen)
	}
}

// Keys in the store: none in Caddy's storage, none readable in the store's file,
// the same ones after a reload, none with another secret; those of before can be
// copied.
func TestSEC_11_KeysInStore(t *testing.T) {
	registerRings()
	t.Setenv("UMA_KEK", kek)
	a := startAdmin(t)
	path := filepath.Join(a.dir, "x.db")
	uma := func(keks string) string {
		return `{"uma":{"store":{"module":"bolt","path":"` + path + `"},"keys":"store","key_encryption_keys":[` + keks + `]},` + rings + `}`
	}
	a.load(`{` + rings + `}`)
	useAll(t)
	before := a.keys("")
	files, _ := filepath.Glob(filepath.Join(a.dir, "uma", "*", "*", "*", "*.json"))

	a.load(uma(`"{env.UMA_KEK}"`))
	if got := a.keys(""); len(got) != 0 {
		t.Errorf("keys were taken along silently: %v", got)
	}
	if _, err := running(t, "rpt").Public(t.Context()); err != nil {
		t.Fatal(err)
	}
	if made := a.keys(""); len(made) != 1 || made[0].KID == before[0].KID {
		t.Errorf("keys %+v", made)
	}
	if now, _ := filepath.Glob(filepath.Join(a.dir, "uma", "*", "*", "*", "*.json")); len(now) != len(files) {
		t.Errorf("%d key files in Caddy's storage, want %d", len(now), len(files))
	}
	if _, text := a.ask("GET", "/config/apps/uma"); strings.Contains(text, kek) {
		t.Error("the configuration shows the secret")
	}
	if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte(`"jwk"`)) { //nolint:gosec // a file of the test
		t.Errorf("the store's file shows keys, %v", err)
	}

	if status, text := a.post("/uma/change/keys/import", ""); status != 200 || !strings.Contains(text, `"imported":4`) {
		t.Errorf("import: %d %s", status, text)
	}
	if status, text := a.post("/uma/change/keys/import", ""); status != 200 || !strings.Contains(text, `"imported":0`) {
		t.Errorf("import again: %d %s", status, text)
	}
	all := a.keys("")
	if got := states(all); got != "rpt signing, rpt verifying, subject signing, ticket signing, claims signing" || all[2].KID != before[1].KID {
		t.Errorf("after the import: %s", got)
	}
	a.load(uma(`"{env.UMA_KEK}","another-secret-of-32-characters-x"`))
	if got := a.keys(""); !slices.Equal(got, all) {
		t.Errorf("after a reload: %+v", got)
	}
	a.load(uma(`"another-secret-of-32-characters-x"`))
	a.want("GET", "/uma/show/keys", 503, "sealed with another key encryption key")
	if _, err := running(t, "rpt").Public(t.Context()); err == nil {
		t.Error("with another secret keys are made")
	}
	a.load(uma(`"{env.UMA_KEK}"`))
	if got := a.keys(""); !slices.Equal(got, all) {
		t.Errorf("with the secret again: %+v", got)
	}
}
