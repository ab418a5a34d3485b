package uma_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

const initialToken = "initial-access-token-0123456789abcdef"

// registering is a bench at which clients may register.
func registering(t testing.TB, edits ...func(*bench)) *bench {
	t.Helper()
	return newBench(t, append([]func(*bench){func(b *bench) {
		b.cfg.InitialAccessTokens = [][32]byte{clientauth.HashSecret("an-older-token"), clientauth.HashSecret(initialToken)}
	}}, edits...)...)
}

type members map[string]any

// signUp registers a client with a body that is JSON or is made so.
func (b *bench) signUp(body any, edits ...func(*http.Request)) reply {
	b.t.Helper()
	return b.request(http.MethodPost, "register", text(b.t, body), append([]func(*http.Request){bearer(initialToken)}, edits...)...)
}

// manage calls the endpoint of a client.
func (b *bench) manage(method, id, token string, body any) reply {
	b.t.Helper()
	return b.request(method, "register/"+id, text(b.t, body), bearer(token))
}

func text(t testing.TB, body any) string {
	t.Helper()
	if s, ok := body.(string); ok {
		return s
	}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
}

var umaGrant = []string{oauth.GrantUMATicket}

func TestOA_20_Register(t *testing.T) {
	b := registering(t)
	res := b.signUp(members{
		"client_name": "Photo printer", "client_name#de": "Fotodrucker", "client_uri": "https://print.example/",
		"redirect_uris": []string{"https://print.example/cb"}, "grant_types": umaGrant, "contacts": []string{"x@print.example"},
		"software_id": "printer", "software_version": "2", "scope": "print", "dpop_bound_access_tokens": false,
		"client_secret": "mine", "client_secret_expires_at": 5, "registration_access_token": "mine", "unknown": []int{1},
		"token_endpoint_auth_method": nil, "logo_uri": nil,
	})
	if res.status != 201 || res.header.Get("Cache-Control") != "no-store" || res.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", res.status, res.header, res.text)
	}
	id := res.get("client_id")
	for name, want := range map[string]any{
		"client_name": "Photo printer", "client_name#de": "Fotodrucker", "client_uri": "https://print.example/",
		"software_id": "printer", "software_version": "2", "scope": "print",
		"token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0.0,
		"client_id_issued_at": float64(b.clock().Unix()), "registration_client_uri": issuer + "/uma/register/" + id,
	} {
		if res.body[name] != want {
			t.Errorf("%s = %v, want %v", name, res.body[name], want)
		}
	}
	for _, name := range []string{"unknown", "logo_uri", "#texts", "jwks"} {
		if _, there := res.body[name]; there {
			t.Errorf("%s: %v", name, res.body[name])
		}
	}
	secret, token := res.get("client_secret"), res.get("registration_access_token")
	if len(secret) != 43 || len(token) != 47 || !strings.HasPrefix(token, "rat_") || !strings.HasPrefix(id, "c-") {
		t.Errorf("%s", res.text)
	}
	t.Run("the secret works, and only by the registered method", func(t *testing.T) {
		form := members{"grant_type": oauth.GrantUMATicket, "ticket": "x"}
		if got := b.token(strs(form), basic(id, secret)); got.code() != "invalid_grant" {
			t.Errorf("%s", got.text)
		}
		if got := b.token(strs(form, members{"client_id": id, "client_secret": secret})); got.code() != "invalid_client" {
			t.Errorf("in the body: %s", got.text)
		}
		if got := b.token(strs(form, members{"client_id": id})); got.code() != "invalid_client" {
			t.Errorf("none: %s", got.text)
		}
	})
	t.Run("a client of DPoP", func(t *testing.T) {
		res := b.signUp(members{"grant_types": umaGrant, "dpop_bound_access_tokens": true, "token_endpoint_auth_method": "none"})
		if res.body["dpop_bound_access_tokens"] != true {
			t.Errorf("%s", res.text)
		}
		if got := b.token(strs(members{"grant_type": oauth.GrantUMATicket, "ticket": "x", "client_id": res.get("client_id")})); got.code() != "invalid_dpop_proof" {
			t.Errorf("%s", got.text)
		}
	})
	t.Run("SEC-24 nothing of it is stored", func(t *testing.T) {
		dump, err := os.ReadFile(b.path)
		if err != nil || !bytes.Contains(dump, []byte("Fotodrucker")) {
			t.Fatal(err)
		}
		for _, live := range []string{secret, token, token[4:]} {
			if bytes.Contains(dump, []byte(live)) {
				t.Errorf("%q is in the store", live)
			}
		}
	})
	t.Run("it outlives a reload", func(t *testing.T) {
		next := b.reload()
		if got := next.manage(http.MethodGet, id, token, ""); got.status != 200 {
			t.Errorf("%d %s", got.status, got.text)
		}
	})
	t.Run("what is not recorded is not there", func(t *testing.T) {
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "Commit" })
		defer b.faulty.Repair()
		if got := b.signUp(members{}); got.status != 503 || got.get("client_id") != "" {
			t.Errorf("%d %s", got.status, got.text)
		}
	})
}

