package rs_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// photos has the pattern /users/:user/photos/:id, whose user owns the photo, and
// what needs an album besides.
func photos(c *rs.Config) {
	c.Resources = []rs.Resource{
		{Name: "photo", Captures: []string{"user", "id"}, OwnerTemplate: ":user"},
		{Name: "album", Captures: []string{"user"}, OwnerTemplate: ":user"},
		{Name: "print", Captures: []string{"id", "user"}, OwnerTemplate: ":user", Also: []rs.Also{{Resource: "album"}}},
		{Name: "plain"},
	}
	c.MaxInstances = 5
}

func captures(user, id string) []oauth.Capture {
	return []oauth.Capture{{Name: "user", Value: user}, {Name: "id", Value: id}}
}

func photo(user, id string) rs.Target {
	return rs.Target{Index: 0, Source: "192.0.2.1", Captures: captures(user, id), Owner: user}
}

// visit is a GET for a target.
func (w *world) visit(to rs.Target, token string) (*rs.Grant, *rs.Refusal) {
	w.t.Helper()
	g, f := w.rs.Check(w.request("GET", token), to)
	if (g == nil) == (f == nil) {
		w.t.Fatalf("Check = %v, %v, want exactly one", g, f)
	}
	return g, f
}

func (w *world) instanceRPT(ids ...string) string {
	w.t.Helper()
	var all []any
	for _, id := range ids {
		all = append(all, map[string]any{"resource_id": id, "resource_scopes": []any{"get"}})
	}
	return w.rpt(set("permissions", all))
}

func TestInstance_Ticket(t *testing.T) {
	w := newWorld(t, photos)
	ask := func(to rs.Target) any {
		t.Helper()
		_, f := w.visit(to, "")
		challengeOf(t, f)
		var body any
		if err := json.Unmarshal([]byte(w.as.lastAsk), &body); err != nil {
			t.Fatal(err)
		}
		return body
	}
	one := map[string]any{
		"resource_id": "id-1", "resource_scopes": []any{"get"},
		"captures": map[string]any{"user": "alice", "id": "7"}, "owner": "alice",
	}
	if diff := cmp.Diff(any(one), ask(photo("alice", "7"))); diff != "" {
		t.Error(diff)
	}
	both := photo("alice", "7")
	both.Index = 2
	want := []any{
		map[string]any{"resource_id": "id-3", "resource_scopes": []any{"get"}, "captures": map[string]any{"user": "alice", "id": "7"}, "owner": "alice"},
		map[string]any{"resource_id": "id-2", "resource_scopes": []any{"get"}, "captures": map[string]any{"user": "alice"}, "owner": "alice"},
	}
	if diff := cmp.Diff(any(want), ask(both)); diff != "" {
		t.Error("also: " + diff)
	}
	plain := rs.Target{Index: 3, Captures: captures("alice", "7"), Owner: "alice"}
	if diff := cmp.Diff(any(map[string]any{"resource_id": "id-4", "resource_scopes": []any{"get"}}), ask(plain)); diff != "" {
		t.Error("no pattern: " + diff)
	}
}

func TestInstance_RPT(t *testing.T) {
	w := newWorld(t, photos)
	w.visit(photo("alice", "7"), "")
	id := func(owner string, of []oauth.Capture) string { return oauth.InstanceID("id-1", owner, of) }
	good := id("alice", captures("alice", "7"))
	for name, tc := range map[string]struct {
		to   rs.Target
		id   string
		want int
	}{
		"its instance":       {photo("alice", "7"), good, 200},
		"in another order":   {rs.Target{Captures: []oauth.Capture{{Name: "id", Value: "7"}, {Name: "user", Value: "alice"}}, Owner: "alice"}, good, 200},
		"another photo":      {photo("alice", "8"), good, 401},
		"another user":       {photo("carol", "7"), good, 401},
		"another case":       {photo("Alice", "7"), good, 401},
		"the pattern":        {photo("alice", "7"), "id-1", 401},
		"a part of the id":   {photo("alice", "7"), good[:22], 401},
		"another owner":      {photo("alice", "7"), id("carol", captures("alice", "7")), 401},
		"no owner":           {photo("alice", "7"), id("", captures("alice", "7")), 401},
		"of another pattern": {photo("alice", "7"), oauth.InstanceID("id-3", "alice", captures("alice", "7")), 401},
		"joined otherwise":   {photo("alice", "7"), id("alice", captures("alic", "e7")), 401},
		"exchanged":          {photo("alice", "7"), id("alice", captures("7", "alice")), 401},
		"no resource":        {rs.Target{Index: -1, Captures: captures("alice", "7"), Owner: "alice"}, good, 403},
		"no owner found":     {rs.Target{Captures: captures("alice", "7")}, good, 403},
		"A41 owner *":        {rs.Target{Captures: captures("alice", "7"), Owner: "*"}, good, 403},
		"a capture missing":  {rs.Target{Captures: captures("alice", "7")[:1], Owner: "alice"}, good, 403},
		"an empty capture":   {photo("alice", ""), good, 403},
		"a zero byte":        {photo("alice", "7\x00"), good, 403},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.as.count("POST /permission")
			g, f := w.visit(tc.to, w.instanceRPT(tc.id))
			got := 200
			if f != nil {
				got = f.Status
			}
			if got != tc.want {
				t.Fatalf("status = %d, want %d", got, tc.want)
			}
			if g != nil && (g.Resource != "photo" || !cmp.Equal(g.Scopes, []string{"get"})) {
				t.Errorf("%+v", g)
			}
			if asked := w.as.count("POST /permission") - before; asked != map[bool]int{true: 1}[tc.want == 401] {
				t.Errorf("%d permission requests", asked)
			}
		})
	}
	t.Run("also", func(t *testing.T) {
		to := photo("alice", "7")
		to.Index = 2
		mine, album := oauth.InstanceID("id-3", "alice", captures("alice", "7")), oauth.InstanceID("id-2", "alice", captures("alice", "7")[:1])
		if g, _ := w.visit(to, w.instanceRPT(mine, album)); g == nil {
			t.Error("refused")
		}
		if g, _ := w.visit(to, w.instanceRPT(mine, oauth.InstanceID("id-2", "carol", captures("carol", "7")[:1]))); g != nil {
			t.Error("with the album of another user: granted")
		}
	})
}

