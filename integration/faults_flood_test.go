package integration_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Thousands of requests, each with something that was never seen before: tickets,
// tokens, kids, client ids, subject tokens, addresses. The caches and limits that
// they go through are bounded (docs/faults.md has the list), so a second flood
// adds little to what the first has filled, and when it is over nothing runs on.
func TestFloodsOfInventedThings(t *testing.T) {
	c := prepareChild(t, unlimited()...)
	lendCertificates(t, c.disk+"/storage")
	admin := "127.0.0.1:" + freePort(t)
	c.config["admin"] = map[string]any{"listen": admin}
	c.start()
	c.await()
	access := c.login("bob@bob.localhost", "bob-demo")
	rpt := c.flow(t, access)
	key := josetest.NewKey("ES256", "k")
	ticket, _ := c.challenged(http.MethodGet, "/")
	flood := func(n int) {
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range n / 8 {
					switch (worker + i) % 5 {
					case 0:
						token := key.Sign(map[string]any{"typ": "at+jwt", "kid": random(20)}, map[string]any{"iss": c.url("as", ""), "sub": random(10)})
						c.want(http.StatusUnauthorized, c.get(c.url("api", "/"), bearer(token)))
					case 1:
						c.want(http.StatusUnauthorized, c.get(c.url("api", "/"+random(8)), bearer("rpt_"+random(32))))
					case 2:
						c.want(http.StatusBadRequest, c.redeem(random(200), random(100), nil))
					case 3:
						c.want(http.StatusUnauthorized, c.redeem(ticket, random(100), map[string]string{"client_id": random(16)}))
					case 4:
						c.want(http.StatusBadRequest, c.post(c.url("bob", "/sts/token"), map[string]string{
							"grant_type": oauth.GrantTokenExchange, "client_id": "caddy-uma", "resource": c.url("api", ""),
							"ticket_challenge": s256(random(9)), "subject_token": random(40), "subject_token_type": oauth.TokenTypeAccessToken,
						}))
					}
				}
			})
		}
		all.Wait()
	}
	idle := c.goroutines(admin)
	flood(4000)
	first := c.memory()
	flood(8000)
	second := c.memory()
	t.Logf("resident after 4000 invented things: %d KiB, after 8000 more: %d KiB", first, second)
	if second-first > 48<<10 {
		t.Errorf("8000 more take %d KiB", second-first)
	}
	c.client.CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); c.goroutines(admin) > idle+20; time.Sleep(200 * time.Millisecond) { // a real process
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, %d before", c.goroutines(admin), idle)
			break
		}
	}
	c.lives(t)
	c.opens(t, rpt)
	c.opens(t, c.flow(t, access))
}

func (c *child) want(status int, a answer) {
	if a.status != status {
		c.t.Errorf("%d %s, want %d", a.status, a.text, status)
	}
}
