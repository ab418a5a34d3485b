package uma_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func TestUF_11_FiveOperations(t *testing.T) {
	for _, slash := range []string{"", "/"} {
		t.Run("UF-11 UF-12 UF-16 UF-17 UF-18 UF-19 collection resource"+slash, func(t *testing.T) {
			b := newBench(t)
			pat := b.pat("api")
			if res := b.call(pat, http.MethodGet, "resource"+slash, ""); res.status != 200 || res.text != "[]" {
				t.Fatalf("UF-19 empty list: %d %s", res.status, res.text)
			}
			full := `{"name":"Photo","name#de":"Foto","description":"x","icon_uri":"https://i.example/p.png","type":"http://t.example/photo","resource_scopes":["view","https://s.example/print"],"unknown":{"a":1}}`
			res := b.call(pat, http.MethodPost, "resource"+slash, full)
			id := res.get("_id")
			if res.status != 201 || len(id) != 22 || res.header.Get("Location") != issuer+"/uma/resource/"+id {
				t.Fatalf("UF-16 UF-12 UG-02: %d %v %s", res.status, res.header, res.text)
			}
			want := map[string]any{
				"_id": id, "name": "Photo", "name#de": "Foto", "description": "x", "icon_uri": "https://i.example/p.png",
				"type": "http://t.example/photo", "resource_scopes": []any{"view", "https://s.example/print"},
			}
			if res := b.call(pat, http.MethodGet, "resource/"+id, ""); res.status != 200 || !cmp.Equal(res.body, want) {
				t.Errorf("UF-17 UF-09: %s", cmp.Diff(want, res.body))
			}
			if res := b.call(pat, http.MethodPut, "resource/"+id, `{"name":"P2","resource_scopes":["view"]}`); res.status != 200 || res.get("_id") != id {
				t.Errorf("UF-18: %d %s", res.status, res.text)
			}
			want = map[string]any{"_id": id, "name": "P2", "resource_scopes": []any{"view"}}
			if res := b.call(pat, http.MethodGet, "resource/"+id, ""); !cmp.Equal(res.body, want) {
				t.Errorf("UF-18 the whole is replaced: %s", cmp.Diff(want, res.body))
			}
			if res := b.call(pat, http.MethodGet, "resource"+slash, ""); res.text != `["`+id+`"]` {
				t.Errorf("list: %s", res.text)
			}
			if res := b.call(pat, http.MethodDelete, "resource/"+id, ""); res.status != 204 || res.text != "" {
				t.Errorf("UF-19: %d %s", res.status, res.text)
			}
			if res := b.call(pat, http.MethodGet, "resource"+slash, ""); res.text != "[]" {
				t.Errorf("UF-19 list after delete: %s", res.text)
			}
			if res := b.call(pat, http.MethodPost, "permission", `{"resource_id":"`+id+`","resource_scopes":[]}`); res.code() != "invalid_resource_id" {
				t.Errorf("UF-19 deleted: %s", res.text)
			}
		})
	}
}

func TestUF_13_UnknownResource(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	for name, id := range map[string]string{
		"random": strings.Repeat("A", 22), "short": "x", "long": strings.Repeat("A", 5000), "zero byte": strings.Repeat("A", 21) + "%00",
		"path": "a/b", "dots": "..%2f..", "one more": strings.Repeat("A", 23),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			body := ""
			if method == http.MethodPut {
				body = `{"resource_scopes":[]}`
			}
			if res := b.call(pat, method, "resource/"+id, body); res.status != 404 || res.code() != "not_found" {
				t.Errorf("%s %s: %d %s", method, name, res.status, res.text)
			}
		}
	}
}

func TestUF_14_Method(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	id := b.register(pat, "x", "", "get")
	for path, allow := range map[string]string{"resource": "GET, POST", "resource/": "GET, POST", "resource/" + id: "GET, PUT, DELETE", "permission": "POST"} {
		res := b.call(pat, http.MethodPatch, path, "")
		if res.status != 405 || res.code() != "unsupported_method_type" || res.header.Get("Allow") != allow {
			t.Errorf("%s: %d %v %s", path, res.status, res.header, res.text)
		}
	}
}

