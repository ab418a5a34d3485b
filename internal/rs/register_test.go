package rs_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestUF_20_ConcurrentFirstRequestsRegisterOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, f := w.rs.Check(w.request("GET", ""), rs.Target{Index: 0, Source: "s"}); f == nil || f.Status != 401 {
				t.Errorf("refusal = %+v, want 401", f)
			}
		})
	}
	wg.Wait()
	if n, m := w.as.count("POST /resource"), w.as.count("POST /token"); n != 1 || m != 1 {
		t.Errorf("registrations = %d, PATs = %d, want 1 and 1", n, m)
	}
}

func TestCA_04_UF_20_Registration(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{{
			Name: "RS API", Type: "urn:t", Description: "d", IconURI: "https://i.example/i",
			Scopes: []rs.Scope{{Name: "get"}, {Name: "post"}},
		}}
	})
	w.as.resources["foreign"] = map[string]any{"name": "other", "resource_scopes": []any{"x"}}
	if n := w.as.count("GET /resource"); n != 0 {
		t.Errorf("the authorization server was called %d times before the first request", n)
	}
	w.status("GET", "")
	want := map[string]any{
		"name": "RS API", "type": "urn:t", "description": "d", "icon_uri": "https://i.example/i",
		"resource_scopes": []any{"get", "post"},
	}
	if diff := cmp.Diff(want, w.as.resources["id-1"]); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	for range 2 {
		w.restart()
		w.status("GET", "")
	}
	if diff := cmp.Diff([]string{"RS API[get post]", "other[x]"}, w.as.sortedNames()); diff != "" {
		t.Errorf("after two restarts (-want +got):\n%s", diff)
	}
	if n := w.as.count("PUT /resource/id-1"); n != 0 {
		t.Errorf("updates = %d, want 0", n)
	}
	w.cfg.Resources[0].Scopes = []rs.Scope{{Name: "get"}, {Name: "put"}}
	w.restart()
	w.status("GET", "")
	if diff := cmp.Diff([]string{"RS API[get put]", "other[x]"}, w.as.sortedNames()); diff != "" {
		t.Errorf("after a change (-want +got):\n%s", diff)
	}
}

func TestUF_20_LostResourceIsRegisteredAgain(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	w.as.set(func() { clear(w.as.resources) })
	if got := w.status("GET", ""); got != 401 {
		t.Fatalf("status = %d, want 401", got)
	}
	if diff := cmp.Diff([]string{resource + "[get]"}, w.as.sortedNames()); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	if got := w.status("GET", w.rpt()); got != 401 {
		t.Errorf("an RPT for the lost resource = %d, want 401", got)
	}
	t.Run("only one retry", func(t *testing.T) {
		always := w.cfg.AS
		calls := 0
		w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
			if c == rs.CallPermission {
				calls++
				w.as.set(func() { clear(w.as.resources) })
			}
			return always(c, r)
		}
		w.restart()
		if got := w.status("GET", ""); got != 403 || calls != 2 {
			t.Errorf("status = %d after %d calls, want 403 after 2", got, calls)
		}
	})
}

// TestUF_20_TwoNodesSettleOnOneResource: another node has created the same
// resource at the same moment.
func TestUF_20_TwoNodesSettleOnOneResource(t *testing.T) {
	twin := func() map[string]any { return map[string]any{"name": resource, "resource_scopes": []any{"get"}} }
	w := newWorld(t)
	w.status("GET", "")
	w.as.set(func() { w.as.resources["id-0"] = twin() })
	w.now = w.now.Add(29 * time.Second)
	w.status("GET", "")
	if !strings.Contains(w.as.lastAsk, "id-1") {
		t.Errorf("before the second round: %s, want id-1", w.as.lastAsk)
	}
	w.now = w.now.Add(time.Second)
	w.status("GET", "")
	if !strings.Contains(w.as.lastAsk, "id-0") || w.as.resources["id-1"] != nil {
		t.Errorf("after it: %s, want id-0, and id-1 deleted", w.as.lastAsk)
	}
	t.Run("UF-20 what others made stays", func(t *testing.T) {
		w.as.set(func() { w.as.resources["id-9"] = twin() })
		w.restart()
		w.status("GET", "")
		if !strings.Contains(w.as.lastAsk, "id-0") || w.as.resources["id-9"] == nil {
			t.Errorf("asked %s, resources %v", w.as.lastAsk, w.as.resources)
		}
	})
}

// TestUF_20_SecondRoundMayFail: what is registered stays usable.
func TestUF_20_SecondRoundMayFail(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Revocation = time.Minute })
	w.status("GET", "")
	if got := w.status("GET", w.rpt()); got != 200 {
		t.Fatalf("status = %d, want 200", got)
	}
	w.as.set(func() { w.as.down = true })
	w.now = w.now.Add(31 * time.Second)
	for range 2 {
		if got := w.status("GET", w.rpt()); got != 200 {
			t.Errorf("status = %d, want 200", got)
		}
		if got := w.status("GET", ""); got != 403 {
			t.Errorf("without an RPT = %d, want 403", got)
		}
	}
}
