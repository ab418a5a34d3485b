package rs_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// two declares two resources, and that others are deleted.
func two(c *rs.Config) {
	c.Resources = []rs.Resource{{Name: "a"}, {Name: "b"}}
	c.DeleteUndeclared = true
}

// put registers a resource as somebody else did.
func (a *fakeAS) put(id, name string, more map[string]any) {
	a.set(func() {
		a.resources[id] = map[string]any{"name": name, "resource_scopes": []any{"get"}}
		maps.Copy(a.resources[id], more)
	})
}

func (w *world) wantNames(names ...string) {
	w.t.Helper()
	if diff := cmp.Diff(names, w.as.sortedNames()); diff != "" {
		w.t.Errorf("registered (-want +got):\n%s", diff)
	}
}

// changesMade counts the calls that change registrations.
func (a *fakeAS) changesMade() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for call, count := range a.calls {
		if strings.Contains(call, "/resource") && !strings.HasPrefix(call, http.MethodGet) {
			n += count
		}
	}
	return n
}

func TestUF_20_DeleteUndeclared(t *testing.T) {
	w := newWorld(t, two)
	w.as.put("old", "old", nil)
	w.as.put("older", "older", map[string]any{"resource_scopes": []any{}})
	if n := len(w.as.calls); n != 0 {
		t.Errorf("%d calls at the start", n)
	}
	w.status("GET", "")
	w.wantNames("a[get]", "b[get]")
	for range 2 {
		w.restart()
		w.status("GET", "")
		w.wantNames("a[get]", "b[get]")
	}
	w.cfg.Resources = w.cfg.Resources[1:]
	w.restart()
	w.wantNames("a[get]", "b[get]") // nothing is done before the first need
	w.status("GET", "")
	w.wantNames("b[get]")
	t.Run("UF-20 by default they stay, and are named in the log once a round", func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		w := newWorld(t, two, func(c *rs.Config) { c.DeleteUndeclared, c.Log = false, zap.New(core) })
		w.as.put("old", "old", nil)
		for range 3 {
			w.status("GET", "")
		}
		w.wantNames("a[get]", "b[get]", "old[get]")
		lines := logs.FilterMessageSnippet("not declared").All()
		if len(lines) != 1 || fmt.Sprint(lines[0].ContextMap()["resource"], lines[0].ContextMap()["resource_id"]) != "[old] [old]" {
			t.Errorf("%v", lines)
		}
	})
	t.Run("UF-20 what is lost later makes a round that deletes nothing", func(t *testing.T) {
		w := newWorld(t, two)
		w.status("GET", "")
		w.as.put("other", "of a node with another configuration", nil)
		w.as.set(func() { delete(w.as.resources, "id-1") })
		w.status("GET", "")
		w.wantNames("a[get]", "b[get]", "of a node with another configuration[get]")
	})
	t.Run("UF-20 while something cannot be registered nothing is deleted", func(t *testing.T) {
		w := newWorld(t, two)
		w.as.put("old", "old", nil)
		w.as.failNames = map[string]bool{"b": true}
		w.status("GET", "")
		w.wantNames("a[get]", "old[get]")
		w.as.set(func() { w.as.failNames = nil })
		w.now = w.now.Add(30 * time.Second)
		w.status("GET", "")
		w.wantNames("a[get]", "b[get]")
	})
	t.Run("UF-20 what cannot be deleted is tried again", func(t *testing.T) {
		w := newWorld(t, two)
		w.as.put("old", "old", nil)
		w.as.failNames = map[string]bool{"old": true}
		for range 2 {
			if got := w.status("GET", ""); got != 401 {
				t.Errorf("status = %d, want 401", got)
			}
		}
		if n := w.as.count("DELETE /resource/old"); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
		w.as.set(func() { w.as.failNames = nil })
		w.now = w.now.Add(30 * time.Second)
		w.status("GET", "")
		w.wantNames("a[get]", "b[get]")
	})
	t.Run("UF-20 many go in several rounds", func(t *testing.T) {
		w := newWorld(t, two)
		for i := range 150 {
			w.as.put(fmt.Sprintf("old-%03d", i), fmt.Sprint("old ", i), nil)
		}
		for round, want := range []int{52, 2, 2} {
			w.status("GET", "")
			if n := len(w.as.sortedNames()); n != want {
				t.Errorf("after round %d: %d resources, want %d", round, n, want)
			}
			w.now = w.now.Add(30 * time.Second)
		}
	})
}

