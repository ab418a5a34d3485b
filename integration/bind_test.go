package integration_test

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	apiClient = "\t\tclient_id api\n"
	apiTLS    = "https://api.localhost:{$UMA_PORT:8443} {\n\ttls internal\n"
	server    = "{$RS_SECRET:example-only-change-me-0000000000}\n\n\t\t# Bob"
)

// bound presents an RPT with a proof for it.
func (w *world) bound(signer *dpop.Signer, rpt string, edits ...func(*http.Request)) func(method, path string) answer {
	return func(method, path string) answer {
		w.t.Helper()
		r, err := http.NewRequestWithContext(w.t.Context(), method, w.url("api", path), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		proof, err := signer.Prove(method, r.URL.String(), rpt, "")
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Authorization", "DPoP "+rpt)
		r.Header.Set(oauth.HeaderDPoP, proof)
		for _, edit := range edits {
			edit(r)
		}
		return w.do(r)
	}
}

// boundRPT does steps 1 to 7 with a proof; nil = without.
func (w *world) boundRPT(access string, signer *dpop.Signer) string {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	var edits []func(*http.Request)
	if signer != nil {
		edits = append(edits, w.proof(signer, ""))
	}
	a := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil, edits...)
	if a.status != http.StatusOK {
		w.t.Fatalf("step 7: %d %s", a.status, a.text)
	}
	return a.get("access_token")
}

