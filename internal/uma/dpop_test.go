package uma_test

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// proofKey is the key of the client.
var proofKey = josetest.NewKey("ES256", "")

// proof is a good one for the token endpoint, but for the edits (nil removes a
// member).
func (b *bench) proof(key josetest.Key, header, claims map[string]any) string {
	allHeader := map[string]any{"kid": nil, "typ": "dpop+jwt", "jwk": key.JWK(map[string]any{"kid": nil, "use": nil})}
	all := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": b.cfg.Issuer + "/uma/token", "iat": b.clock().Unix()}
	maps.Copy(allHeader, header)
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return key.Sign(allHeader, all)
}

func thumbprint(t testing.TB, key josetest.Key) string {
	t.Helper()
	text, err := jose.Thumbprint(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// prove puts proofs into a request.
func prove(proofs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for _, p := range proofs {
			r.Header.Add("DPoP", p)
		}
	}
}

// askBound presents a ticket with a claims token (edits replace its claims) as
// the public client, and proofs.
func (b *bench) askBound(ticket string, edits map[string]any, proofs ...string) reply {
	b.t.Helper()
	return b.token(map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket,
		"claim_token": b.sign(b.claims(ticket, edits)), "claim_token_format": oauth.ClaimTokenFormatJWT,
	}, prove(proofs...))
}

