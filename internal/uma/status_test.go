package uma_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// placeOf gives where the status of an RPT stands.
func placeOf(t testing.TB, rpt string) statuslist.Reference {
	t.Helper()
	status, _ := payload(t, rpt)["status"].(map[string]any)
	list, _ := status["status_list"].(map[string]any)
	idx, isNumber := list["idx"].(float64)
	uri, _ := list["uri"].(string)
	if !isNumber || uri == "" {
		t.Fatalf("no place: %v", status)
	}
	return statuslist.Reference{Index: int64(idx), URI: uri}
}

// readList reads a list as a resource server does, but for the memory of others.
func (b *bench) readList(uri string) (*statuslist.List, statuslist.Claims) {
	b.t.Helper()
	res := b.get(uri[len(issuer):])
	if res.status != 200 || res.header.Get("Content-Type") != "application/statuslist+jwt" {
		b.t.Fatalf("%d %v %s", res.status, res.header, res.text)
	}
	token, err := jose.Parse(res.text, 1<<20)
	if err != nil || token.Header.Typ != "statuslist+jwt" {
		b.t.Fatalf("%v %v", token, err)
	}
	var claims statuslist.Claims
	if err := token.Verify(b.t.Context(), b.cfg.StatusKeys, jose.DefaultAlgs(), &claims); err != nil {
		b.t.Fatal(err)
	}
	list, err := claims.List.Decode()
	if err != nil {
		b.t.Fatal(err)
	}
	return list, claims
}

// listed tells whether an RPT is on its list as taken back, a moment later.
func (b *bench) listed(rpt string) bool {
	b.t.Helper()
	b.pass(2 * time.Second)
	place := placeOf(b.t, rpt)
	list, _ := b.readList(place.URI)
	revoked, known := list.Revoked(place.Index)
	if !known {
		b.t.Fatalf("%+v is not on the list", place)
	}
	return revoked
}

func TestStatusListOfAnHour(t *testing.T) {
	b := newBench(t)
	one, two := b.ask(b.fresh()).get("access_token"), b.ask(b.fresh()).get("access_token")
	if a, b := placeOf(t, one), placeOf(t, two); a.URI != b.URI || a.Index == b.Index {
		t.Fatalf("places %+v, %+v", a, b)
	}
	if b.listed(one) || b.listed(two) {
		t.Fatal("revoked from the start")
	}
	_, before := b.readList(placeOf(t, one).URI)
	if before.Issuer != issuer || before.Subject != placeOf(t, one).URI || before.TTL != 10 || before.Expires < b.clock().Unix()+24*3600-3600 {
		t.Errorf("%+v", before)
	}
	if res := b.send("revoke", map[string]string{"token": one, "client_id": "app"}); res.status != 200 {
		t.Fatal(res.text)
	}
	if !b.listed(one) || b.listed(two) {
		t.Error("not that one alone")
	}
	_, after := b.readList(placeOf(t, one).URI)
	if after.Sequence <= before.Sequence || after.IssuedAt <= before.IssuedAt {
		t.Errorf("%+v after %+v", after, before)
	}
	b.pass(time.Hour)
	if three := placeOf(t, b.ask(b.fresh()).get("access_token")); three.URI == after.Subject {
		t.Error("another hour has the same list")
	}
	if !b.listed(one) {
		t.Error("forgotten after an hour")
	}
}

