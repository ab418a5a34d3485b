package integration_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// eve is an organisation outside this Caddy, whose provider signs whatever a
// test wants. The authorization server reaches her by an email_domain entry
// with her own CA. A second provider of hers, zoe, has an issuer with a path.
type eve struct {
	*fakeop.OP
	zoe *fakeop.OP
	w   *world
}

// strangers starts the example with eve's and zoe's providers beside Bob's.
func strangers(t *testing.T, edits ...string) *eve {
	t.Helper()
	e := &eve{
		OP:  fakeop.New(t, fakeop.Config{Domain: "eve.localhost"}),
		zoe: fakeop.New(t, fakeop.Config{Domain: "eve.localhost", Issuer: "https://eve.localhost/zoe"}),
	}
	e.zoe.Edit(func(doc map[string]any) { doc["jwks_uri"] = "https://eve.localhost/zoe/jwks" })
	e.Misbehave("/zoe"+fakeop.Configuration, e.zoe.ServeHTTP)
	e.Misbehave("/zoe/jwks", http.StripPrefix("/zoe", e.zoe).ServeHTTP)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, e.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	e.w = example(t, append([]string{
		"trust_internal_ca\n", "trust_internal_ca\n\t\tconnect_to eve.localhost:443 " + e.Addr + "\n",
		"policy readers {", "rate_limit token off\n\t\temail_domain eve.localhost https://eve.localhost {\n\t\t\ttrust_pool file " + ca + "\n\t\t}\n\t\tpolicy readers {",
		"from bob@bob.localhost", "from bob@bob.localhost bob@eve.localhost mallory@eve.localhost",
	}, edits...)...)
	return e
}

// good are claims that the authorization server takes for this ticket.
func (e *eve) good(ticket string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"sub": "1", "aud": e.w.url("api", ""), "iat": now, "exp": now + 60, "jti": "j",
		"email": "bob@eve.localhost", "email_verified": true, "ticket_challenge": s256(ticket),
	}
}

