package uma_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// vectors are the marked blocks of the profile document.
func vectors(t *testing.T) (text string, blocks map[string]string) {
	t.Helper()
	data, err := os.ReadFile("../../docs/correlated-authorization.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks = map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^```(?:json|text) ([a-z]+)\n(.*)\n```$").FindAllStringSubmatch(string(data), -1) {
		blocks[m[1]] = m[2]
	}
	return string(data), blocks
}

// TestUG_06_TestVectors holds the test vectors of the profile document against
// the server: they must be what it says.
func TestUG_06_TestVectors(t *testing.T) {
	text, v := vectors(t)
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z0-9_-]+)` \\| `([A-Za-z0-9_-]{43})` \\|$").FindAllStringSubmatch(text, -1)
	if len(rows) != 2 || len(v) != 5 {
		t.Fatalf("%d tickets and %d blocks in the document", len(rows), len(v))
	}
	for _, row := range rows {
		if got := oauth.TicketChallenge(row[1]); got != row[2] {
			t.Errorf("CA-08: the challenge of %s is %s, not %s", row[1], got, row[2])
		}
	}
	parts := strings.Split(v["token"], ".")
	for i, name := range []string{"header", "payload"} {
		if got, _ := base64.RawURLEncoding.DecodeString(parts[i]); string(got) != v[name] {
			t.Errorf("%s of the token is %s", name, got)
		}
	}
	changed := parts[0] + "." + parts[1] + "." + strings.Replace(parts[2], "cbjr", "cbjs", 1)
	const iat = 1790000000
	for _, tc := range []struct {
		name, ticket, rs, token, issuer, keys string
		at                                    int64
		ok                                    bool
	}{
		{"accepted", rows[0][1], "api", v["token"], issuer, v["jwks"], iat, true},
		{"the first second", rows[0][1], "api", v["token"], issuer, v["jwks"], iat - 60, true},
		{"the last second", rows[0][1], "api", v["token"], issuer, v["jwks"], iat + 179, true},
		{"too early", rows[0][1], "api", v["token"], issuer, v["jwks"], iat - 61, false},
		{"too late", rows[0][1], "api", v["token"], issuer, v["jwks"], iat + 180, false},
		{"another ticket", rows[1][1], "api", v["token"], issuer, v["jwks"], iat, false},
		{"another resource server", rows[0][1], "photos", v["token"], issuer, v["jwks"], iat, false},
		{"another authorization server", rows[0][1], "api", v["token"], "https://as.carol.example", v["jwks"], iat, false},
		{"another signature", rows[0][1], "api", changed, issuer, v["jwks"], iat, false},
		{"no such key", rows[0][1], "api", v["token"], issuer, strings.Replace(v["jwks"], `"kid":"k`, `"kid":"l`, 1), iat, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.cfg.DiscoverAny, b.now = true, time.Unix(tc.at, 0)
				b.op.Misbehave(fakeop.JWKS, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/jwk-set+json")
					_, _ = fmt.Fprint(w, tc.keys)
				})
			})
			if tc.issuer != issuer {
				b = b.reload(func(c *uma.Config) { c.Issuer = tc.issuer })
			}
			email, err := b.server.VerifyClaimToken(t.Context(), tc.ticket, tc.rs, tc.token)
			if (err == nil) != tc.ok || tc.ok && email != "bob@bob.example" {
				t.Errorf("VerifyClaimToken = %q, %v", email, err)
			}
			if !tc.ok {
				return
			}
			if asked := "https://bob.example" + b.op.Requests()[0].URI; asked != v["webfinger"] {
				t.Errorf("OD-01: WebFinger is asked at %s", asked)
			}
		})
	}
}