// Each way in which an RPT ends before its time leads to the list.
func TestStatusListHoldsWhatEnded(t *testing.T) {
	for name, end := range map[string]func(b *bench, first, last reply){
		"the RPT is revoked": func(b *bench, first, _ reply) { b.revoke(first.get("access_token")) },
		"the refresh token is revoked": func(b *bench, _, last reply) {
			b.revoke(last.get("refresh_token"))
		},
		"an old refresh token is used": func(b *bench, first, _ reply) {
			b.pass(time.Minute)
			b.renew(first.get("refresh_token"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, refreshing)
			first := b.webGrant(b.fresh())
			b.pass(time.Second)
			last := b.renew(first.get("refresh_token"))
			if b.listed(first.get("access_token")) || b.listed(last.get("access_token")) {
				t.Fatal("listed before")
			}
			end(b, first, last)
			if !b.listed(first.get("access_token")) {
				t.Error("the first RPT is not listed")
			}
			if both := name != "the RPT is revoked"; b.listed(last.get("access_token")) != both {
				t.Errorf("the last RPT is listed: %v", !both)
			}
		})
	}
	t.Run("an upgrade", func(t *testing.T) {
		b := newUpgrading(t)
		old := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
		ticket := b.ticket(b.pat, b.two, "get")
		up := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"rpt": old})
		if up.body["upgraded"] != true || !b.listed(old) || b.listed(up.get("access_token")) {
			t.Error(up.text)
		}
	})
	t.Run("more RPTs than count", func(t *testing.T) {
		b := newBench(t, refreshing, func(b *bench) { b.cfg.RPTLifetime = time.Hour })
		first := b.webGrant(b.fresh())
		last := first
		for range 32 {
			b.pass(time.Second)
			last = b.renew(last.get("refresh_token"))
		}
		if !b.listed(first.get("access_token")) || b.listed(last.get("access_token")) {
			t.Error("the oldest is not listed, or the newest is")
		}
	})
}

func TestStatusListRequests(t *testing.T) {
	b := newBench(t)
	rpt := b.ask(b.fresh()).get("access_token")
	path := placeOf(t, rpt).URI[len(issuer):]
	res := b.get(path)
	tag := res.header.Get("ETag")
	if tag == "" || res.header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%v", res.header)
	}
	again := func(tag string) reply {
		return b.request(http.MethodGet, path[len("/uma/"):], "", func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	}
	if res := again(tag); res.status != 304 || res.text != "" || res.header.Get("ETag") != tag {
		t.Errorf("%d %s", res.status, res.text)
	}
	b.pass(time.Minute)
	if res := again(tag); res.status != 304 {
		t.Errorf("%d: nothing has changed", res.status)
	}
	if res := again(`"other"`); res.status != 200 {
		t.Errorf("%d", res.status)
	}
	b.send("revoke", map[string]string{"token": rpt, "client_id": "app"})
	b.pass(time.Second)
	if res := again(tag); res.status != 200 || res.header.Get("ETag") == tag {
		t.Errorf("%d: the list has changed", res.status)
	}
	if res := b.request(http.MethodHead, path[len("/uma/"):], ""); res.status != 200 || res.text != "" || res.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", res.status, res.header)
	}
	if res := b.request(http.MethodPost, path[len("/uma/"):], ""); res.status != 405 {
		t.Errorf("POST: %d", res.status)
	}
	hour := path[len("/uma/status/"):]
	for _, other := range []string{"", "0" + hour, "+" + hour, "-1", hour + "0", hour + "/", "1", "x", "9223372036854775808", hour + "%00"} {
		if res := b.get("/uma/status/" + other); res.status != 404 {
			t.Errorf("status/%s: %d", other, res.status)
		}
	}
	b.pass(26 * time.Hour)
	if res := b.get(path); res.status != 404 {
		t.Errorf("a list of the dead: %d", res.status)
	}
}

// SEC-13: an RPT whose place cannot be recorded is not issued, and one that cannot
// get onto its list is not revoked.
func TestSEC_13_StatusFailsClosed(t *testing.T) {
	b := newBench(t)
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "places") })
	if res := b.ask(b.fresh()); res.status != 503 || res.body["access_token"] != nil {
		t.Errorf("%d %s", res.status, res.text)
	}
	b.faulty.Repair()
	rpt := b.ask(b.fresh()).get("access_token")
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "revoked") })
	if res := b.send("revoke", map[string]string{"token": rpt, "client_id": "app"}); res.status != 503 {
		t.Errorf("%d %s", res.status, res.text)
	}
	b.faulty.Repair()
	if !b.active(rpt) || b.listed(rpt) {
		t.Error("half revoked")
	}
	b.faulty.FailBefore(func(storetest.Call) bool { return true })
	b.pass(2 * time.Second)
	if res := b.get(placeOf(t, rpt).URI[len(issuer):]); res.status != 503 {
		t.Errorf("a list that cannot be read: %d", res.status)
	}
}

