package uma_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// A client that publishes its metadata; its host is connected to the bench's
// provider.
const (
	docHost  = "evil.example"
	docID    = "https://" + docHost + "/client"
	docKeys  = "https://" + docHost + "/client-keys"
	docOther = "https://other.bob.example/client"
)

// documented is a bench that takes https URLs as client_ids.
func documented(t testing.TB, domains []string, edits ...func(*bench)) *bench {
	t.Helper()
	return newBench(t, append([]func(*bench){func(b *bench) {
		b.cfg.ClientDocuments = &uma.ClientDocuments{Domains: domains}
	}}, edits...)...)
}

func document(edits members) members {
	doc := members{"client_id": docID, "token_endpoint_auth_method": "none", "grant_types": umaGrant, "client_name": "Elsewhere"}
	for name, value := range edits {
		doc[name] = value
		if value == nil {
			delete(doc, name)
		}
	}
	return doc
}

func publish(doc members) http.HandlerFunc { return fakeop.JSON("application/json", doc) }

// knock sends a token request with a ticket that is none: who gets as far as
// invalid_grant was authenticated.
func (b *bench) knock(id string, more ...map[string]string) reply {
	b.t.Helper()
	form := map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": id, "ticket": "x"}
	for _, m := range more {
		for name, value := range m {
			form[name] = value
			if value == "" {
				delete(form, name)
			}
		}
	}
	return b.token(form)
}

func TestClientDocument(t *testing.T) {
	b := documented(t, nil)
	b.op.Misbehave(docHost+"/client", publish(document(nil)))
	fresh := b.fresh()
	rpt := b.present(fresh, b.sign(b.claims(fresh, nil)), map[string]string{"client_id": docID})
	if rpt.status != 200 || payload(t, rpt.get("access_token"))["client_id"] != docID {
		t.Fatalf("%d %s", rpt.status, rpt.text)
	}
	if n := b.op.Hits(docHost + "/client"); n != 1 {
		t.Errorf("%d requests", n)
	}
	for _, r := range b.op.Requests() {
		if r.Path == "/client" && (r.Method != http.MethodGet || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "") {
			t.Errorf("%+v", r)
		}
	}
	if doc := b.get("/.well-known/uma2-configuration"); doc.body["client_id_metadata_document_supported"] != true {
		t.Errorf("%s", doc.text)
	}
	t.Run("off", func(t *testing.T) {
		b := newBench(t)
		if res := b.knock(docID); res.code() != "invalid_client" || b.op.Conns() != 0 {
			t.Errorf("%s, %d connections", res.text, b.op.Conns())
		}
		if doc := b.get("/.well-known/uma2-configuration"); strings.Contains(doc.text, "client_id_metadata") {
			t.Errorf("%s", doc.text)
		}
	})
	t.Run("a client of the configuration comes first", func(t *testing.T) {
		b := documented(t, nil, func(b *bench) {
			b.cfg.Clients = append(b.cfg.Clients, clientauth.Client{ID: docID, Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret("x")}}})
		})
		b.op.Misbehave(docHost+"/client", publish(document(nil)))
		if res := b.knock(docID); res.code() != "invalid_client" || b.op.Conns() != 0 {
			t.Errorf("%s, %d connections", res.text, b.op.Conns())
		}
	})
}

