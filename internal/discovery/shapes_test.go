package discovery_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
)

// ecPoint is a key of nobody, on P-256: the generator of RFC 7517 appendix A.1.
const ecPoint = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`

// A key set that was good changes its shape between two fetches. Nothing that it
// becomes lets a token in that its provider did not sign with a published key,
// each shape costs one fetch, and the provider is well again within a minute.
func TestSEC_10_KeySetThatChangesShape(t *testing.T) {
	key := func(members string) string { return `{"keys":[{` + members + `}]}` }
	for _, tc := range []struct {
		name string
		body string
		// old: what was signed with the key of before still counts, because the new
		// document is none. A good document without that key ends it.
		old bool
	}{
		{"an object instead of the list", `{"keys":{"key-2":{` + ecPoint + `}}}`, true},
		{"a list instead of the object", `[{` + ecPoint + `}]`, true},
		{"a single key", `{` + ecPoint + `,"kid":"key-2"}`, true},
		{"keys twice", `{"keys":[],"keys":[]}`, true},
		{"null", `null`, true},
		{"keys of null", `{"keys":null}`, true},
		{"a key of null", `{"keys":[null]}`, true},
		{"nothing", ``, true},
		{"HTML", `<!doctype html><title>Welcome</title>`, true},
		{"cut off", `{"keys":[{` + ecPoint, true},
		{"two documents", key(ecPoint+`,"kid":"key-2"`) + `{}`, true},
		{"65 keys", `{"keys":[` + strings.Repeat(`{`+ecPoint+`},`, 64) + `{` + ecPoint + `}]}`, true},
		{"1000 RSA keys", fakeop.KeySet(1000, 2048), true},
		{"a huge exponent", key(`"kty":"RSA","kid":"key-2","n":"` + strings.Repeat("_", 342) + `","e":"` + strings.Repeat("_", 4000) + `"`), false},
		{"a huge modulus", fakeop.KeySet(1, 200_000), false},
		{"a secret", key(`"kty":"oct","kid":"key-2","k":"AAAA"`), true},
		{"a private key", key(ecPoint + `,"kid":"key-2","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"`), true},
		{"one kid twice", `{"keys":[{` + ecPoint + `,"kid":"key-2"},{` + ecPoint + `,"kid":"key-2"}]}`, true},
		{"the kid is a number", key(ecPoint + `,"kid":2`), true},
		{"a point off the curve", key(strings.Replace(ecPoint, "MKBC", "MKBD", 1) + `,"kid":"key-2"`), false},
		{"another algorithm", key(ecPoint + `,"kid":"key-2","alg":"ES384"`), false},
		{"for encryption", key(ecPoint + `,"kid":"key-2","use":"enc"`), false},
		{"another key under the kid", key(ecPoint + `,"kid":"key-2"`), false},
		{"the empty set", `{"keys":[]}`, false},
	} {
		t.Run("SEC-10 "+tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			w := newPatient(t, op, discovery.Config{})
			old := op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)
			if err := verify(t, w, old); err != nil {
				t.Fatal(err)
			}
			w.pass(2 * time.Minute)
			op.Rotate("key-2", false)
			next := op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)
			op.Misbehave(fakeop.JWKS, fakeop.Raw(http.StatusOK, "application/json", tc.body))
			c := costOf(op, func() {
				for range 20 {
					if err := verify(t, w, next); err == nil {
						t.Error("a token by a key that is not published is accepted")
					}
				}
			})
			if op.Hits(fakeop.JWKS) != 1 || c.alloc > 16<<20 {
				t.Errorf("20 tokens: %+v", c)
			}
			if err := verify(t, w, old); (err == nil) != tc.old {
				t.Errorf("a token by the key of before: %v", err)
			}
			op.Misbehave(fakeop.JWKS, nil)
			w.pass(time.Minute)
			// The old one first: a key that is not known makes us look again, another one under
			// the same kid does not before the set is too old.
			if err := verify(t, w, old); tc.old && err != nil {
				t.Errorf("old token when all is well again: %v", err)
			}
			if err := verify(t, w, next); err != nil {
				t.Errorf("new token when all is well again: %v", err)
			}
			w.wantHits(fakeop.JWKS, 2)
		})
	}
}

// Whose keys cannot be read, and why, is told once and not at DEBUG.
func TestKeysThatCannotBeReadAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"HTML":      {fakeop.HTML(), "not acceptable JSON"},
		"503":       {fakeop.Status(503), "the key set is unavailable"},
		"truncated": {fakeop.Truncated(), "no whole answer"},
	} {
		core, logs := observer.New(zap.WarnLevel)
		op := fakeop.New(t, fakeop.Config{})
		w := newPatient(t, op, discovery.Config{Log: zap.New(core)})
		op.Misbehave(fakeop.JWKS, tc.answer)
		for range 5 {
			_ = verify(t, w, op.Sign(nil, discovery.DefaultTyp))
		}
		all := logs.All()
		if len(all) != 1 {
			t.Errorf("%s: %d lines, want 1", name, len(all))
			continue
		}
		fields := all[0].ContextMap()
		if reason, _ := fields["reason"].(string); fields["domain"] != "bob.example" || !strings.Contains(reason, tc.reason) {
			t.Errorf("%s: %v", name, fields)
		}
	}
}