// UF-20: the pattern is registered like any other resource, once.
func TestUF_20_Patterns(t *testing.T) {
	w := newWorld(t, photos)
	w.status("GET", "")
	w.visit(photo("alice", "7"), "")
	first := w.as.resources["id-1"]
	if first["name"] != "photo" || !cmp.Equal(first["captures"], any([]any{"user", "id"})) || first["max_instances"] != 5.0 || first["owner"] != nil {
		t.Errorf("%v", first)
	}
	if plain := w.as.resources["id-4"]; plain["captures"] != nil || plain["max_instances"] != nil {
		t.Errorf("%v", plain)
	}
	changes := func() int { return w.as.count("POST /resource") + w.as.count("PUT /resource/id-1") }
	n := changes()
	w.restart()
	w.visit(photo("alice", "7"), "")
	if changes() != n {
		t.Error("a restart changed something")
	}
	for _, tc := range []struct {
		name string
		edit func(*rs.Resource)
	}{
		{"another bound", func(*rs.Resource) { w.cfg.MaxInstances = 6 }},
		{"another capture", func(r *rs.Resource) { r.Captures = []string{"user", "photo"} }},
		{"by its owner only", func(r *rs.Resource) { r.Captures, r.OwnerTemplate = nil, "{http.request.host}" }},
		{"no pattern", func(r *rs.Resource) { r.OwnerTemplate = "" }},
	} {
		n := w.as.count("PUT /resource/id-1")
		tc.edit(&w.cfg.Resources[0])
		w.restart()
		diff, err := w.rs.Diff(t.Context())
		if err != nil || !slices.ContainsFunc(diff.Update, func(c rs.Changed) bool {
			return c.ID == "id-1" && len(c.Changes) == 1 && c.Changes[0].Member == "captures" && c.Changes[0].Was != c.Changes[0].Is
		}) {
			t.Errorf("%s: %+v, %v", tc.name, diff, err)
		}
		w.visit(rs.Target{Index: 3}, "")
		if w.as.count("PUT /resource/id-1") != n+1 {
			t.Errorf("%s: nothing was updated", tc.name)
		}
	}
}

func TestInstance_Config(t *testing.T) {
	many := strings.Split("a b c d e f g h i", " ")
	for name, tc := range map[string]struct {
		resources []rs.Resource
		want      string
	}{
		"eight":      {[]rs.Resource{{Name: "a", Captures: many[:8]}}, ""},
		"nine":       {[]rs.Resource{{Name: "a", Captures: many}}, "resource 'a': at most 8 captures are possible"},
		"twice":      {[]rs.Resource{{Name: "a", Captures: []string{"x", "x"}}}, "resource 'a': the capture ':x' is there twice, or its name is more than letters, digits and _"},
		"a hyphen":   {[]rs.Resource{{Name: "a", Captures: []string{"x-y"}}}, "resource 'a': the capture ':x-y' is there twice, or its name is more than letters, digits and _"},
		"also less":  {[]rs.Resource{{Name: "a", Captures: many[:2], Also: []rs.Also{{Resource: "b"}}}, {Name: "b", Captures: many[:1]}}, ""},
		"also plain": {[]rs.Resource{{Name: "a", Captures: many[:2], Also: []rs.Also{{Resource: "b"}}}, {Name: "b"}}, ""},
		"also more": {
			[]rs.Resource{{Name: "a", Captures: many[:1], Also: []rs.Also{{Resource: "b"}}}, {Name: "b", Captures: many[:2]}},
			"resource 'a': 'also b' needs the capture :b, which requests for 'a' do not have",
		},
		"also of a plain one": {
			[]rs.Resource{{Name: "a", Also: []rs.Also{{Resource: "b"}}}, {Name: "b", Captures: many[:1]}},
			"resource 'a': 'also b' needs the capture :a, which requests for 'a' do not have",
		},
		"also of another owner": {
			[]rs.Resource{{Name: "a", Captures: many[:1], OwnerTemplate: ":a", Also: []rs.Also{{Resource: "b"}}}, {Name: "b"}},
			"resource 'a': 'also b' needs the same owner: a ticket cannot be of two",
		},
		"also of an owner": {
			[]rs.Resource{{Name: "a", Captures: many[:1], Also: []rs.Also{{Resource: "b"}}}, {Name: "b", OwnerTemplate: ":a", Captures: many[:1]}},
			"resource 'a': 'also b' needs the same owner: a ticket cannot be of two",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := rs.Config{Issuer: issuer, ClientID: clientID, Resources: tc.resources}.Validate()
			if err == nil && tc.want != "" || err != nil && err.Error() != tc.want {
				t.Errorf("Validate = %v, want %q", err, tc.want)
			}
		})
	}
}