func strs(all ...members) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		for name, value := range m {
			out[name], _ = value.(string)
		}
	}
	return out
}

func TestOA_21_Defaults(t *testing.T) {
	b := registering(t)
	pat := b.pat("api")
	ticket := b.ticket(pat, b.register(pat, "RS API", "", "get"), "get")
	for name, tc := range map[string]struct {
		body   members
		grants []any
		types  []any
		code   string // at the token endpoint with the UMA grant
	}{
		"nothing said":         {members{}, []any{"authorization_code"}, []any{"code"}, "unauthorized_client"},
		"null":                 {members{"grant_types": nil}, []any{"authorization_code"}, []any{"code"}, "unauthorized_client"},
		"the default itself":   {members{"grant_types": []string{"authorization_code"}}, []any{"authorization_code"}, []any{"code"}, "unauthorized_client"},
		"OA-05 other grants":   {members{"grant_types": []string{"client_credentials"}}, []any{"client_credentials"}, []any{}, "unauthorized_client"},
		"the UMA grant":        {members{"grant_types": umaGrant}, []any{oauth.GrantUMATicket}, []any{}, "need_info"},
		"and a refresh token":  {members{"grant_types": append(umaGrant, "refresh_token")}, []any{oauth.GrantUMATicket, "refresh_token"}, []any{}, "invalid_grant"},
		"no response types":    {members{"grant_types": umaGrant, "response_types": []string{}}, []any{oauth.GrantUMATicket}, []any{}, "invalid_grant"},
		"its response type":    {members{"response_types": []string{"code"}}, []any{"authorization_code"}, []any{"code"}, "unauthorized_client"},
		"OA-05 static clients": {nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.body == nil {
				if got := b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": "x"}); got.code() != "invalid_grant" {
					t.Errorf("%s", got.text)
				}
				return
			}
			res := b.signUp(tc.body)
			if !slices.Equal(list(res, "grant_types"), tc.grants) || !slices.Equal(list(res, "response_types"), tc.types) || res.get("token_endpoint_auth_method") != "client_secret_basic" {
				t.Fatalf("%d %s", res.status, res.text)
			}
			use := ticket
			if tc.code == "invalid_grant" {
				use = "x"
			}
			if got := b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": use}, basic(res.get("client_id"), res.get("client_secret"))); got.code() != tc.code {
				t.Errorf("%s", got.text)
			}
		})
	}
	t.Run("OA-05 a refusal leaves the ticket usable", func(t *testing.T) {
		res := b.signUp(members{"token_endpoint_auth_method": "none"})
		fresh := b.fresh()
		form := map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": fresh, "client_id": res.get("client_id")}
		if got := b.token(form); got.status != 400 || got.code() != "unauthorized_client" {
			t.Errorf("%d %s", got.status, got.text)
		}
		if got := b.ask(fresh); got.status != 200 {
			t.Errorf("%d %s", got.status, got.text)
		}
	})
	t.Run("public", func(t *testing.T) {
		res := b.signUp(members{"token_endpoint_auth_method": "none", "grant_types": umaGrant})
		if _, there := res.body["client_secret"]; there || res.body["client_secret_expires_at"] != nil || res.status != 201 {
			t.Fatalf("%s", res.text)
		}
		fresh := b.fresh()
		rpt := b.present(fresh, b.sign(b.claims(fresh, nil)), map[string]string{"client_id": res.get("client_id")})
		if rpt.status != 200 || payload(t, rpt.get("access_token"))["client_id"] != res.get("client_id") {
			t.Errorf("%d %s", rpt.status, rpt.text)
		}
	})
}