// provingRQP is the module's client with DPoP. It logs in once.
func (w *world) provingRQP(transport http.RoundTripper) *rqp.Client {
	w.t.Helper()
	login := sync.OnceValue(func() string { return w.login("bob@bob.localhost", "bob-demo") })
	client, err := rqp.New(rqp.Config{
		STS: w.url("bob", ""), HTTPClient: &http.Client{Transport: transport}, Network: rqp.Network{Localhost: true}, DPoP: true,
		AccessToken:    func(context.Context) (string, error) { return login(), nil },
		AllowedOrigins: []string{w.url("api", "")},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func TestDP_03_BoundRPTs(t *testing.T) {
	w := example(t, apiClient, apiClient+"\t\trequire dpop\n")
	meta := w.get(w.url("api", "/.well-known/oauth-protected-resource"), nil)
	if meta.body["dpop_bound_access_tokens_required"] != true || meta.body["dpop_signing_alg_values_supported"] == nil {
		t.Errorf("OA-25: %s", meta.text)
	}
	t.Run("DP-03 nine steps with the module's client", func(t *testing.T) {
		res, err := w.provingRQP(w.client.Transport).Do(w.newRequest(w.url("api", "/photos?size=large")))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || w.hits.Load() != 1 {
			t.Errorf("%d, %d hits", res.StatusCode, w.hits.Load())
		}
	})
	t.Run("SEC-14 the client without DPoP names the cure", func(t *testing.T) {
		_, err := w.rqp("bob@bob.localhost", "bob-demo").Do(w.newRequest(w.url("api", "/"))) //nolint:bodyclose // there is none
		if err == nil || !strings.Contains(err.Error(), "--dpop") {
			t.Errorf("%v", err)
		}
	})
	access, mine, thief := w.login("bob@bob.localhost", "bob-demo"), w.prover(), w.prover()
	rpt := w.boundRPT(access, mine)
	used := ""
	keep := func(r *http.Request) { used = r.Header.Get(oauth.HeaderDPoP) }
	replay := func(r *http.Request) { r.Header.Set(oauth.HeaderDPoP, used) }
	ok := w.bound(mine, rpt, keep)(http.MethodGet, "/photos")
	if ok.status != http.StatusOK {
		t.Fatalf("%d %s", ok.status, ok.text)
	}
	if header, _ := ok.body["header"].(map[string]any); header["Authorization"] != nil || header["Dpop"] != nil {
		t.Errorf("SEC-20: %v", header)
	}
	hits := w.hits.Load()
	scheme := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+rpt) }
	path := func(r *http.Request) { r.URL.Path = "/photos/other" }
	for name, ask := range map[string]func(string, string) answer{
		"DP-04 as Bearer":                  w.bound(mine, rpt, scheme),
		"DP-04 as Bearer without a proof":  w.bound(mine, rpt, scheme, func(r *http.Request) { r.Header.Del(oauth.HeaderDPoP) }),
		"DP-03 without a proof":            w.bound(mine, rpt, func(r *http.Request) { r.Header.Del(oauth.HeaderDPoP) }),
		"DP-03 by a thief with his key":    w.bound(thief, rpt),
		"DP-01 two proofs":                 w.bound(mine, rpt, func(r *http.Request) { r.Header.Add(oauth.HeaderDPoP, r.Header.Get(oauth.HeaderDPoP)) }),
		"DP-01 a proof for another path":   w.bound(mine, rpt, path),
		"DP-01 a proof for another method": w.bound(mine, rpt, func(r *http.Request) { r.Method = http.MethodHead }),
		"DP-06 the same proof again":       w.bound(mine, rpt, replay),
		"SEC-14 an RPT that is not bound": func(method, path string) answer {
			return w.request(method, w.url("api", path), "", bearer(w.boundRPT(access, nil)))
		},
		"DP-03 an RPT that is not bound, with a proof": w.bound(mine, w.boundRPT(access, nil)),
	} {
		t.Run(name, func(t *testing.T) { w.notProven(t, ask(http.MethodGet, "/photos")) })
	}
	t.Run("DP-06 the same proof again after a reload", func(t *testing.T) {
		w.reload()
		w.await()
		w.notProven(t, w.bound(mine, rpt, replay)(http.MethodGet, "/photos"))
		hits++
		if a := w.bound(mine, rpt)(http.MethodGet, "/photos"); a.status != http.StatusOK {
			t.Errorf("a new one: %d %s", a.status, a.text)
		}
	})
	if got := w.hits.Load(); got != hits {
		t.Errorf("%d hits, want %d: the backend was reached by a refused request", got, hits)
	}
}

// notProven is the 401 with a ticket and a DPoP challenge.
func (w *world) notProven(t *testing.T, a answer) {
	t.Helper()
	lines := a.header.Values("WWW-Authenticate")
	if a.status != http.StatusUnauthorized || len(lines) != 2 || !strings.HasPrefix(lines[0], "UMA ") ||
		!strings.HasPrefix(lines[1], `DPoP algs="ES256`) || !strings.Contains(lines[1], "error=") {
		t.Errorf("%d %q %s", a.status, lines, a.text)
	}
}

// What is proved is the URL that the client wrote, wherever the directive stands.
func TestDP_01_ThePathThatTheClientWrote(t *testing.T) {
	w := example(t, "\tuma_protect https://as", "\trewrite /old/* /new{uri}\n\tuma_protect https://as")
	access, mine := w.login("bob@bob.localhost", "bob-demo"), w.prover()
	rpt := w.boundRPT(access, mine)
	ok := w.bound(mine, rpt)(http.MethodGet, "/old/a%20b/%C3%A4?q=1")
	if ok.status != http.StatusOK || !strings.HasPrefix(ok.get("uri"), "/new/old/a%20b") {
		t.Errorf("%d %s", ok.status, ok.text)
	}
	forged, err := mine.Prove(http.MethodGet, w.url("api", "/new/old/x"), rpt, "")
	if err != nil {
		t.Fatal(err)
	}
	w.notProven(t, w.bound(mine, rpt, func(r *http.Request) { r.Header.Set(oauth.HeaderDPoP, forged) })(http.MethodGet, "/old/x"))
	// Caddy's own line about a rewrite, at DEBUG, has all header fields but those it
	// knows to be secret. A proof is good once, and for nothing without the RPT.
	maps.DeleteFunc(w.seen, func(c credential, _ bool) bool { return c.name == oauth.HeaderDPoP })
	// Without require a bearer token is good, too.
	if a := w.request(http.MethodGet, w.url("api", "/"), "", bearer(w.boundRPT(access, nil))); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestDP_05_Nonces(t *testing.T) {
	w := example(t, apiClient, apiClient+"\t\tdpop_nonces\n",
		"\t\tresource_server api", "\t\tdpop_nonces\n\t\tresource_server api")
	t.Run("DP-05 nine steps with the module's client", func(t *testing.T) {
		client := w.provingRQP(w.client.Transport)
		for hits := int64(1); hits <= 2; hits++ {
			res, err := client.Do(w.newRequest(w.url("api", "/")))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK || w.hits.Load() != hits {
				t.Errorf("%d, %d hits", res.StatusCode, w.hits.Load())
			}
		}
	})
	mine := w.prover()
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.claimsToken(w.login("bob@bob.localhost", "bob-demo"), w.url("api", ""), ticket)
	first := w.redeem(ticket, claims, nil, w.proof(mine, ""))
	if first.status != http.StatusBadRequest || first.get("error") != oauth.CodeUseDPoPNonce {
		t.Fatalf("%d %s", first.status, first.text)
	}
	granted := w.redeem(ticket, claims, nil, w.proof(mine, first.header.Get(oauth.HeaderDPoPNonce)))
	rpt := granted.get("access_token")
	if rpt == "" {
		t.Fatalf("A2: %d %s", granted.status, granted.text)
	}
	a := w.bound(mine, rpt)(http.MethodGet, "/")
	if lines := a.header.Values("WWW-Authenticate"); a.status != http.StatusUnauthorized || len(lines) != 1 ||
		!strings.Contains(lines[0], `error="use_dpop_nonce"`) || len(a.header.Values(oauth.HeaderDPoPNonce)) != 1 {
		t.Fatalf("%d %v %s", a.status, a.header, a.text)
	}
	with := func(nonce string) func(*http.Request) {
		return func(r *http.Request) {
			proof, err := mine.Prove(r.Method, r.URL.String(), rpt, nonce)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(oauth.HeaderDPoP, proof)
		}
	}
	nonce := a.header.Get(oauth.HeaderDPoPNonce)
	w.reload() // the keys of nonces are in storage
	w.await()
	if a := w.bound(mine, rpt, with(nonce))(http.MethodGet, "/"); a.status != http.StatusOK {
		t.Errorf("with the nonce: %d %s", a.status, a.text)
	}
	if a := w.bound(mine, rpt, with(first.header.Get(oauth.HeaderDPoPNonce)))(http.MethodGet, "/"); a.status != http.StatusUnauthorized {
		t.Errorf("with a nonce of the AS: %d %s", a.status, a.text)
	}
}

// Certificates of the TLS connection itself, from the token endpoint to the resource.
func TestOA_19_CertificatesAtTheResourceServer(t *testing.T) {
	ca := certificate(t, "ca", nil)
	good, wrong := certificate(t, "bob-client", &ca), certificate(t, "eve-client", &ca)
	asking := func(site string) string {
		return strings.Replace(site, "tls internal\n", "tls {\n\t\tissuer internal\n\t\tclient_auth {\n\t\t\tmode request\n\t\t}\n\t}\n", 1)
	}
	w := example(t, asTLS, asking(asTLS), apiTLS, asking(apiTLS), apiClient, apiClient+"\t\trequire mtls\n",
		server, strings.Replace(server, "\n\n", " {\n\t\t\trequire mtls\n\t\t}\n\n", 1))
	access := w.login("bob@bob.localhost", "bob-demo")
	w.showing(&good)
	rpt := w.boundRPT(access, nil)
	if cnf, _ := payload(t, rpt)["cnf"].(map[string]any); cnf["x5t#S256"] != thumbprint(good) {
		t.Fatalf("cnf = %v", cnf)
	}
	if a := w.request(http.MethodGet, w.url("api", "/"), "", bearer(rpt)); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	hits := w.hits.Load()
	asserted := bearer(rpt)
	for _, name := range []string{"Client-Cert", "X-Client-Cert", "X-Forwarded-Client-Cert", "X-Ssl-Client-Cert"} {
		asserted.Set(name, url.QueryEscape(pemOf(good)))
	}
	for name, c := range map[string]struct {
		shown  *tls.Certificate
		header http.Header
	}{
		"OA-19 another certificate":              {&wrong, bearer(rpt)},
		"OA-19 no certificate":                   {nil, bearer(rpt)},
		"OA-19 the certificate in header fields": {&wrong, asserted},
	} {
		t.Run(name, func(t *testing.T) {
			w.showing(c.shown)
			a := w.request(http.MethodGet, w.url("api", "/"), "", c.header)
			lines := a.header.Values("WWW-Authenticate")
			if a.status != http.StatusUnauthorized || len(lines) != 2 || lines[1] != `Bearer error="invalid_token"` {
				t.Errorf("%d %q", a.status, lines)
			}
		})
	}
	if got := w.hits.Load(); got != hits {
		t.Errorf("%d hits, want %d", got, hits)
	}
}

// recorder notes what a client sends where.
type recorder struct {
	base http.RoundTripper
	mu   sync.Mutex
	sent []string // host, method and all header fields
	rpts map[string]bool
}

func (c *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	var b strings.Builder
	b.WriteString(r.URL.Host + " " + r.Method + " " + r.URL.String() + "\n")
	_ = r.Header.Write(&b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, b.String())
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && scheme == "DPoP" {
		c.rpts[token] = true
	}
	return c.base.RoundTrip(r)
}

func TestUG_56_RPTsStayBetweenClientAndServers(t *testing.T) {
	w := example(t, "\tuma_protect https://as", "\tredir /away https://bob.localhost:{$UMA_PORT:8443}/elsewhere\n\tuma_protect https://as")
	seen := &recorder{base: w.client.Transport, rpts: map[string]bool{}}
	client := &http.Client{Transport: &rqp.Transport{Client: w.provingRQP(seen), Base: seen}}
	var answers []answer
	for _, path := range []string{"/", "/away", "/again"} {
		w.client = client
		answers = append(answers, w.get(w.url("api", path), nil))
		w.client = &http.Client{Transport: seen.base}
	}
	if len(seen.rpts) != 1 || answers[0].status != http.StatusOK || answers[2].status != http.StatusOK || w.hits.Load() != 2 {
		t.Fatalf("%d RPTs, %d hits, %+v", len(seen.rpts), w.hits.Load(), answers)
	}
	for rpt := range seen.rpts {
		w.seen.add("rpt", rpt) // searchLog looks for it when Caddy has stopped
		for _, text := range []string{answers[0].text, answers[2].text} {
			if strings.Contains(text, rpt) {
				t.Errorf("UG-56: the backend got the RPT: %s", text)
			}
		}
		elsewhere := 0
		for _, sent := range seen.sent {
			host, rest, _ := strings.Cut(sent, " ")
			if strings.Contains(rest, "/elsewhere") {
				elsewhere++
			}
			if !strings.HasPrefix(host, "api.localhost") && strings.Contains(sent, rpt) {
				t.Errorf("UG-56: the RPT went to %s", host)
			}
		}
		if elsewhere != 1 {
			t.Errorf("the redirect was followed %d times, want once", elsewhere)
		}
	}
}

// A PCT saves the client the way to the STS, where a policy says that it is enough.
func TestUG_18_ModuleClientWithPCT(t *testing.T) {
	w := example(t, policyStart, "pct\n\t\t"+policyStart, "\t\t\tscopes get\n", "\t\t\tscopes get post\n\t\t\taccept_pct\n")
	seen := &recorder{base: w.client.Transport, rpts: map[string]bool{}}
	client := w.provingRQP(seen)
	do := func(method string) int {
		t.Helper()
		seen.sent = nil
		r, err := http.NewRequestWithContext(t.Context(), method, w.url("api", "/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", method, res.StatusCode)
		}
		exchanges := 0
		for _, sent := range seen.sent {
			if strings.Contains(sent, " POST https://bob.localhost") {
				exchanges++
			}
		}
		return exchanges
	}
	if n := do(http.MethodGet); n != 1 {
		t.Errorf("%d exchanges at first, want 1", n)
	}
	if n := do(http.MethodPost); n != 0 || w.hits.Load() != 2 {
		t.Errorf("%d exchanges for the second permission, want none; %d hits", n, w.hits.Load())
	}
}