func TestDP_01_TokenEndpoint(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	weak, other := josetest.NewRSA("RS256", "", 1024), josetest.NewKey("ES256", "")
	good := b.proof(proofKey, nil, nil)
	for name, proofs := range map[string][]string{
		"two fields":           {good, b.proof(proofKey, nil, nil)},
		"joined by a comma":    {good + ", " + b.proof(proofKey, nil, nil)},
		"empty":                {""},
		"no typ":               {b.proof(proofKey, map[string]any{"typ": nil}, nil)},
		"alg none":             {b.proof(proofKey, map[string]any{"alg": "none"}, nil)},
		"alg HS256":            {b.proof(proofKey, map[string]any{"alg": "HS256"}, nil)},
		"a weak key":           {b.proof(weak, nil, nil)},
		"a private key":        {b.proof(proofKey, map[string]any{"jwk": proofKey.JWK(map[string]any{"d": "AAAA"})}, nil)},
		"no key":               {b.proof(proofKey, map[string]any{"jwk": nil}, nil)},
		"signed by another":    {b.proof(other, map[string]any{"jwk": proofKey.JWK(nil)}, nil)},
		"no jti":               {b.proof(proofKey, nil, map[string]any{"jti": nil})},
		"GET":                  {b.proof(proofKey, nil, map[string]any{"htm": "GET"})},
		"another endpoint":     {b.proof(proofKey, nil, map[string]any{"htu": issuer + "/uma/revoke"})},
		"the issuer":           {b.proof(proofKey, nil, map[string]any{"htu": issuer})},
		"another server":       {b.proof(proofKey, nil, map[string]any{"htu": "https://as.evil.example/uma/token"})},
		"http":                 {b.proof(proofKey, nil, map[string]any{"htu": "http://as.alice.example/uma/token"})},
		"too old":              {b.proof(proofKey, nil, map[string]any{"iat": b.clock().Unix() - 61})},
		"too new":              {b.proof(proofKey, nil, map[string]any{"iat": b.clock().Unix() + 61})},
		"AT-06 a claims token": {b.sign(b.claims(ticket, nil))},
	} {
		t.Run("DP-01 "+name, func(t *testing.T) {
			if res := b.askBound(ticket, nil, proofs...); res.status != 400 || res.code() != "invalid_dpop_proof" || res.header.Get("DPoP-Nonce") != "" {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("DP-01 Host counts for nothing", func(t *testing.T) {
		evil := b.proof(proofKey, nil, map[string]any{"htu": "https://evil.example/uma/token"})
		form := map[string]string{"grant_type": "client_credentials"}
		host := func(r *http.Request) { r.Host = "evil.example"; r.SetBasicAuth("api", apiSecret) }
		if res := b.token(form, prove(evil), host); res.code() != "invalid_dpop_proof" {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.token(form, prove(b.proof(proofKey, nil, nil)), host); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("A2 the ticket is usable still", func(t *testing.T) {
		if res := b.askBound(ticket, nil, good); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil)); res.code() != "invalid_grant" {
			t.Errorf("UG-59: %d %s", res.status, res.text)
		}
	})
}

// A2: what comes first when several things are wrong.
func TestDP_01_Order(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.SourceLimit = limit.New(6, time.Minute, 10, b.clock) })
	ticket := b.fresh() // one request with a PAT
	bad := b.proof(proofKey, nil, map[string]any{"htm": "GET"})
	form := map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": ticket, "client_id": "web", "client_secret": "wrong"}
	for _, tc := range []struct {
		name, proof, edit, code string
	}{
		{"the form before the proof", bad, "grant_type", "invalid_request"},
		{"two methods before the proof", bad, "client_assertion", "invalid_request"},
		{"the proof before the secret", bad, "", "invalid_dpop_proof"},
		{"then the secret", b.proof(proofKey, nil, nil), "", "invalid_client"},
		{"a bad proof counts", bad, "", "invalid_dpop_proof"},
		{"and again", bad, "", "invalid_dpop_proof"},
		{"the last one", bad, "", "invalid_dpop_proof"},
		{"SEC-18 the limit before the proof", bad, "", "slow_down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			with := maps.Clone(form)
			switch tc.edit {
			case "grant_type":
				delete(with, "grant_type")
			case "client_assertion":
				with["client_assertion"] = "x"
			}
			if res := b.token(with, prove(tc.proof)); res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	b.pass(time.Minute)
	if res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil)); res.status != 200 {
		t.Errorf("A2: %d %s", res.status, res.text)
	}
}

func TestDP_02_BoundRPT(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Clients = append(b.cfg.Clients, clientauth.Client{ID: "bound", Public: true, DPoPBound: true})
	})
	t.Run("DP-02 with a proof", func(t *testing.T) {
		for _, alg := range dpop.Algs() {
			key := josetest.NewKey(alg, "")
			res := b.askBound(b.fresh(), nil, b.proof(key, nil, nil))
			cnf, _ := payload(t, res.get("access_token"))["cnf"].(map[string]any)
			if res.status != 200 || res.get("token_type") != "DPoP" || len(cnf) != 1 || cnf["jkt"] != thumbprint(t, key) {
				t.Errorf("%s: %d %s, cnf %v", alg, res.status, res.text, cnf)
			}
		}
	})
	t.Run("DP-02 without one", func(t *testing.T) {
		res := b.askBound(b.fresh(), nil)
		if _, bound := payload(t, res.get("access_token"))["cnf"]; bound || res.get("token_type") != "Bearer" {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("DP-02 a certificate alone is no DPoP", func(t *testing.T) {
		if uma.TokenType("", "x") != "Bearer" || uma.TokenType("k", "x") != "DPoP" {
			t.Error("token_type")
		}
	})
	t.Run("DP-02 a client that must prove", func(t *testing.T) {
		ticket := b.fresh()
		form := map[string]string{
			"grant_type": oauth.GrantUMATicket, "client_id": "bound", "ticket": ticket,
			"claim_token": b.sign(b.claims(ticket, nil)), "claim_token_format": oauth.ClaimTokenFormatJWT,
		}
		if res := b.token(form); res.status != 400 || res.code() != "invalid_dpop_proof" {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.token(form, prove(b.proof(proofKey, nil, nil))); res.status != 200 || res.get("token_type") != "DPoP" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("DP-02 metadata", func(t *testing.T) {
		list, _ := b.get("/.well-known/uma2-configuration").body["dpop_signing_alg_values_supported"].([]any)
		if len(list) != len(dpop.Algs()) || !slices.Contains(list, any("ES256")) || slices.Contains(list, any("none")) {
			t.Errorf("%v", list)
		}
	})
}

func TestDP_05_Nonce(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.DPoPNonces = true })
	with := func(nonce any) string { return b.proof(proofKey, nil, map[string]any{"nonce": nonce}) }
	ticket := b.fresh()
	first := b.askBound(ticket, nil, with(nil))
	nonce := first.header.Get("DPoP-Nonce")
	if first.status != 400 || first.code() != "use_dpop_nonce" || len(first.header.Values("DPoP-Nonce")) != 1 || nonce == "" {
		t.Fatalf("%d %v %s", first.status, first.header, first.text)
	}
	foreign := b.reload(func(c *uma.Config) { c.Issuer = "https://other.example" })
	cfg := b.cfg // with the same keys
	cfg.Issuer = foreign.cfg.Issuer
	var err error
	if foreign.server, err = uma.New(cfg); err != nil {
		t.Fatal(err)
	}
	bad := map[string]any{
		"empty": "", "nonsense": "x", "a ticket": b.fresh(), "changed": nonce[:50] + changed(nonce[50:51]) + nonce[51:], "cut": nonce[:len(nonce)-1],
		"longer": nonce + "A", "another issuer's": foreign.askBound("x", nil, foreign.proof(proofKey, nil, nil)).header.Get("DPoP-Nonce"),
	}
	for name, text := range bad {
		t.Run("DP-05 "+name, func(t *testing.T) {
			res := b.askBound(ticket, nil, with(text))
			if res.status != 400 || res.code() != "use_dpop_nonce" || len(res.header.Values("DPoP-Nonce")) != 1 {
				t.Errorf("%q: %d %s", text, res.status, res.text)
			}
		})
	}
	t.Run("DP-05 with the nonce and the same ticket", func(t *testing.T) {
		res := b.askBound(ticket, nil, with(nonce))
		if res.status != 200 || len(res.header.Values("DPoP-Nonce")) != 1 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("DP-05 need_info brings the next one", func(t *testing.T) {
		res := b.askBound(b.fresh(), map[string]any{"aud": "x"}, with(nonce))
		if res.code() != "need_info" || len(res.header.Values("DPoP-Nonce")) != 1 {
			t.Fatalf("%d %s", res.status, res.text)
		}
		if next := b.askBound(res.get("ticket"), nil, with(res.header.Get("DPoP-Nonce"))); next.status != 200 {
			t.Errorf("%d %s", next.status, next.text)
		}
	})
	t.Run("DP-05 another node takes it", func(t *testing.T) {
		node := b.reload()
		ticket := node.fresh()
		if res := node.askBound(ticket, nil, with(nonce)); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("DP-05 without a proof there is none", func(t *testing.T) {
		if res := b.askBound(b.fresh(), nil); res.status != 200 || res.header.Get("DPoP-Nonce") != "" {
			t.Errorf("%d %v", res.status, res.header)
		}
	})
	t.Run("DP-05 its life", func(t *testing.T) {
		b.pass(uma.NonceLifetime - time.Second)
		if res := b.askBound(b.fresh(), nil, with(nonce)); res.status != 200 {
			t.Errorf("a second before its end: %d %s", res.status, res.text)
		}
		b.pass(time.Second)
		if res := b.askBound(b.fresh(), nil, with(nonce)); res.code() != "use_dpop_nonce" {
			t.Errorf("at its end: %d %s", res.status, res.text)
		}
	})
	t.Run("DP-05 from the future", func(t *testing.T) {
		made := b.askBound("x", nil, with(nil)).header.Get("DPoP-Nonce")
		b.pass(-time.Minute)
		if res := b.askBound("x", nil, with(made)); res.code() != "invalid_grant" {
			t.Errorf("within the leeway: %d %s", res.status, res.text)
		}
		b.pass(-time.Second)
		if res := b.askBound("x", nil, with(made)); res.code() != "use_dpop_nonce" {
			t.Errorf("a second more: %d %s", res.status, res.text)
		}
	})
}

func changed(letter string) string {
	if letter == "A" {
		return "B"
	}
	return "A"
}

func TestDP_05_KeysAreGone(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.DPoPNonces = true })
	ticket := b.fresh()
	b.storage.Break(http.ErrServerClosed) // before the first nonce is made
	res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil))
	if res.status != 503 || res.header.Get("DPoP-Nonce") != "" || strings.Contains(res.text, http.ErrServerClosed.Error()) {
		t.Errorf("%d %v %s", res.status, res.header, res.text)
	}
}

func TestDP_06_Replay(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Proofs = dpop.NewReplays(0, b.clock) })
	proof, ticket := b.proof(proofKey, nil, nil), b.fresh()
	if res := b.askBound(b.fresh(), nil, proof); res.status != 200 {
		t.Fatalf("%d %s", res.status, res.text)
	}
	t.Run("DP-06 refused", func(t *testing.T) {
		if res := b.askBound(ticket, nil, proof); res.status != 400 || res.code() != "invalid_dpop_proof" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("DP-06 after a reload", func(t *testing.T) {
		if res := b.reload().askBound(ticket, nil, proof); res.code() != "invalid_dpop_proof" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("DP-06 a new proof and the same ticket", func(t *testing.T) {
		if res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil)); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("DP-06 exactly one wins", func(t *testing.T) {
		proof := b.proof(proofKey, nil, nil)
		var tickets []string
		for range 8 {
			tickets = append(tickets, b.fresh())
		}
		var won, refused atomic.Int32
		var wait sync.WaitGroup
		for _, ticket := range tickets {
			wait.Go(func() {
				switch res := b.askBound(ticket, nil, proof); {
				case res.status == 200:
					won.Add(1)
				case res.code() == "invalid_dpop_proof":
					refused.Add(1)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || refused.Load() != 7 {
			t.Errorf("%d won, %d were refused", won.Load(), refused.Load())
		}
	})
}

func TestDP_06_FullMemory(t *testing.T) {
	for size, want := range map[int]int{1: http.StatusServiceUnavailable, 2: http.StatusTooManyRequests} {
		b := newBench(t, func(b *bench) { b.cfg.Proofs = dpop.NewReplays(size, b.clock) })
		if res := b.askBound(b.fresh(), nil, b.proof(proofKey, nil, nil)); res.status != 200 {
			t.Fatalf("%d %s", res.status, res.text)
		}
		ticket := b.fresh()
		res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil))
		if res.status != want || res.header.Get("Retry-After") == "" {
			t.Errorf("DP-06 room for %d: %d %s", size, res.status, res.text)
		}
		b.pass(61 * time.Second)
		if res := b.askBound(ticket, nil, b.proof(proofKey, nil, nil)); res.status != 200 {
			t.Errorf("A2 later, with the same ticket: %d %s", res.status, res.text)
		}
	}
}

func TestDP_07_BoundClaimsToken(t *testing.T) {
	b := newBench(t)
	mine, others := thumbprint(t, proofKey), thumbprint(t, josetest.NewKey("ES256", ""))
	for name, tc := range map[string]struct {
		cnf   any
		proof bool
		good  bool
	}{
		"its key is proven":            {map[string]any{"jkt": mine}, true, true},
		"without a proof":              {map[string]any{"jkt": mine}, false, false},
		"another key is proven":        {map[string]any{"jkt": others}, true, false},
		"empty jkt, no proof":          {map[string]any{"jkt": ""}, false, false},
		"empty jkt":                    {map[string]any{"jkt": ""}, true, false},
		"jkt null, no proof":           {map[string]any{"jkt": nil}, false, false},
		"jkt a number":                 {map[string]any{"jkt": 1}, true, false},
		"jkt a list":                   {map[string]any{"jkt": []string{mine}}, true, false},
		"JKT":                          {map[string]any{"JKT": mine}, true, false},
		"jkt in another case":          {map[string]any{"jkt": strings.ToLower(mine)}, true, false},
		"jkt and a certificate":        {map[string]any{"jkt": mine, "x5t#S256": others}, true, false},
		"jkt and an empty certificate": {map[string]any{"jkt": mine, "x5t#S256": ""}, true, false},
		"a certificate":                {map[string]any{"x5t#S256": mine}, true, false},
		"a key":                        {map[string]any{"jwk": proofKey.JWK(nil)}, true, false},
		"a kid":                        {map[string]any{"kid": mine}, true, false},
		"jkt and something unknown":    {map[string]any{"jkt": mine, "x": "y"}, true, false},
		"empty":                        {map[string]any{}, true, false},
		"empty, no proof":              {map[string]any{}, false, false},
		"a text":                       {mine, true, false},
		"a list":                       {[]any{map[string]any{"jkt": mine}}, true, false},
		"an unbound one":               {nil, true, true},
		"an unbound one, no proof":     {nil, false, true},
	} {
		t.Run("DP-07 "+name, func(t *testing.T) {
			var proofs []string
			if tc.proof {
				proofs = []string{b.proof(proofKey, nil, nil)}
			}
			res := b.askBound(b.fresh(), map[string]any{"cnf": tc.cnf}, proofs...)
			if !tc.good {
				if res.status != 403 || res.code() != "need_info" {
					t.Errorf("%d %s", res.status, res.text)
				}
				return
			}
			if res.status != 200 {
				t.Fatalf("%d %s", res.status, res.text)
			}
			cnf, _ := payload(t, res.get("access_token"))["cnf"].(map[string]any)
			if tc.proof != (res.get("token_type") == "DPoP") || tc.proof != (cnf["jkt"] == mine) {
				t.Errorf("%s, cnf %v", res.text, cnf)
			}
		})
	}
	t.Run("DP-07 null", func(t *testing.T) {
		if uma.CheckConfirmation(map[string]any{"cnf": nil}, mine, "") {
			t.Error("accepted")
		}
	})
	t.Run("DP-07 a certificate", func(t *testing.T) {
		both := map[string]any{"cnf": map[string]any{"jkt": "k", "x5t#S256": "c"}}
		only := map[string]any{"cnf": map[string]any{"x5t#S256": "c"}}
		for _, tc := range []struct {
			claims   map[string]any
			jkt, x5t string
			good     bool
		}{
			{only, "", "c", true},
			{only, "k", "c", true},
			{only, "", "d", false},
			{only, "c", "", false},
			{both, "k", "c", true},
			{both, "k", "", false},
			{both, "", "c", false},
		} {
			if uma.CheckConfirmation(tc.claims, tc.jkt, tc.x5t) != tc.good {
				t.Errorf("%+v", tc)
			}
		}
	})
}

func TestSEC_23_ProofsOfPages(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.DPoPNonces = true })
	origin := func(r *http.Request) { r.Header.Set("Origin", "https://page.example") }
	preflight := b.request(http.MethodOptions, "token", "", origin)
	if allowed := strings.Split(preflight.header.Get("Access-Control-Allow-Headers"), ", "); !slices.Contains(allowed, "DPoP") {
		t.Errorf("%v", preflight.header)
	}
	res := b.token(map[string]string{"grant_type": "client_credentials", "client_id": "app"}, origin, prove(b.proof(proofKey, nil, nil)))
	exposed := strings.Split(res.header.Get("Access-Control-Expose-Headers"), ", ")
	if res.code() != "use_dpop_nonce" || !slices.Contains(exposed, "DPoP-Nonce") || !slices.Contains(exposed, "WWW-Authenticate") {
		t.Errorf("%v %s", res.header, res.text)
	}
	if res := b.token(map[string]string{"grant_type": "client_credentials", "client_id": "app"}); res.header.Get("Access-Control-Expose-Headers") != "" {
		t.Errorf("without Origin: %v", res.header)
	}
}