func with(claims map[string]any, name string, value any) map[string]any {
	c := maps.Clone(claims)
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// jws makes a compact JWS by hand.
func jws(header, claims map[string]any, sign func(input string) []byte) string {
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	input := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

// publicKeyPEM is the provider's published key as a file would hold it: the
// secret of whoever confuses HS256 with ES256.
func (e *eve) publicKeyPEM() []byte {
	e.w.t.Helper()
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequestWithContext(e.w.t.Context(), http.MethodGet, "https://"+e.Domain+fakeop.JWKS, nil))
	var set struct {
		Keys []struct{ X, Y string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &set); err != nil || len(set.Keys) == 0 {
		e.w.t.Fatalf("keys: %v %s", err, rec.Body)
	}
	point := []byte{4} // uncompressed
	for _, coordinate := range []string{set.Keys[0].X, set.Keys[0].Y} {
		b, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			e.w.t.Fatal(err)
		}
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		e.w.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		e.w.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func hs256(key []byte) func(string) []byte {
	return func(input string) []byte {
		mac := hmac.New(crypto.SHA256.New, key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

func (e *eve) sign(claims map[string]any) string { return e.Sign(claims, oauth.TypClaimsToken) }

// refused checks that step 7 said no, and that nothing reached the backend.
func (w *world) refused(t *testing.T, a answer, code string) {
	t.Helper()
	want := http.StatusForbidden
	if code == oauth.CodeInvalidGrant {
		want = http.StatusBadRequest
	}
	if a.status != want || a.get("error") != code || a.get("access_token") != "" {
		t.Errorf("%d %s, want %d %s", a.status, a.text, want, code)
	}
	if code == oauth.CodeNeedInfo && a.get("ticket") == "" {
		t.Error("need_info without a successor ticket")
	}
	if w.hits.Load() != 0 {
		t.Error("the backend was reached")
	}
}

// plantedFaults are claims tokens of a provider that signs what it likes.
var plantedFaults = []struct {
	name string
	code string
	make func(e *eve, good map[string]any) string
}{
	{"CA-37 wrong challenge", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "ticket_challenge", s256("another ticket")))
	}},
	{"CA-37 the ticket itself instead of its hash", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "ticket_challenge", []any{c["ticket_challenge"]}))
	}},
	{"CA-37 no challenge", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "ticket_challenge", nil))
	}},
	{"CA-36 another audience", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "aud", "https://other.localhost"))
	}},
	{"CA-36 two audiences", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "aud", []any{c["aud"], "https://other.localhost"}))
	}},
	{"CA-36 trailing slash", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "aud", c["aud"].(string)+"/"))
	}},
	{"CA-32 foreign issuer for the domain", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email", "bob@bob.localhost"))
	}},
	{"CA-32 Bob's issuer, signed by a stranger", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(with(c, "email", "bob@bob.localhost"), "iss", e.w.url("bob", "")))
	}},
	{"CA-39 stranger's domain", "request_denied", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email", "bob@nobody.localhost"))
	}},
	{"CA-39 address of no policy", "request_denied", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email", "eve@eve.localhost"))
	}},
	{"SEC-03 expired", "need_info", func(e *eve, c map[string]any) string {
		now := time.Now().Unix()
		return e.sign(with(with(c, "iat", now-300), "exp", now-120))
	}},
	{"SEC-03 lives too long", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "exp", time.Now().Unix()+3600))
	}},
	{"CA-29 e-mail not verified", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email_verified", false))
	}},
	{"CA-29 e-mail verified as a string", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email_verified", "true"))
	}},
	{"CA-29 silence about the e-mail", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email_verified", nil))
	}},
	{"CA-27 two addresses", "need_info", func(e *eve, c map[string]any) string {
		return e.sign(with(c, "email_address", "mallory@eve.localhost"))
	}},
	{"CA-35 a key that is not published", "need_info", func(e *eve, c map[string]any) string {
		return e.Forge(c, oauth.TypClaimsToken)
	}},
	{"CA-26 alg none", "need_info", func(e *eve, c map[string]any) string {
		return jws(map[string]any{"alg": "none", "typ": oauth.TypClaimsToken}, with(c, "iss", e.Issuer), func(string) []byte { return nil })
	}},
	{"CA-26 HS256 with the public key", "need_info", func(e *eve, c map[string]any) string {
		header := map[string]any{"alg": "HS256", "typ": oauth.TypClaimsToken, "kid": e.KID()}
		return jws(header, with(c, "iss", e.Issuer), hs256(e.publicKeyPEM()))
	}},
	{"AT-06 an ID token's typ", "need_info", func(e *eve, c map[string]any) string { return e.Sign(c, "JWT") }},
	{"AT-06 an access token's typ", "need_info", func(e *eve, c map[string]any) string { return e.Sign(c, "at+jwt") }},
	{"SEC-03 the typ in the wrong place", "need_info", func(e *eve, c map[string]any) string {
		return e.Sign(with(c, "typ", oauth.TypClaimsToken), "")
	}},
}

func TestSEC_01_PlantedFaults(t *testing.T) {
	e := strangers(t)
	for _, tc := range plantedFaults {
		t.Run(tc.name, func(t *testing.T) {
			ticket, _ := e.w.challenged(http.MethodGet, "/")
			a := e.w.redeem(ticket, tc.make(e, e.good(ticket)), nil)
			e.w.refused(t, a, tc.code)
		})
	}
	t.Run("CA-35 the neighbour without a fault", func(t *testing.T) {
		ticket, _ := e.w.challenged(http.MethodGet, "/")
		a := e.w.redeem(ticket, e.sign(e.good(ticket)), nil)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		if ok := e.w.get(e.w.url("api", "/"), bearer(a.get("access_token"))); ok.status != http.StatusOK || e.w.hits.Load() != 1 {
			t.Errorf("%d %s", ok.status, ok.text)
		}
	})
}

