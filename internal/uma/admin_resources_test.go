package uma_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

// UF-19: what is deleted is not listed, here as at the protection API.
func TestUF_19_AdminResources(t *testing.T) {
	b := newBench(t)
	api, photos := b.pat("api"), b.pat("photos")
	one := b.register(api, "RS API", "urn:t", "get", "post")
	two := b.register(photos, "Holidays", "", "view")
	gone := b.register(api, "gone", "", "get")
	if res := b.call(api, http.MethodDelete, "resource/"+gone, ""); res.status != 204 {
		t.Fatal(res.text)
	}
	list := func(query string) []string {
		t.Helper()
		all := []string{}
		for next := ""; ; {
			res := b.show("resources?" + query + "&after=" + next)
			var page struct {
				Resources []struct {
					ID     string `json:"resource_id"`
					RS     string `json:"resource_server"`
					Owner  string
					Name   string
					Type   string
					Scopes []string
				}
				Next string
			}
			if err := json.Unmarshal([]byte(res.text), &page); err != nil || res.status != 200 {
				t.Fatalf("%d %s", res.status, res.text)
			}
			for _, r := range page.Resources {
				all = append(all, strings.Join([]string{r.ID, r.RS, r.Owner, r.Name, r.Type, strings.Join(r.Scopes, " ")}, "|"))
			}
			if next = page.Next; next == "" {
				slices.Sort(all)
				return all
			}
		}
	}
	rsAPI, holidays := one+"|api|api|RS API|urn:t|get post", two+"|photos|photos|Holidays||view"
	both := []string{rsAPI, holidays}
	slices.Sort(both)
	for query, want := range map[string][]string{
		"": both, "limit=1": both, "resource_server=api": {rsAPI}, "resource_server=photos": {holidays}, "resource_server=ap": {},
	} {
		if diff := cmp.Diff(want, list(query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	if res := b.show("resources?limit=0"); res.status != 400 {
		t.Errorf("limit 0: %d", res.status)
	}
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "List" })
	if res := b.show("resources"); res.status != 503 {
		t.Errorf("SEC-13: %d %s", res.status, res.text)
	}
}