func list(r reply, name string) []any {
	all, _ := r.body[name].([]any)
	return all
}

func TestOA_22_BadMetadata(t *testing.T) {
	b := registering(t)
	key := josetest.NewKey("ES256", "k1")
	keys := members{"keys": []any{key.JWK(nil)}}
	const uri = "https://client.example/jwks"
	many := func(s string) []string { return slices.Repeat([]string{s}, 21) }
	good := []members{
		{"redirect_uris": []string{"https://a.example/cb?x=1", "http://127.0.0.1:8080/cb", "http://[::1]/cb", "http://localhost/cb"}},
		{"token_endpoint_auth_method": "private_key_jwt", "jwks": keys},
		{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri},
		{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=web,O=Bob"},
		{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": keys, "tls_client_certificate_bound_access_tokens": true},
		{"jwks": nil, "jwks_uri": uri, "scope": "a b", "client_name#de-CH": "x"},
		{"software_statement": "x.y.z", "token_endpoint_auth_method": "client_secret_post"},
	}
	for _, body := range good {
		if res := b.signUp(body); res.status != 201 {
			t.Errorf("%v: %d %s", body, res.status, res.text)
		}
	}
	for _, uris := range []any{
		[]string{"javascript:alert(1)"},
		[]string{"https://a.example/#x"},
		[]string{"https://a.example/#"},
		[]string{"/cb"},
		[]string{""},
		[]string{"http://a.example/cb"},
		[]string{"http://127.0.0.1.evil.example/"},
		[]string{"https://a:b@c.example/"},
		[]string{"https:///x"},
		[]string{"data:text/html,x"},
		[]string{"https://a.example/ x"},
		[]string{`https://a.example\@b/`},
		[]string{"com.example:/cb"},
		[]any{nil},
		[]string{"https://a.example/" + strings.Repeat("a", 2048)},
		many("https://a.example/"),
		[]string{"https://ä.example/"},
		[]string{"https:a.example"},
	} {
		for _, name := range []string{"redirect_uris", "claims_redirect_uris"} {
			if res := b.signUp(members{name: uris}); res.status != 400 || res.code() != "invalid_redirect_uri" {
				t.Errorf("%s %v: %d %s", name, uris, res.status, res.text)
			}
		}
	}
	for _, body := range []any{
		"", "x", "[]", "null", `{"a":1,"a":2}`, `{"client_name":"x"} {}`, `{"client_name":"x","client_name":"y"}`, strings.Repeat(`{"a":`, 40),
		members{"redirect_uris": "https://a.example/"},
		members{"redirect_uris": []int{1}},
		members{"grant_types": "x"},
		members{"grant_types": []string{}},
		members{"grant_types": []string{"password"}},
		members{"grant_types": []string{"implicit"}},
		members{"grant_types": []string{oauth.GrantUMATicket, oauth.GrantUMATicket}},
		members{"grant_types": []string{"authorization_code", "refresh_token"}},
		members{"grant_types": []string{oauth.GrantTokenExchange}},
		members{"grant_types": umaGrant, "response_types": []string{"code"}},
		members{"response_types": []string{"token"}},
		members{"token_endpoint_auth_method": "client_secret_jwt"},
		members{"token_endpoint_auth_method": "x"},
		members{"token_endpoint_auth_method": 1},
		members{"token_endpoint_auth_method": "private_key_jwt"},
		members{"token_endpoint_auth_method": "self_signed_tls_client_auth"},
		members{"token_endpoint_auth_method": "tls_client_auth"},
		members{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "web"},
		members{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"},
		members{"tls_client_auth_subject_dn": "CN=web"},
		members{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=a", "tls_client_auth_san_uri": "x"},
		members{"jwks": keys, "jwks_uri": uri},
		members{"jwks": "x"},
		members{"jwks": []any{}},
		members{"jwks": members{"keys": []any{}}},
		members{"jwks": members{}},
		members{"jwks": members{"keys": []any{key.JWK(members{"d": "AAAA"})}}},
		members{"jwks": members{"keys": []any{members{"kty": "oct", "k": "AAAA"}}}},
		members{"token_endpoint_auth_method": "private_key_jwt", "jwks": members{"keys": []any{key.JWK(members{"kid": nil})}}},
		members{"jwks_uri": "http://client.example/jwks"},
		members{"jwks_uri": "x"},
		members{"jwks_uri": "https://a@b.example/"},
		members{"scope": "uma_protection"},
		members{"scope": "a uma_protection"},
		members{"scope": "a  b"},
		members{"scope": `a"`},
		members{"scope": []string{"a"}},
		members{"client_name": 1},
		members{"client_name": strings.Repeat("a", 2049)},
		members{"client_name#": "x"},
		members{"client_name#d e": "x"},
		members{"client_uri": "javascript:alert(1)"},
		members{"logo_uri": "data:image/png,x"},
		members{"tos_uri#de": "x"},
		members{"policy_uri": "//a.example/"},
		members{"contacts": many("x")},
		members{"contacts": []string{""}},
		members{"contacts": "x"},
		members{"contacts": []string{"a\nb"}},
		members{"dpop_bound_access_tokens": "true"},
		members{"software_id": strings.Repeat("a", 2049)},
	} {
		if res := b.signUp(body); res.status != 400 || res.code() != "invalid_client_metadata" && body != "" {
			t.Errorf("%.200v: %d %s", body, res.status, res.text)
		}
	}
	if res := b.signUp(members{"client_name": "a", "x": strings.Repeat("a", 64<<10)}); res.status != 413 {
		t.Errorf("huge: %d", res.status)
	}
	many101 := members{}
	for i := range 101 {
		many101["client_name#x-"+strings.Repeat("a", i/26+1)+string(rune('a'+i%26))] = "x"
	}
	if res := b.signUp(many101); res.code() != "invalid_client_metadata" {
		t.Errorf("101 texts: %d %s", res.status, res.text)
	}
	if res := b.signUp(`{"client_name":"x"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }); res.status != 400 {
		t.Errorf("text: %d", res.status)
	}
}

func TestOA_23_Closed(t *testing.T) {
	t.Run("off by default", func(t *testing.T) {
		b := newBench(t)
		for _, path := range []string{"register", "register/c-" + strings.Repeat("A", 22)} {
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
				if res := b.request(method, path, "", bearer(initialToken)); res.status != 404 {
					t.Errorf("%s %s: %d", method, path, res.status)
				}
			}
		}
		if b.get("/.well-known/uma2-configuration").get("registration_endpoint") != "" {
			t.Error("it is in the metadata")
		}
	})
	b := registering(t)
	for name, edit := range map[string]func(*http.Request){
		"no token":        func(r *http.Request) { r.Header.Del("Authorization") },
		"another token":   bearer(initialToken + "x"),
		"a cut token":     bearer(initialToken[:len(initialToken)-1]),
		"an empty token":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
		"a PAT":           bearer(b.pat("api")),
		"a secret":        basic("api", apiSecret),
		"another scheme":  func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+initialToken) },
		"in the query":    func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "access_token=" + initialToken },
		"its hash":        bearer(string(func() []byte { h := clientauth.HashSecret(initialToken); return h[:] }())),
		"the hash's text": bearer("r" + initialToken),
	} {
		t.Run(name, func(t *testing.T) {
			res := b.signUp(members{}, edit)
			if res.status != 401 || !strings.HasPrefix(res.header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%d %v %s", res.status, res.header, res.text)
			}
			if strings.Contains(res.header.Get("WWW-Authenticate"), "error=") == (name == "no token" || name == "in the query") {
				t.Errorf("challenge %s", res.header.Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("the older token works, too", func(t *testing.T) {
		if res := b.signUp(members{}, bearer("an-older-token")); res.status != 201 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("no client gets a PAT", func(t *testing.T) {
		res := b.signUp(members{"grant_types": []string{"client_credentials"}, "scope": "print"})
		for _, scope := range []string{"uma_protection", "print uma_protection"} {
			if got := b.token(map[string]string{"grant_type": "client_credentials", "scope": scope}, basic(res.get("client_id"), res.get("client_secret"))); got.code() != "invalid_scope" {
				t.Errorf("%s: %s", scope, got.text)
			}
		}
		form := map[string]string{"grant_type": "client_credentials"}
		got := b.token(form, basic(res.get("client_id"), res.get("client_secret")))
		if got.get("scope") != "print" || strings.HasPrefix(got.get("access_token"), "pat_") {
			t.Errorf("%s", got.text)
		}
		if api := b.call(got.get("access_token"), http.MethodGet, "resource", ""); api.status != 403 {
			t.Errorf("%d", api.status)
		}
	})
	t.Run("switched off again", func(t *testing.T) {
		res := b.signUp(members{"grant_types": umaGrant})
		next := b.reload(func(c *uma.Config) { c.InitialAccessTokens = nil })
		if got := next.token(strs(members{"grant_type": oauth.GrantUMATicket, "ticket": "x"}), basic(res.get("client_id"), res.get("client_secret"))); got.code() != "invalid_grant" {
			t.Errorf("%s", got.text)
		}
		if got := next.manage(http.MethodGet, res.get("client_id"), res.get("registration_access_token"), ""); got.status != 404 {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("SEC-18 a flood", func(t *testing.T) {
		var ip string
		b := registering(t, func(b *bench) {
			b.cfg.RegistrationLimit = limit.New(5, time.Hour, 100, b.clock)
			b.cfg.ClientIP = func(*http.Request) string { return ip }
		})
		ip = "192.0.2.1"
		for i := range 8 { // right and wrong tokens count alike
			res := b.signUp(members{}, bearer([]string{initialToken, "x"}[i%2]))
			if limited := res.status == 429; limited != (i >= 5) || limited && res.header.Get("Retry-After") == "" {
				t.Errorf("%d: %d %v", i, res.status, res.header)
			}
		}
		ip = "192.0.2.2"
		if res := b.signUp(members{}); res.status != 201 {
			t.Errorf("another source: %d", res.status)
		}
	})
	t.Run("only POST", func(t *testing.T) {
		if res := b.request(http.MethodGet, "register", "", bearer(initialToken)); res.status != 405 || res.header.Get("Allow") != "POST" {
			t.Errorf("%d %v", res.status, res.header)
		}
	})
}

func TestUG_07_ClaimsRedirectURIs(t *testing.T) {
	b := registering(t)
	uris := []any{"https://print.example/claims", "http://127.0.0.1/claims"}
	res := b.signUp(members{"claims_redirect_uris": uris, "grant_types": umaGrant})
	if res.status != 201 || !slices.Equal(list(res, "claims_redirect_uris"), uris) {
		t.Fatalf("%d %s", res.status, res.text)
	}
	read := b.manage(http.MethodGet, res.get("client_id"), res.get("registration_access_token"), "")
	if read.status != 200 || !slices.Equal(list(read, "claims_redirect_uris"), uris) {
		t.Errorf("%d %s", read.status, read.text)
	}
	if bad := b.signUp(members{"claims_redirect_uris": []string{"http://print.example/claims"}}); bad.code() != "invalid_redirect_uri" {
		t.Errorf("%s", bad.text)
	}
}

// AT-07: the server chooses ids, of a form that no subject and no other client
// has.
func TestAT_07_ClientIDs(t *testing.T) {
	b := registering(t)
	seen := map[string]bool{}
	for _, id := range []any{"app", "api", "web", "u-0123456789012345678901", "https://evil.example/client", "c-AAAAAAAAAAAAAAAAAAAAAA", "", nil, 7} {
		res := b.signUp(members{"client_id": id, "grant_types": umaGrant, "token_endpoint_auth_method": "none"})
		got := res.get("client_id")
		if res.status != 201 || got == id || !strings.HasPrefix(got, "c-") || len(got) != 24 || seen[got] {
			t.Errorf("%v: %d %q", id, res.status, got)
		}
		seen[got] = true
	}
	for id := range seen {
		fresh := b.fresh()
		rpt := b.present(fresh, b.sign(b.claims(fresh, nil)), map[string]string{"client_id": id})
		if sub, _ := payload(t, rpt.get("access_token"))["sub"].(string); !strings.HasPrefix(sub, "u-") || seen[sub] {
			t.Errorf("sub %q", sub)
		}
	}
}

func TestOA_24_Management(t *testing.T) {
	b := registering(t)
	made := b.signUp(members{"client_name": "Printer", "grant_types": []string{"client_credentials"}, "scope": "print", "software_id": "s"})
	other := b.signUp(members{"client_name": "Other"})
	id, token, secret := made.get("client_id"), made.get("registration_access_token"), made.get("client_secret")

	t.Run("read", func(t *testing.T) {
		res := b.manage(http.MethodGet, id, token, "")
		want := maps.Clone(made.body)
		delete(want, "client_secret") // told once
		if res.status != 200 || res.header.Get("Cache-Control") != "no-store" || !equalJSON(t, res.body, want) {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("bad tokens", func(t *testing.T) {
		var first string
		for name, call := range map[string][2]string{
			"another client's": {id, other.get("registration_access_token")},
			"cut":              {id, token[:len(token)-1]},
			"longer":           {id, token + "A"},
			"the initial one":  {id, initialToken},
			"the secret":       {id, secret},
			"unknown client":   {"c-" + strings.Repeat("A", 22), token},
			"a static client":  {"app", token},
			"no client":        {"x", token},
			"a server":         {"api", b.pat("api")},
			"a long id":        {"c-" + strings.Repeat("A", 5000), token},
			"zero byte":        {"c-%00", token},
			"its folder":       {"", token},
			"below it":         {id + "/x", token},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				res := b.manage(method, call[0], call[1], `{}`)
				if first == "" {
					first = res.text
				}
				if res.status != 401 || res.text != first || !strings.Contains(res.header.Get("WWW-Authenticate"), "invalid_token") {
					t.Errorf("%s %s: %d %s", name, method, res.status, res.text)
				}
			}
		}
		if res := b.manage(http.MethodGet, id, "", ""); res.status != 401 || strings.Contains(res.header.Get("WWW-Authenticate"), "error") {
			t.Errorf("none: %d %v", res.status, res.header)
		}
		if res := b.manage(http.MethodPost, id, token, `{}`); res.status != 405 || res.header.Get("Allow") != "GET, PUT, DELETE" {
			t.Errorf("POST: %d %v", res.status, res.header)
		}
	})
	t.Run("replace", func(t *testing.T) {
		for name, body := range map[string]any{
			"another client_id": members{"client_id": other.get("client_id")},
			"no client_id":      members{"client_id": 5},
			"an empty one":      members{"client_id": ""},
			"another secret":    members{"client_id": id, "client_secret": "x"},
			"uma_protection":    members{"client_id": id, "scope": "uma_protection"},
			"both key sets":     members{"client_id": id, "jwks": members{"keys": []any{}}, "jwks_uri": "https://a.example/"},
			"no JSON":           "x",
		} {
			if res := b.manage(http.MethodPut, id, token, body); res.status != 400 || res.code() != "invalid_client_metadata" {
				t.Errorf("%s: %d %s", name, res.status, res.text)
			}
		}
		res := b.manage(http.MethodPut, id, token, members{
			"client_id": id, "client_secret": secret, "client_name": "Printer 2", "grant_types": []string{"client_credentials"}, "scope": "print",
		})
		if res.status != 200 || res.get("client_name") != "Printer 2" || res.get("client_id") != id || res.body["software_id"] != nil || res.get("client_secret") != "" {
			t.Errorf("%d %s", res.status, res.text)
		}
		if got := b.token(map[string]string{"grant_type": "client_credentials"}, basic(id, secret)); got.status != 200 {
			t.Errorf("the secret stays: %s", got.text)
		}
	})
	t.Run("what was read can be written back", func(t *testing.T) {
		read := b.manage(http.MethodGet, other.get("client_id"), other.get("registration_access_token"), "")
		if res := b.manage(http.MethodPut, other.get("client_id"), other.get("registration_access_token"), read.text); res.status != 200 || !equalJSON(t, res.body, read.body) {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("another method", func(t *testing.T) {
		c := b.signUp(members{"grant_types": umaGrant, "token_endpoint_auth_method": "none"})
		id, token := c.get("client_id"), c.get("registration_access_token")
		form := map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": id, "ticket": "x"}
		now := b.manage(http.MethodPut, id, token, members{"grant_types": umaGrant})
		if now.get("client_secret") == "" || now.body["client_secret_expires_at"] != 0.0 {
			t.Fatalf("%s", now.text)
		}
		if res := b.token(form); res.code() != "invalid_client" {
			t.Errorf("it was public: %s", res.text)
		}
		if res := b.token(form, basic(id, now.get("client_secret"))); res.code() != "invalid_grant" {
			t.Errorf("%s", res.text)
		}
		if res := b.manage(http.MethodPut, id, token, members{"grant_types": umaGrant, "token_endpoint_auth_method": "none"}); res.body["client_secret_expires_at"] != nil {
			t.Errorf("%s", res.text)
		}
		if res := b.token(form, basic(id, now.get("client_secret"))); res.code() != "invalid_client" {
			t.Errorf("the old secret: %s", res.text)
		}
	})
	t.Run("delete", func(t *testing.T) {
		access := b.token(map[string]string{"grant_type": "client_credentials"}, basic(id, secret)).get("access_token")
		if res := b.call(access, http.MethodGet, "resource", ""); res.status != 403 {
			t.Fatalf("live: %d %s", res.status, res.text)
		}
		if res := b.manage(http.MethodDelete, id, token, ""); res.status != 204 || res.text != "" || res.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", res.status, res.text)
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			if res := b.manage(method, id, token, `{}`); res.status != 401 {
				t.Errorf("%s: %d", method, res.status)
			}
		}
		if res := b.call(access, http.MethodGet, "resource", ""); res.status != 401 {
			t.Errorf("its token: %d %s", res.status, res.text)
		}
		if res := b.token(map[string]string{"grant_type": "client_credentials"}, basic(id, secret)); res.code() != "invalid_client" {
			t.Errorf("its secret: %s", res.text)
		}
		if res := b.manage(http.MethodGet, other.get("client_id"), other.get("registration_access_token"), ""); res.status != 200 {
			t.Errorf("another client: %d", res.status)
		}
	})
	t.Run("SEC-28 of another issuer", func(t *testing.T) {
		two := b.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
		if res := two.manage(http.MethodGet, other.get("client_id"), other.get("registration_access_token"), ""); res.status != 401 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	return text(t, a) == text(t, b)
}

// Of PUTs and a DELETE at once each is done whole or not at all, and after the
// DELETE nothing brings the client back.
func TestOA_24_Races(t *testing.T) {
	b := registering(t)
	for range 10 {
		c := b.signUp(members{"client_name": "0"})
		id, token := c.get("client_id"), c.get("registration_access_token")
		var wg sync.WaitGroup
		var deleted atomic.Int64
		start := make(chan struct{})
		for i := range 6 {
			wg.Go(func() {
				<-start
				if i < 2 {
					if res := b.manage(http.MethodDelete, id, token, ""); res.status == 204 {
						deleted.Add(1)
					} else if res.status != 409 && res.status != 401 {
						t.Errorf("DELETE: %d %s", res.status, res.text)
					}
					return
				}
				if res := b.manage(http.MethodPut, id, token, members{"client_name": "1"}); res.status != 200 && res.status != 409 && res.status != 401 {
					t.Errorf("PUT: %d %s", res.status, res.text)
				}
			})
		}
		close(start)
		wg.Wait()
		status := b.manage(http.MethodGet, id, token, "").status
		if deleted.Load() > 1 || (deleted.Load() == 1) != (status == 401) {
			t.Errorf("%d deleted it, GET %d", deleted.Load(), status)
		}
	}
}