// Names that are not canonical are not asked for.
func TestClientDocumentURL(t *testing.T) {
	b := documented(t, []string{docHost, "*.bob.example"})
	b.op.Misbehave("/client", publish(document(nil)))
	for _, id := range []string{
		"http://evil.example/client", "https://evil.example", "https://evil.example/client#x", "https://evil.example/client#", "https://evil.example/client?x",
		"https://evil.example/client?", "https://a:b@evil.example/client", "https://@evil.example/client", "https://evil.example/./client", "https://evil.example/a/../client", "https://evil.example/%2e/client",
		"https://evil.example//client", "https://EVIL.example/client", "HTTPS://evil.example/client", "https://evil.example:443/client", "https://evil.example./client",
		"https://evil.example/client ", "https://evil.example/\\client", "https://evil.example/%63lient", "https://evil.example:/client", "https:evil.example/client",
		"https://evil.example/" + strings.Repeat("a", 255), "https://127.0.0.1/client", "https://[::1]/client", "https://localhost/client",
		// other domains
		"https://example/client", "https://xevil.example/client", "https://sub.evil.example/client", "https://bob.example/client", "https://bob.example.evil.org/client",
	} {
		if res := b.knock(id); res.status != 401 || res.code() != "invalid_client" {
			t.Errorf("%s: %d %s", id, res.status, res.text)
		}
	}
	if n := b.op.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
	b.op.Misbehave("other.bob.example/client", publish(document(members{"client_id": docOther})))
	if res := b.knock(docOther); res.code() != "invalid_grant" {
		t.Errorf("below *.bob.example: %s", res.text)
	}
	t.Run("SEC-05 this host and other ports", func(t *testing.T) {
		b := documented(t, nil)
		for _, id := range []string{"https://127.0.0.1/client", "https://[::1]/client", "https://10.0.0.1/client", "https://evil.example:8443/client", "https://localhost/client"} {
			if res := b.knock(id); res.status < 400 || res.code() == "invalid_grant" {
				t.Errorf("%s: %s", id, res.text)
			}
		}
		if n := b.op.Conns(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestClientDocumentContent(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	keys := members{"keys": []any{key.JWK(nil)}}
	huge := publish(document(members{"x": strings.Repeat("a", 5<<10)}))
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		code  string
	}{
		"good":                      {publish(document(nil)), "invalid_grant"},
		"application/x+json":        {fakeop.JSON("application/oauth-client+json", document(nil)), "invalid_grant"},
		"another client_id":         {publish(document(members{"client_id": docOther})), "invalid_client"},
		"client_id with a slash":    {publish(document(members{"client_id": docID + "/"})), "invalid_client"},
		"client_id in capitals":     {publish(document(members{"client_id": strings.ToUpper(docID)})), "invalid_client"},
		"client_id of a client":     {publish(document(members{"client_id": "web"})), "invalid_client"},
		"no client_id":              {publish(document(members{"client_id": nil})), "invalid_client"},
		"no method":                 {publish(document(members{"token_endpoint_auth_method": nil})), "invalid_client"},
		"a secret":                  {publish(document(members{"client_secret": "x"})), "invalid_client"},
		"when a secret expires":     {publish(document(members{"client_secret_expires_at": 0})), "invalid_client"},
		"by secret":                 {publish(document(members{"token_endpoint_auth_method": "client_secret_basic"})), "invalid_client"},
		"by secret in the body":     {publish(document(members{"token_endpoint_auth_method": "client_secret_post"})), "invalid_client"},
		"by certificate":            {publish(document(members{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=a"})), "invalid_client"},
		"by its own certificate":    {publish(document(members{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": keys})), "invalid_client"},
		"private keys":              {publish(document(members{"jwks": members{"keys": []any{key.JWK(members{"d": "AA"})}}})), "invalid_client"},
		"javascript":                {publish(document(members{"redirect_uris": []string{"javascript:x"}})), "invalid_client"},
		"javascript as a logo":      {publish(document(members{"logo_uri": "javascript:x"})), "invalid_client"},
		"OA-05 no UMA grant":        {publish(document(members{"grant_types": nil})), "unauthorized_client"},
		"a grant that is not there": {publish(document(members{"grant_types": []string{"password"}})), "invalid_client"},
		"uma_protection":            {publish(document(members{"scope": "uma_protection"})), "invalid_client"},
		"certificate wanted":        {publish(document(members{"tls_client_certificate_bound_access_tokens": true})), "invalid_request"},
		"a page":                    {fakeop.HTML(), "invalid_client"},
		"text":                      {fakeop.JSON("text/plain", document(nil)), "invalid_client"},
		"no JSON":                   {fakeop.Raw(200, "application/json", "{"), "invalid_client"},
		"a repeated member":         {fakeop.Raw(200, "application/json", `{"client_id":"x","client_id":"`+docID+`"}`), "invalid_client"},
		"a list":                    {fakeop.Raw(200, "application/json", "[]"), "invalid_client"},
		"a redirect":                {fakeop.RedirectTo("https://evil.example/elsewhere"), "invalid_client"},
		"not found":                 {fakeop.Status(404), "invalid_client"},
		"201":                       {fakeop.Raw(201, "application/json", "{}"), "invalid_client"},
		"SEC-08 huge":               {huge, "temporarily_unavailable"},
		"SEC-08 endless":            {fakeop.Endless(), "temporarily_unavailable"},
		"SEC-08 a bomb":             {fakeop.GzipBomb(1 << 20), "temporarily_unavailable"},
		"truncated":                 {fakeop.Truncated(), "temporarily_unavailable"},
		"broken":                    {fakeop.Status(502), "temporarily_unavailable"},
		"too often":                 {fakeop.Status(429), "temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			b := documented(t, nil)
			b.op.Misbehave(docHost+"/elsewhere", publish(document(nil)))
			b.op.Misbehave(docHost+"/client", tc.serve)
			ticket := b.fresh()
			res := b.knock(docID)
			if res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
			again := b.knock(docID)
			if again.code() != tc.code || b.op.Hits(docHost+"/client") != 1 || b.op.Hits("/elsewhere") != 0 {
				t.Errorf("again: %s, %d requests", again.text, b.op.Hits(docHost+"/client"))
			}
			if tc.code == "invalid_grant" {
				return
			}
			if got := b.knock(docID, map[string]string{"ticket": ticket}); got.code() != tc.code {
				t.Errorf("%s", got.text)
			}
			if rpt := b.ask(ticket); rpt.status != 200 {
				t.Errorf("the ticket was spent: %s", rpt.text)
			}
		})
	}
}

// A stranger gives himself neither scopes nor tokens with them.
func TestUF_03_StrangersHaveNoScopes(t *testing.T) {
	b := documented(t, nil)
	key := josetest.NewKey("ES256", "k1")
	b.op.Misbehave(docHost+"/client", publish(document(members{
		"token_endpoint_auth_method": "private_key_jwt", "jwks": members{"keys": []any{key.JWK(nil)}},
		"grant_types": []string{"client_credentials", oauth.GrantUMATicket}, "scope": "get print",
	})))
	for _, scope := range []string{"", "get", "uma_protection"} {
		form := b.asserted(key, docID, nil)
		form["grant_type"], form["scope"] = "client_credentials", scope
		if res := b.token(form); res.code() != "unauthorized_client" {
			t.Errorf("%q: %s", scope, res.text)
		}
	}
	if res := b.knock(docID, b.asserted(key, docID, nil)); res.code() != "invalid_grant" {
		t.Errorf("%s", res.text)
	}
}

// asserted is a form with private_key_jwt.
func (b *bench) asserted(key josetest.Key, id string, edits map[string]any) map[string]string {
	now := b.clock().Unix()
	claims := map[string]any{"iss": id, "sub": id, "aud": issuer, "exp": now + 60, "jti": fmt.Sprint(serial.Add(1))}
	maps.Copy(claims, edits)
	return map[string]string{
		"client_id": id, "client_assertion_type": oauth.AssertionTypeJWT, "client_assertion": key.Sign(nil, claims),
	}
}

// serial makes each jti another one.
var serial atomic.Int64

func TestClientDocumentKeys(t *testing.T) {
	b := documented(t, nil)
	key, next := josetest.NewKey("ES256", "k1"), josetest.NewKey("ES256", "k1")
	b.op.Misbehave(docHost+"/client", publish(document(members{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": docKeys})))
	b.op.Misbehave(docHost+"/client-keys", fakeop.Status(503))
	if res := b.knock(docID, b.asserted(key, docID, nil)); res.status != 503 || res.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", res.status, res.text)
	}
	b.op.Misbehave(docHost+"/client-keys", fakeop.Raw(200, "application/json", string(josetest.JWKS(key.JWK(nil)))))
	b.pass(30 * time.Second)
	if res := b.knock(docID, b.asserted(key, docID, nil)); res.code() != "invalid_grant" {
		t.Errorf("%d %s", res.status, res.text)
	}
	for name, form := range map[string]map[string]string{
		"no assertion":        {"client_id": docID},
		"another key":         b.asserted(next, docID, nil),
		"as somebody else":    b.asserted(key, "web", nil),
		"another audience":    b.asserted(key, docID, map[string]any{"aud": issuer + "/uma/token"}),
		"two audiences":       b.asserted(key, docID, map[string]any{"aud": []string{issuer, docID}}),
		"for a web of trust":  b.asserted(key, docOther, nil),
		"a secret beside it ": {"client_id": docID, "client_secret": "x"},
	} {
		if res := b.knock(form["client_id"], form); res.code() != "invalid_client" {
			t.Errorf("%s: %s", name, res.text)
		}
	}
	t.Run("a document that changed", func(t *testing.T) {
		b.op.Misbehave(docHost+"/client", publish(document(nil)))
		if res := b.knock(docID); res.code() != "invalid_client" {
			t.Errorf("within the hour: %s", res.text)
		}
		b.pass(time.Hour)
		if res := b.knock(docID); res.code() != "invalid_grant" {
			t.Errorf("public now: %s", res.text)
		}
		if res := b.knock(docID, b.asserted(key, docID, nil)); res.code() != "invalid_client" {
			t.Errorf("the old way: %s", res.text)
		}
		b.op.Misbehave(docHost+"/client", fakeop.Status(404))
		b.pass(time.Hour)
		if res := b.knock(docID); res.code() != "invalid_client" {
			t.Errorf("gone: %s", res.text)
		}
		b.op.Misbehave(docHost+"/client", publish(document(nil)))
		if res := b.knock(docID); res.code() != "invalid_client" {
			t.Errorf("back, within the pause: %s", res.text)
		}
		b.pass(30 * time.Second)
		if res := b.knock(docID); res.code() != "invalid_grant" {
			t.Errorf("back: %s", res.text)
		}
	})
}

// Anonymous requests cannot make us call others at will.
func TestSEC_18_ClientDocuments(t *testing.T) {
	t.Run("one flight for all", func(t *testing.T) {
		b := documented(t, nil)
		release := make(chan struct{})
		b.op.Misbehave(docHost+"/client", fakeop.Wait(release, publish(document(nil))))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if res := b.knock(docID); res.code() != "invalid_grant" {
					t.Errorf("%s", res.text)
				}
			})
		}
		close(release)
		wg.Wait()
		if n := b.op.Hits(docHost + "/client"); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("new names", func(t *testing.T) {
		var ip string
		b := documented(t, nil, func(b *bench) { b.cfg.ClientIP = func(*http.Request) string { return ip } })
		b.op.Misbehave(docHost+"/client", publish(document(nil)))
		ip = "192.0.2.9"
		if res := b.knock(docID); res.code() != "invalid_grant" {
			t.Fatal(res.text)
		}
		ip = "192.0.2.1"
		var codes []int
		for i := range 15 {
			codes = append(codes, b.knock(fmt.Sprintf("https://evil.example/%d", i)).status)
		}
		if want := append(slices.Repeat([]int{401}, 10), slices.Repeat([]int{429}, 5)...); !slices.Equal(codes, want) {
			t.Errorf("%v", codes)
		}
		if res := b.knock(docID); res.code() != "invalid_grant" {
			t.Errorf("one that is known: %s", res.text)
		}
		ip = "192.0.2.2"
		if res := b.knock("https://evil.example/new"); res.status != 401 {
			t.Errorf("another source: %d", res.status)
		}
		for i := range 400 {
			ip = fmt.Sprintf("198.51.%d.%d", i/250, i%250)
			b.knock(fmt.Sprintf("https://evil.example/flood/%d", i))
		}
		if n := b.op.Hits(""); n > 310 {
			t.Errorf("%d requests", n)
		}
		b.op.Forget()
		b.pass(time.Hour + time.Second)
		for i := range 400 { // the flood goes on
			ip = fmt.Sprintf("198.51.%d.%d", i/250, i%250)
			b.knock(fmt.Sprintf("https://evil.example/flood2/%d", i))
		}
		ip = "192.0.2.3"
		if res := b.knock(docID); res.code() != "invalid_grant" {
			t.Errorf("a known one is renewed all the same: %s", res.text)
		}
	})
	t.Run("the limit of the token endpoint comes first", func(t *testing.T) {
		b := documented(t, nil, func(b *bench) { b.cfg.SourceLimit = limit.New(2, time.Minute, 10, b.clock) })
		for i := range 5 {
			b.knock(fmt.Sprintf("https://evil.example/%d", i))
		}
		if n := b.op.Hits(""); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("a bad form calls nobody", func(t *testing.T) {
		b := documented(t, nil)
		for _, form := range []string{
			"client_id=" + docID, "grant_type=password&client_id=" + docID,
			"grant_type=client_credentials&client_id=" + docID + "&client_id=x", "grant_type=client_credentials&client_id=" + docID + "&client_secret=x&client_assertion=x",
		} {
			if res := b.post(b.server, form); res.status != 400 {
				t.Errorf("%s: %s", form, res.text)
			}
		}
		if n := b.op.Conns(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}