// Two processes on one store never give one place to two RPTs, and what one takes
// back is on the list of the other.
func TestStatusListOfTwoNodes(t *testing.T) {
	a := newBench(t)
	b := a.reload()
	seen := map[statuslist.Reference]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, node := range []*bench{a, b} {
		wg.Go(func() {
			for range 20 {
				place := placeOf(t, node.ask(node.fresh()).get("access_token"))
				mu.Lock()
				if seen[place] {
					t.Errorf("%+v twice", place)
				}
				seen[place] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	rpt := a.ask(a.fresh()).get("access_token")
	a.send("revoke", map[string]string{"token": rpt, "client_id": "app"})
	if !b.listed(rpt) {
		t.Error("the other node does not know")
	}
}

func TestStatusListIsReadOncePerSecond(t *testing.T) {
	b := newBench(t)
	rpt := b.ask(b.fresh()).get("access_token")
	path := placeOf(t, rpt).URI[len(issuer):]
	reads := 0
	b.faulty.FailBefore(func(c storetest.Call) bool {
		if c.Key.Kind == "revoked" {
			reads++
		}
		return false
	})
	for range 50 {
		if res := b.get(path); res.status != 200 {
			t.Fatal(res.text)
		}
	}
	if reads != 1 {
		t.Errorf("%d reads of the store", reads)
	}
}

// UG-60: a tightened policy reaches who asks nobody.
func TestUG_60_Review(t *testing.T) {
	b := newBench(t, refreshing, func(b *bench) { b.cfg.PolicyRevision = "1" })
	bob, web := b.ask(b.fresh()), b.webGrant(b.fresh())
	if bob.status != 200 || web.status != 200 {
		t.Fatal(bob.text, web.text)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	next := b.reload(func(c *uma.Config) {
		c.PolicyRevision, c.Background = "2", ctx
		c.Policies = []uma.Policy{{Name: "app", From: from("bob@bob.example"), Clients: []string{"app"}}}
	})
	if got := next.revocations(); len(got) != 0 {
		t.Fatalf("%v while the configuration was loaded", got)
	}
	next.get("/uma/jwks") // any request
	waitFor(t, func() bool { return len(next.revocations()) == 1 })
	if !next.listed(web.get("access_token")) || next.listed(bob.get("access_token")) {
		t.Error("not that one alone is listed")
	}
	if diff := cmp.Diff([]string{"the policies changed"}, next.revocations()); diff != "" {
		t.Error(diff)
	}

	t.Run("what the old configuration granted meanwhile", func(t *testing.T) {
		late := b.webGrant(b.fresh())
		next.pass(time.Minute)
		next.get("/uma/jwks")
		waitFor(t, func() bool { return len(next.revocations()) == 2 })
		if !next.listed(late.get("access_token")) {
			t.Error("not listed")
		}
	})
	t.Run("a client that is not there any more", func(t *testing.T) {
		last := next.reload(func(c *uma.Config) {
			c.Clients = slices.Clone(c.Clients)
			c.Clients[0].Disabled = true
		})
		last.get("/uma/jwks")
		waitFor(t, func() bool { return len(last.revocations()) == 1 })
		if !last.listed(bob.get("access_token")) {
			t.Error("not listed")
		}
	})
	t.Run("a store that fails", func(t *testing.T) {
		again := b.webGrant(b.fresh())
		last := next.reload(func(c *uma.Config) { c.PolicyRevision = "3" })
		last.faulty.FailBefore(func(c storetest.Call) bool { return c.Key.Kind == "grant" })
		last.get("/uma/jwks")
		for range 20 {
			last.get("/uma/jwks")
		}
		last.faulty.Repair()
		waitFor(t, func() bool {
			last.pass(10 * time.Second)
			last.get("/uma/jwks")
			return len(last.revocations()) == 1
		})
		if !last.listed(again.get("access_token")) {
			t.Error("not listed")
		}
	})
}

// waitFor waits for what happens in the background.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 3000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not happen")
}