func TestUF_15_Description(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	many, err := json.Marshal(make([]int, 257))
	if err != nil {
		t.Fatal(err)
	}
	distinct := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.Repeat("a", i+1)
		}
		data, _ := json.Marshal(list)
		return `{"resource_scopes":` + string(data) + `}`
	}
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"good":                      {`{"resource_scopes":["get"]}`, 201},
		"no scopes at all":          {`{"resource_scopes":[]}`, 201},
		"UF-08 missing":             {`{"name":"x"}`, 400},
		"UF-08 null":                {`{"resource_scopes": null }`, 400},
		"UF-08 a string":            {`{"resource_scopes":"get"}`, 400},
		"UF-08 a number in it":      {`{"resource_scopes":["get",1]}`, 400},
		"UF-08 null in it":          {`{"resource_scopes":["get",null]}`, 400},
		"UF-08 numbers":             {`{"resource_scopes":` + string(many) + `}`, 400},
		"UF-08 another case":        {`{"Resource_Scopes":["get"]}`, 400},
		"UF-08 empty scope":         {`{"resource_scopes":[""]}`, 400},
		"UF-08 blank in a scope":    {`{"resource_scopes":["get post"]}`, 400},
		"UF-08 256 scopes":          {distinct(256), 201},
		"UF-08 257 scopes":          {distinct(257), 400},
		"repeated scope":            {`{"resource_scopes":["get","get"]}`, 400},
		"UF-09 name is a number":    {`{"resource_scopes":[],"name":1}`, 400},
		"UF-09 name is null":        {`{"resource_scopes":[],"name":null}`, 400},
		"UF-09 name#de is a list":   {`{"resource_scopes":[],"name#de":["x"]}`, 400},
		"UF-09 relative icon":       {`{"resource_scopes":[],"icon_uri":"/x.png"}`, 400},
		"UF-09 long name":           {`{"resource_scopes":[],"name":"` + strings.Repeat("a", 2049) + `"}`, 400},
		"UF-09 name just so":        {`{"resource_scopes":[],"name":"` + strings.Repeat("a", 2048) + `"}`, 201},
		"repeated member":           {`{"resource_scopes":[],"resource_scopes":["get"]}`, 400},
		"repeated unknown member":   {`{"resource_scopes":[],"x":1,"x":2}`, 400},
		"trailing data":             {`{"resource_scopes":[]} {}`, 400},
		"cut":                       {`{"resource_scopes":[]`, 400},
		"empty":                     {` `, 400},
		"an array":                  {`[{"resource_scopes":[]}]`, 400},
		"too deep":                  {`{"resource_scopes":[],"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 400},
		"too large":                 {`{"resource_scopes":[],"x":"` + strings.Repeat("a", 64<<10) + `"}`, 413},
		"A41 owner of somebody":     {`{"resource_scopes":[],"owner":"carol"}`, 400},
		"A41 owner *":               {`{"resource_scopes":[],"owner":"*"}`, 400},
		"A41 its own owner":         {`{"resource_scopes":[],"owner":"api"}`, 201},
		"_id is not for the client": {`{"resource_scopes":[],"_id":"x"}`, 201},
	} {
		t.Run(name, func(t *testing.T) {
			res := b.call(pat, http.MethodPost, "resource", tc.body)
			if res.status != tc.status || tc.status >= 400 && res.code() != "invalid_request" {
				t.Errorf("%d %s", res.status, res.text)
			}
			if res.get("_id") == "x" {
				t.Error("the client chose the id")
			}
		})
	}
	t.Run("media type", func(t *testing.T) {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"} {
			res := b.request(http.MethodPost, "resource", `{"resource_scopes":[]}`, func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer "+pat)
				r.Header.Set("Content-Type", kind)
			})
			if res.status != 400 {
				t.Errorf("%q: %d", kind, res.status)
			}
		}
	})
}

// Scope URIs and icons are text: registering and asking for them calls nobody.
func TestUF_10_NothingIsFetched(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	res := b.call(pat, http.MethodPost, "resource", `{"resource_scopes":["https://bob.example/scope"],"icon_uri":"https://bob.example/icon"}`)
	b.ticket(pat, res.get("_id"), "https://bob.example/scope")
	if b.op.Conns() != 0 {
		t.Error("somebody was called")
	}
}

func TestA41_OwnerPerResource(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].Owner = "*" })
	pat := b.pat("api")
	make := func(owner string) string {
		return b.call(pat, http.MethodPost, "resource", `{"resource_scopes":["get"],"owner":"`+owner+`"}`).get("_id")
	}
	carol, dave, own := make("carol"), make("dave"), make("")
	for id, want := range map[string]string{carol: "carol", dave: "dave", own: "api"} {
		if res := b.call(pat, http.MethodGet, "resource/"+id, ""); res.get("owner") != want {
			t.Errorf("owner %s, want %s", res.get("owner"), want)
		}
	}
	t.Run("a resource does not change hands", func(t *testing.T) {
		b.call(pat, http.MethodPut, "resource/"+carol, `{"resource_scopes":["get"],"owner":"dave"}`)
		if res := b.call(pat, http.MethodGet, "resource/"+carol, ""); res.get("owner") != "carol" {
			t.Errorf("%s", res.text)
		}
	})
	entry := func(id string) string { return `{"resource_id":"` + id + `","resource_scopes":["get"]}` }
	t.Run("UF-26 one ticket is of one owner", func(t *testing.T) {
		if res := b.call(pat, http.MethodPost, "permission", "["+entry(carol)+","+entry(dave)+"]"); res.code() != "invalid_request" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("a policy sees the owner", func(t *testing.T) {
		next := b.reload(func(c *uma.Config) {
			c.Policies = []uma.Policy{{Name: "carol's", From: from("bob@bob.example"), When: ownerIs("carol")}}
		})
		if res := next.ask(next.ticket(pat, carol, "get")); res.status != 200 {
			t.Errorf("%s", res.text)
		}
		if res := next.ask(next.ticket(pat, dave, "get")); res.code() != "request_denied" {
			t.Errorf("%s", res.text)
		}
	})
}

func TestResource_ConcurrentChange(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	id := b.register(pat, "x", "", "get")
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "resource") })
	if res := b.call(pat, http.MethodPut, "resource/"+id, `{"resource_scopes":[]}`); res.status != 503 {
		t.Errorf("a broken store: %d %s", res.status, res.text)
	}
	b.faulty.Before(func(_ context.Context, c storetest.Call) error {
		if c.Writes(store.ActionSwap, "resource") || c.Writes(store.ActionDelete, "resource") {
			return store.ErrConflict
		}
		return nil
	})
	for method, body := range map[string]string{http.MethodPut: `{"resource_scopes":[]}`, http.MethodDelete: ""} {
		if res := b.call(pat, method, "resource/"+id, body); res.status != 409 {
			t.Errorf("%s at the same time as another: %d %s", method, res.status, res.text)
		}
	}
	b.faulty.Before(nil)
	if res := b.call(pat, http.MethodGet, "resource/"+id, ""); res.status != 200 {
		t.Errorf("afterwards: %d", res.status)
	}
}
