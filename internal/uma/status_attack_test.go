package uma_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// RFC 9110 §13.1.2: If-None-Match may be a list or *, and is compared weakly.
func TestStatusListIfNoneMatch(t *testing.T) {
	b := newBench(t)
	path := placeOf(t, b.ask(b.fresh()).get("access_token")).URI[len(issuer+"/uma/"):]
	tag := b.request(http.MethodGet, path, "").header.Get("ETag")
	for value, want := range map[string]int{
		tag: 304, "W/" + tag: 304, "*": 304, `"a", ` + tag: 304, `W/"a" ,W/` + tag + `,"b"`: 304,
		"": 200, `"a"`: 200, tag[:len(tag)-1]: 200, "w/" + tag: 200, `"*"`: 200, `W/"a"`: 200, tag + "x": 200, ",": 200,
	} {
		res := b.request(http.MethodGet, path, "", func(r *http.Request) { r.Header.Set("If-None-Match", value) })
		if res.status != want {
			t.Errorf("%s: %d, want %d", value, res.status, want)
		}
	}
	res := b.request(http.MethodHead, path, "", func(r *http.Request) { r.Header["If-None-Match"] = []string{`"a"`, tag} })
	if res.status != 304 || res.header.Get("ETag") != tag {
		t.Errorf("two fields: %d %v", res.status, res.header)
	}
}

// A reload that changes the lifetime of RPTs neither takes a list from those that
// live longer, nor makes one shrink.
func TestStatusListOutlivesAReload(t *testing.T) {
	life := func(d time.Duration) func(*uma.Config) { return func(c *uma.Config) { c.RPTLifetime = d } }
	t.Run("shorter", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.RPTLifetime = 72 * time.Hour })
		old := b.ask(b.fresh()).get("access_token")
		next := b.reload(life(time.Minute))
		next.ask(next.fresh())
		next.pass(71 * time.Hour)
		b.pass(71 * time.Hour) // the clock of the store
		if next.listed(old) {
			t.Error("revoked")
		}
		if res := next.send("revoke", map[string]string{"token": old, "client_id": "app"}); res.status != 200 || !next.listed(old) {
			t.Errorf("not revoked: %d %s", res.status, res.text)
		}
	})
	t.Run("longer", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.RPTLifetime = time.Minute })
		revoke := func(b *bench) string {
			rpt := b.ask(b.fresh()).get("access_token")
			b.send("revoke", map[string]string{"token": rpt, "client_id": "app"})
			return rpt
		}
		revoke(b)
		next := b.reload(life(72 * time.Hour))
		rpt := revoke(next)
		next.pass(time.Minute)
		_, before := next.readList(placeOf(t, rpt).URI)
		next.pass(40 * time.Hour)
		b.pass(40 * time.Hour)
		if _, after := next.readList(placeOf(t, rpt).URI); after.Sequence < before.Sequence || !next.listed(rpt) {
			t.Errorf("sequence %d after %d", after.Sequence, before.Sequence)
		}
	})
}

func TestStatusListNames(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.RPTLifetime = 72 * time.Hour })
	path := placeOf(t, b.ask(b.fresh()).get("access_token")).URI[len(issuer):]
	if res := b.get(path); res.status != 200 {
		t.Fatalf("%s: %d", path, res.status)
	}
	hour := path[:len(path)-len("-73")]
	if hour+"-73" != path {
		t.Fatal(path)
	}
	for _, other := range []string{hour, hour + "-24", hour + "-073", hour + "-", hour + "--73", hour + "-73-73", hour + "-72", hour + "-0", hour + "-9223372036854775807"} {
		if res := b.get(other); res.status != 404 {
			t.Errorf("%s: %d", other, res.status)
		}
	}
}

