package uma_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

func TestUF_22_PermissionRequest(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	id := b.register(pat, "RS API", "", "get", "post")
	gone := b.register(pat, "gone", "", "get")
	b.call(pat, http.MethodDelete, "resource/"+gone, "")
	foreign := b.register(b.pat("photos"), "RS API", "", "get")
	entry := func(id, scopes string) string { return `{"resource_id":"` + id + `","resource_scopes":` + scopes + `}` }
	good := entry(id, `["get"]`)
	for name, tc := range map[string]struct{ body, code string }{
		"object":                     {good, ""},
		"array of one":               {" [" + good + "]", ""},
		"UF-25 array of three":       {"[" + good + "," + good + "," + entry(id, `["post"]`) + "]", ""},
		"UF-24 no scopes":            {entry(id, "[]"), ""},
		"UG-02 unknown member":       {`{"resource_id":"` + id + `","resource_scopes":[],"x":1}`, ""},
		"empty array":                {"[]", "invalid_request"},
		"string":                     {`"x"`, "invalid_request"},
		"number":                     {"1", "invalid_request"},
		"null":                       {"null", "invalid_request"},
		"array of null":              {"[null]", "invalid_request"},
		"nothing":                    {" ", "invalid_request"},
		"trailing data":              {good + good, "invalid_request"},
		"repeated member":            {`{"resource_id":"` + id + `","resource_id":"` + id + `","resource_scopes":[]}`, "invalid_request"},
		"33 of them":                 {"[" + strings.Repeat(good+",", 32) + good + "]", "invalid_request"},
		"32 of them":                 {"[" + strings.Repeat(good+",", 31) + good + "]", ""},
		"UF-23 no id":                {`{"resource_scopes":[]}`, "invalid_request"},
		"UF-23 id is a number":       {`{"resource_id":1,"resource_scopes":[]}`, "invalid_request"},
		"UF-23 unknown":              {entry(strings.Repeat("A", 22), `["get"]`), "invalid_resource_id"},
		"UF-23 a name":               {entry("RS API", `["get"]`), "invalid_resource_id"},
		"UF-23 zero byte":            {entry(strings.Repeat("A", 21)+`\u0000`, `["get"]`), "invalid_resource_id"},
		"UF-23 deleted":              {entry(gone, `["get"]`), "invalid_resource_id"},
		"UF-23 foreign":              {entry(foreign, `["get"]`), "invalid_resource_id"},
		"UF-24 missing":              {`{"resource_id":"` + id + `"}`, "invalid_request"},
		"UF-24 null":                 {entry(id, "null"), "invalid_request"},
		"UF-24 null in it":           {entry(id, "[null]"), "invalid_request"},
		"UF-24 a string":             {entry(id, `"get"`), "invalid_request"},
		"UF-24 unknown":              {entry(id, `["get","delete"]`), "invalid_scope"},
		"UF-24 another case":         {entry(id, `["GET"]`), "invalid_scope"},
		"UF-26 the last one is bad":  {"[" + good + "," + entry(id, `["delete"]`) + "]", "invalid_scope"},
		"UF-26 the last one foreign": {"[" + good + "," + entry(foreign, `["get"]`) + "]", "invalid_resource_id"},
	} {
		t.Run(name, func(t *testing.T) {
			res := b.call(pat, http.MethodPost, "permission", tc.body)
			if res.code() != tc.code || tc.code != "" && res.status != 400 || tc.code == "" && res.status != 201 {
				t.Fatalf("%d %s", res.status, res.text)
			}
			if tc.code == "" && (len(res.body) != 1 || res.get("ticket") == "") {
				t.Errorf("UF-25: %s", res.text)
			}
		})
	}
	t.Run("media type", func(t *testing.T) {
		res := b.request(http.MethodPost, "permission", good, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+pat)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
		if res.status != 400 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

// A ticket has to fit into a header field of the answer that carries it.
func TestPermission_TicketSize(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	scopes := make([]string, 20)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("https://s.example/%s/%d", strings.Repeat("a", 300), i)
	}
	id := b.register(pat, "x", "", scopes...)
	if text := b.ticket(pat, id, scopes[:10]...); len(text) > 6<<10 {
		t.Errorf("%d bytes", len(text))
	}
	body := `{"resource_id":"` + id + `","resource_scopes":["` + strings.Join(scopes, `","`) + `"]}`
	huge := "[" + strings.Repeat(body+",", 7) + body + "]"
	for _, body := range []string{body, huge} {
		if res := b.call(pat, http.MethodPost, "permission", body); res.status != 400 || res.code() != "invalid_request" {
			t.Errorf("%d %s", res.status, res.text)
		}
	}
}

func TestUF_26_ExactlyThePermissions(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	one, two := b.register(pat, "one", "", "get", "post"), b.register(pat, "two", "", "get")
	b.register(pat, "three", "", "get")
	body := `[{"resource_id":"` + one + `","resource_scopes":["post"]},{"resource_id":"` + two + `","resource_scopes":[]},{"resource_id":"` + one + `","resource_scopes":["post"]}]`
	ticket := b.call(pat, http.MethodPost, "permission", body).get("ticket")
	want := map[string][]string{one: {"post"}, two: {}}
	if got := b.permissions(b.ask(ticket)); !cmp.Equal(got, want) {
		t.Errorf("UF-25 UF-30: %s", cmp.Diff(want, got))
	}
}

// SEC-18: tickets are limited per resource server, cost nothing that is kept,
// and the limit of the token endpoint is in front of the consume.
func TestSEC_18_Limits(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.TicketLimit = limit.New(2, time.Minute, 10, b.clock)
		b.cfg.TokenLimit = limit.New(4, time.Minute, 10, b.clock)
	})
	pat := b.pat("api")
	id := b.register(pat, "RS API", "", "get")
	writes := 0
	b.faulty.FailBefore(func(c storetest.Call) bool {
		if c.Writes(store.ActionCreate, "ticket") || len(c.Ops) > 0 {
			writes++
		}
		return false
	})
	ticket := b.ticket(pat, id, "get")
	b.ticket(pat, id, "get")
	body := `{"resource_id":"` + id + `","resource_scopes":["get"]}`
	if res := b.call(pat, http.MethodPost, "permission", body); res.status != 429 || res.header.Get("Retry-After") == "" {
		t.Errorf("third ticket: %d %v", res.status, res.header)
	}
	if writes != 0 {
		t.Errorf("%d writes for tickets", writes)
	}
	b.faulty.Before(nil)

	t.Run("another resource server is not affected", func(t *testing.T) {
		other := b.pat("photos")
		b.ticket(other, b.register(other, "x", "", "get"), "get")
	})
	for range 4 {
		if res := b.present("x", "x.y.z"); res.code() != "invalid_grant" {
			t.Fatalf("%d %s", res.status, res.text)
		}
	}
	res := b.ask(ticket)
	if res.status != 429 || res.header.Get("Retry-After") == "" || res.code() != "slow_down" {
		t.Fatalf("%d %v %s", res.status, res.header, res.text)
	}
	b.pass(time.Minute)
	if res := b.ask(ticket); res.status != 200 {
		t.Errorf("the ticket was spent by a 429: %s", res.text)
	}
}

// Made-up client_ids do not get around the limit.
func TestSEC_18_ManyClientIDs(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.TokenLimit = limit.New(2, time.Minute, 100, b.clock)
		b.cfg.SourceLimit = limit.New(5, time.Minute, 100, b.clock)
	})
	for i := range 8 {
		res := b.token(map[string]string{"grant_type": "client_credentials", "client_id": "made-up-" + strconv.Itoa(i), "client_secret": "x"})
		if want := map[bool]int{true: 401, false: 429}[i < 5]; res.status != want {
			t.Errorf("request %d: %d, want %d", i, res.status, want)
		}
	}
}
