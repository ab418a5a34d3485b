package integration_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Configurations that fail at one place after another leave no goroutine and no file
// open, and the store of one that never ran is not made.
func TestBrokenReloadsLeaveNothingBehind(t *testing.T) {
	w := example(t, noLimits()...)
	other := filepath.Join(w.dir, "other.db")
	app := func(config map[string]any, name string) map[string]any {
		apps, _ := config["apps"].(map[string]any)
		app, _ := apps[name].(map[string]any)
		return app
	}
	uma := func(name string, value any) func(map[string]any) {
		return func(config map[string]any) { app(config, "uma")[name] = value }
	}
	server := func(listen string, handler map[string]any) func(map[string]any) {
		return func(config map[string]any) {
			servers, _ := app(config, "http")["servers"].(map[string]any)
			servers["zz"] = map[string]any{"listen": []any{listen}, "routes": []any{map[string]any{"handle": []any{handler}}}}
		}
	}
	const nowhere, anywhere = "192.0.2.1:1", "127.0.0.1:0" // an address that no machine has
	broken := []func(map[string]any){
		uma("store", map[string]any{"module": "postgres", "dsn": "{env.UMA_TEST_UNSET}"}),
		uma("keys", "store"), uma("audit_subject", "some"),
		uma("trust_pool", map[string]any{"provider": "file", "pem_files": []any{other}}),
		server(anywhere, map[string]any{"handler": "uma_server", "issuer": "http://as.example"}),
		server(anywhere, map[string]any{"handler": "uma_sts"}),
		server(anywhere, map[string]any{"handler": "uma_protect"}),
		server(anywhere, map[string]any{"handler": "uma_health", "fail": []any{"some"}}),
		server(anywhere, map[string]any{"handler": "none"}),
		func(config map[string]any) {
			uma("store", map[string]any{"module": "bolt", "path": other})(config)
			server(nowhere, map[string]any{"handler": "uma_health"})(config)
		},
	}
	l := w.steadyLoad(1)
	fail := func(rounds int) (files int) {
		for range rounds {
			for i, b := range broken {
				if err := caddy.Load(brokenBy(t, w, b), true); err == nil {
					t.Errorf("configuration %d was loaded", i)
				}
			}
			l.await(1, 1)
		}
		runtime.GC()
		open, _ := os.ReadDir("/proc/self/fd")
		return len(open)
	}
	files, few := fail(1), settled()
	if more := fail(4); more > files+6 {
		t.Errorf("%d files after one round, %d after five", files, more)
	}
	fallen(t, few+6)
	if err := l.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("the store of a configuration that did not run was made")
	}
}