// A clock that was far ahead for a while makes the store forget which places were
// given out. What then has one place together can be revoked all the same.
func TestStatusPlaceGivenTwice(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.RefreshLifetime = 96 * time.Hour })
	first := b.webGrant(b.fresh())
	b.pass(48 * time.Hour)
	if _, err := b.faulty.Sweep(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	b.pass(-48 * time.Hour)
	next := b.reload()
	second := next.webGrant(next.fresh())
	if a, b := placeOf(t, first.get("access_token")), placeOf(t, second.get("access_token")); a != b {
		t.Fatalf("%v and %v: nothing is tested", a, b)
	}
	for _, res := range []reply{first, second} {
		if got := next.revoke(res.get("refresh_token")); got.status != 200 {
			t.Errorf("%d %s", got.status, got.text)
		}
	}
	if !next.listed(first.get("access_token")) {
		t.Error("not revoked")
	}
}

// A revocation whose answer was lost is there, and can be repeated.
func TestStatusRevocationOfWhichTheAnswerIsLost(t *testing.T) {
	b := newBench(t, refreshing)
	res := b.webGrant(b.fresh())
	b.faulty.LoseAnswer(func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "revoked") })
	if got := b.revoke(res.get("access_token")); got.status != 503 {
		t.Errorf("%d", got.status)
	}
	b.faulty.Repair()
	for _, token := range []string{res.get("access_token"), res.get("refresh_token"), res.get("refresh_token")} {
		if got := b.revoke(token); got.status != 200 {
			t.Errorf("%d %s", got.status, got.text)
		}
	}
	if !b.listed(res.get("access_token")) {
		t.Error("not revoked")
	}
}

// UG-60: one grant that cannot be read, judged or ended does not save the others.
func TestUG_60_ReviewPassesWhatIsBroken(t *testing.T) {
	b := newBench(t, refreshing, func(b *bench) { b.cfg.PolicyRevision = "1" })
	for range 5 {
		b.webGrant(b.fresh())
	}
	b.put("grant", "!", "api", map[string]any{"v": 99})
	docs, err := b.faulty.List(t.Context(), store.Tenant("as", issuer), "grant", "", "!", 1)
	if err != nil || len(docs) != 1 {
		t.Fatal(docs, err)
	}
	for name, hook := range map[string]func(context.Context, storetest.Call) error{
		"error": func(_ context.Context, c storetest.Call) error {
			if c.Method == "Get" && c.Key.ID == docs[0].ID {
				return errors.New("damaged")
			}
			return nil
		},
		"panic": func(_ context.Context, c storetest.Call) error {
			if c.Method == "Get" && c.Key.ID == docs[0].ID {
				panic("damaged")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			late := b.webGrant(b.fresh())
			before := b.liveGrants()
			b.faulty.Before(hook)
			defer b.faulty.Repair()
			next := b.reload(func(c *uma.Config) {
				c.PolicyRevision, c.Background = name, t.Context()
				c.Policies = []uma.Policy{{Name: "app", From: from("bob@bob.example"), Clients: []string{"app"}}}
			})
			next.get("/uma/jwks")
			waitFor(t, func() bool { return len(next.revocations()) == before-2 }) // the broken one and "!"
			if !next.listed(late.get("access_token")) {
				t.Error("not listed")
			}
		})
	}
}

// A block, too, goes on behind what it cannot read, and says that there was something.
func TestBlock_PassesWhatIsBroken(t *testing.T) {
	b := newBench(t)
	rpt := b.ask(b.fresh()).get("access_token")
	b.put("grant", "!", "api", map[string]any{"v": 99})
	if res := b.change("block", `{"who":"bob@bob.example"}`); res.status != 503 {
		t.Errorf("%d %s", res.status, res.text)
	}
	if !b.listed(rpt) {
		t.Error("not listed")
	}
}