// One domain, two providers: WebFinger says who vouches for whom, and it is
// asked for each address anew.
func TestCA_32_AnotherAddressOfTheDomain(t *testing.T) {
	// The second provider of a known domain lets nobody in by name before it is
	// accepted (SEC-27); this is about who vouches for whom.
	e := strangers(t, policyStart, "continuity warn\n\t\t"+policyStart)
	e.Link(func(resource string) (string, bool) {
		if resource == "acct:bob@eve.localhost" {
			return e.zoe.Issuer, true
		}
		return e.Issuer, true
	})
	claims := func(op *fakeop.OP, email, ticket string) string {
		return op.Sign(with(e.good(ticket), "email", email), oauth.TypClaimsToken)
	}
	for _, tc := range []struct {
		name, email string
		op          *fakeop.OP
		status      int
	}{
		{"for bob, before", "bob@eve.localhost", e.OP, http.StatusForbidden},
		{"for mallory", "mallory@eve.localhost", e.OP, http.StatusOK},
		{"for bob, right after mallory's success", "bob@eve.localhost", e.OP, http.StatusForbidden},
		{"for bob by his own", "bob@eve.localhost", e.zoe, http.StatusOK},
		{"for mallory by bob's", "mallory@eve.localhost", e.zoe, http.StatusForbidden},
	} {
		t.Run("CA-32 "+tc.name, func(t *testing.T) {
			ticket, _ := e.w.challenged(http.MethodGet, "/")
			a := e.w.redeem(ticket, claims(tc.op, tc.email, ticket), nil)
			if a.status != tc.status {
				t.Errorf("%d %s, want %d", a.status, a.text, tc.status)
			}
			if a.status != http.StatusOK {
				e.w.refused(t, a, oauth.CodeNeedInfo)
			}
		})
	}
}

func TestCA_37_Tickets(t *testing.T) {
	w := example(t)
	access := w.login("bob@bob.localhost", "bob-demo")
	api := w.url("api", "")

	t.Run("CA-37 ticket of somebody else's request", func(t *testing.T) {
		mine, _ := w.challenged(http.MethodGet, "/")
		theirs, _ := w.challenged(http.MethodGet, "/")
		w.refused(t, w.redeem(theirs, w.claimsToken(access, api, mine), nil), oauth.CodeNeedInfo)
	})
	t.Run("UG-59 spent ticket", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		claims := w.claimsToken(access, api, ticket)
		if a := w.redeem(ticket, claims, nil); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		w.refused(t, w.redeem(ticket, w.claimsToken(access, api, ticket), nil), oauth.CodeInvalidGrant)
	})
	t.Run("UG-59 ticket spent by a refusal", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		w.refused(t, w.redeem(ticket, "", map[string]string{"claim_token_format": ""}), oauth.CodeNeedInfo)
		w.refused(t, w.redeem(ticket, w.claimsToken(access, api, ticket), nil), oauth.CodeInvalidGrant)
	})
	t.Run("CA-38 claims token of the ticket before", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		claims := w.claimsToken(access, api, ticket)
		next := w.redeem(ticket, "", map[string]string{"claim_token_format": ""}).get("ticket")
		w.refused(t, w.redeem(next, claims, nil), oauth.CodeNeedInfo)
	})
	t.Run("UG-59 changed ticket", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		changed := flip(ticket)
		w.refused(t, w.redeem(changed, w.claimsToken(access, api, changed), nil), oauth.CodeInvalidGrant)
	})
	t.Run("CA-14 no target", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		a := w.exchange(access, "https://other.localhost", ticket, nil)
		if a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidTarget {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// flip changes one character in the middle.
func flip(s string) string {
	i := len(s) / 2
	c := "A"
	if s[i] == 'A' {
		c = "B"
	}
	return s[:i] + c + s[i+1:]
}