// TestUF_20_Owners: a resource does not change hands; with another owner it is
// another one.
func TestUF_20_Owners(t *testing.T) {
	owned := func(w *world) []string {
		var all []string
		w.as.set(func() {
			for id, r := range w.as.resources {
				all = append(all, fmt.Sprint(id, " ", r["owner"]))
			}
		})
		return all
	}
	for _, tc := range []struct {
		name, owner string // of the authorization server's answer
		was, is     string // of the configuration
		want        string
	}{
		{"another owner", "*", "alice", "bob", "id-2 bob"},
		{"no owner any more", "*", "alice", "", "id-2 " + clientID},
		{"an owner for the first time", "*", "", "bob", "id-2 bob"},
		{"the default owner by name", "*", "", clientID, "id-1 " + clientID},
		{"the same", "*", "alice", "alice", "id-1 alice"},
		{"none", "*", "", "", "id-1 " + clientID},
		{"an authorization server that tells nothing", "", "", "", "id-1 <nil>"},
		{"and shows an owner of its own", "", "alice", "", "id-1 alice"},
	} {
		t.Run("UF-20 "+tc.name, func(t *testing.T) {
			w := newWorld(t, func(c *rs.Config) { c.Owner, c.DeleteUndeclared = tc.was, true })
			w.as.owner = tc.owner
			w.status("GET", "")
			w.cfg.Owner = tc.is
			w.restart()
			w.status("GET", "")
			if diff := cmp.Diff([]string{tc.want}, owned(w)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("CA-04 an owner that is no text", func(t *testing.T) {
		w := newWorld(t)
		w.as.put("id-7", resource, map[string]any{"owner": map[string]any{"id": "x", "name": "api"}})
		w.status("GET", "")
		w.wantNames(resource + "[get]")
		if !strings.Contains(w.as.lastAsk, "id-7") {
			t.Errorf("asked %s", w.as.lastAsk)
		}
	})
}

func TestUF_20_Diff(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{
			{Name: "new", Type: "urn:n", Owner: "alice"},
			{Name: "same"},
			{Name: "scopes", Scopes: []rs.Scope{{Name: "get"}, {Name: "post"}}},
			{Name: "words", Description: "d", IconURI: "https://i.example/"},
		}
	})
	w.as.put("1", "same", nil)
	w.as.put("2", "scopes", nil)
	w.as.put("3", "words", map[string]any{"type": "urn:t", "description": "e"})
	w.as.put("4", "old", map[string]any{"owner": "carol"})
	w.as.put("9", "same", nil) // a twin, which another node will delete
	got, err := w.rs.Diff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &rs.Diff{
		Create: []rs.Registered{{Name: "new", Type: "urn:n", Owner: "alice", Scopes: []string{"get"}}},
		Update: []rs.Changed{
			{
				Registered: rs.Registered{ID: "2", Name: "scopes", Scopes: []string{"get", "post"}},
				Changes:    []rs.Change{{Member: "scopes", Was: "get", Is: "get post"}},
			},
			{
				Registered: rs.Registered{ID: "3", Name: "words", Scopes: []string{"get"}},
				Changes:    []rs.Change{{Member: "type", Was: "urn:t"}, {Member: "description", Was: "e", Is: "d"}, {Member: "icon_uri", Is: "https://i.example/"}},
			},
		},
		Undeclared: []rs.Registered{{ID: "4", Name: "old", Owner: "carol", Scopes: []string{"get"}}},
		InStep:     1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := w.as.changesMade(); n != 0 {
		t.Errorf("%d changes were made", n)
	}
	w.status("GET", "")
	if got, err = w.rs.Diff(t.Context()); err != nil || len(got.Create)+len(got.Update) != 0 || got.InStep != 4 || len(got.Undeclared) != 1 {
		t.Errorf("after the round: %+v, %v", got, err)
	}
	w.as.set(func() { w.as.down = true })
	if got, err = w.rs.Diff(t.Context()); err == nil {
		t.Errorf("without an authorization server: %+v", got)
	}
}

func TestJoinDiffs(t *testing.T) {
	list := func(ids ...string) (all []rs.Registered) {
		for _, id := range ids {
			all = append(all, rs.Registered{ID: id})
		}
		return all
	}
	one := &rs.Diff{Create: list("c"), Undeclared: list("1", "2", "3"), InStep: 2}
	other := &rs.Diff{Update: []rs.Changed{{}}, Undeclared: list("4", "2"), InStep: 1}
	got := rs.JoinDiffs(one, other)
	want := &rs.Diff{Create: list("c"), Update: []rs.Changed{{}}, Undeclared: list("2"), InStep: 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(list("1", "2", "3"), one.Undeclared); diff != "" {
		t.Errorf("what was joined has changed: %s", diff)
	}
}
