package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// A provider that fails while its user stands at the door: the client is told to
// come again with a new ticket, within seconds, nothing is let in, and the log
// says whose provider it was.
func TestSEC_08_ProviderFaultsEndToEnd(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		fault      http.HandlerFunc
	}{
		{"the keys hang", fakeop.JWKS, fakeop.Hang()},
		{"the keys drip", fakeop.JWKS, fakeop.SlowDrip()},
		{"the keys are HTML", fakeop.JWKS, fakeop.HTML()},
		{"the keys are a bomb", fakeop.JWKS, fakeop.GzipBomb(64 << 20)},
		{"WebFinger is reset", fakeop.WebFinger, fakeop.Reset()},
		{"the configuration is of another issuer", fakeop.Configuration, fakeop.JSON("application/json", map[string]any{"issuer": "https://mallory.example", "jwks_uri": "https://mallory.example/jwks"})},
	} {
		t.Run("SEC-08 "+tc.name, func(t *testing.T) {
			e := strangers(t)
			e.Misbehave(tc.path, tc.fault)
			ticket, _ := e.w.challenged(http.MethodGet, "/")
			start := time.Now()
			a := e.w.redeem(ticket, e.sign(e.good(ticket)), nil)
			took := time.Since(start)
			e.w.refused(t, a, oauth.CodeNeedInfo)
			if took > 15*time.Second {
				t.Errorf("took %v", took)
			}
			told := ""
			for line := range strings.Lines(readText(t, e.w.dir+"/log")) {
				if !strings.Contains(line, `"level":"debug"`) && strings.Contains(line, "eve.localhost") && strings.Contains(line, `"reason":`) {
					told += line
				}
			}
			if told == "" {
				t.Error("the log does not say whose provider failed, and how")
			}
			t.Log(told)
			t.Logf("told after %v", took.Round(time.Millisecond))
		})
	}
}