// OA-24: a client that is deleted while the grants are looked through, by nobody else
// calling afterwards.
func TestOA_24_DeletedDuringAPass(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	b := registering(t, refreshing, func(b *bench) { b.cfg.Background = ctx })
	client := b.signUp(members{"grant_types": []string{oauth.GrantUMATicket, oauth.GrantRefreshToken}})
	rpt := b.registeredGrant(basic(client.get("client_id"), client.get("client_secret"))).get("access_token")
	b.pass(2 * time.Minute)
	passed, deleted := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	b.faulty.After(func(ctx context.Context, c storetest.Call, err error) error {
		if c.Method == "Get" && c.Key.Kind == "client" {
			if held.CompareAndSwap(false, true) {
				close(passed)
				<-deleted
			}
		}
		return err
	})
	waitFor(t, func() bool {
		b.pass(time.Minute)
		b.get("/uma/jwks")
		select {
		case <-passed:
			return true
		default:
			return false
		}
	})
	if res := b.manage(http.MethodDelete, client.get("client_id"), client.get("registration_access_token"), ""); res.status != 204 {
		t.Fatal(res.text)
	}
	close(deleted)
	waitFor(t, func() bool { return len(b.revocations()) == 1 })
	if !b.listed(rpt) {
		t.Error("not listed")
	}
}

// What looks through the grants ends with its configuration.
func TestUG_60_ReviewEndsWithTheConfiguration(t *testing.T) {
	b := newBench(t, refreshing, func(b *bench) { b.cfg.PolicyRevision = "1" })
	for range 5 {
		b.webGrant(b.fresh())
	}
	ctx, stop := context.WithCancel(t.Context())
	next := b.reload(func(c *uma.Config) { c.PolicyRevision, c.Background, c.Policies = "2", ctx, nil })
	ended := make(chan error, 100)
	b.faulty.After(func(_ context.Context, c storetest.Call, err error) error {
		if c.Writes(store.ActionSwap, "grant") {
			stop()
			ended <- err
		}
		return err
	})
	next.get("/uma/jwks")
	waitFor(t, func() bool { return len(next.revocations()) == 1 })
	for range 20 {
		next.pass(time.Minute)
		next.get("/uma/jwks")
	}
	if len(ended) != 1 {
		t.Errorf("%d grants ended", len(ended))
	}
}

// Renewals, revocations of RPTs and of grants, a review and a block at once, on two
// nodes: afterwards exactly what is not active any more is listed.
func TestStatusRace(t *testing.T) {
	const grants = 8
	b := newBench(t, refreshing, func(b *bench) { b.cfg.PolicyRevision = "1" })
	var held []reply
	for range grants {
		held = append(held, b.webGrant(b.fresh()))
	}
	bob := b.ask(b.fresh()).get("access_token")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	node := b.reload(func(c *uma.Config) { c.PolicyRevision, c.Background = "2", ctx })
	var mu sync.Mutex
	rpts := []string{bob}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, res := range held {
		at, other := b, node
		if i%2 == 0 {
			at, other = node, b
		}
		rpts = append(rpts, res.get("access_token"))
		wg.Go(func() {
			<-start
			for token := res.get("refresh_token"); token != ""; {
				got := at.renew(token)
				if token = got.get("refresh_token"); token != "" {
					mu.Lock()
					rpts = append(rpts, got.get("access_token"))
					mu.Unlock()
				}
			}
		})
		wg.Go(func() {
			<-start
			other.revoke(res.get("access_token"))
			for _, node := range []*bench{at, other} { // the same end twice at once
				if i < grants/2 {
					wg.Go(func() { node.revoke(res.get("refresh_token")) })
				}
			}
		})
	}
	wg.Go(func() { <-start; node.get("/uma/jwks") })
	wg.Go(func() { <-start; time.Sleep(20 * time.Millisecond); b.change("block", `{"who":"bob@bob.example"}`) })
	close(start)
	wg.Wait()
	b.change("block", `{"who":"bob@bob.example"}`) // what lost a race each time is ended now
	b.pass(2 * time.Second)
	node.pass(2 * time.Second)
	if n := b.liveGrants(); n != 0 {
		t.Errorf("%d grants live", n)
	}
	for _, rpt := range rpts {
		place := placeOf(t, rpt)
		list, _ := node.readList(place.URI)
		if revoked, known := list.Revoked(place.Index); !revoked || !known || b.active(rpt) {
			t.Errorf("%v: revoked %v, known %v, active %v", place, revoked, known, b.active(rpt))
		}
	}
	t.Logf("%d RPTs", len(rpts))
}
