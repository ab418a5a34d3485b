package op_test

import (
	"net/url"
	"sync"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// Whatever the moment: one success, and the family ends with the second use.
func TestSEC_15_RefreshRace(t *testing.T) { onStores(t, raceRefresh) }

func raceRefresh(t *testing.T, store func(*op.Config)) {
	t.Helper()
	b := newBench(t, store)
	nodes := []*op.Provider{b.provider, b.second(func(*op.Config) {})}
	for range 10 {
		token := b.tokens().RefreshToken
		answers := make([]answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = serve(nodes[i%2], "token", refreshParams(token)) })
		}
		wg.Wait()
		var won oauth.TokenResponse
		n := 0
		for _, a := range answers {
			if a.status == 200 {
				n++
				won = a.tokens(t)
			} else {
				a.want(t, 400, "invalid_grant")
			}
		}
		if n != 1 {
			t.Fatalf("%d of %d got tokens for one refresh token", n, len(answers))
		}
		for i, p := range nodes {
			if lives(p, won.AccessToken) {
				t.Errorf("node %d: the family outlives the reuse", i)
			}
		}
	}
}

// Two nodes with one store: a code counts once, what one ends is ended at the
// other.
func TestNodes_Code(t *testing.T) { onStores(t, raceCode) }

func raceCode(t *testing.T, store func(*op.Config)) {
	t.Helper()
	b := newBench(t, store)
	nodes := []*op.Provider{b.provider, b.second(func(*op.Config) {})}
	for range 10 {
		code := b.codeAgain("scope", offline)
		answers := make([]answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = serve(nodes[i%2], "token", tokenParams(code)) })
		}
		wg.Wait()
		n := 0
		for _, a := range answers {
			if a.status == 200 {
				n++
			} else {
				a.want(t, 400, "invalid_grant")
			}
		}
		if n != 1 {
			t.Fatalf("%d of %d got tokens for one code", n, len(answers))
		}
	}
	got := serve(nodes[1], "token", tokenParams(b.codeAgain("scope", offline))).tokens(t)
	if !lives(nodes[0], got.AccessToken) {
		t.Fatal("the other node does not know it")
	}
	if a := serve(nodes[0], "revoke", url.Values{"client_id": {"app"}, "token": {got.RefreshToken}}); a.status != 200 {
		t.Fatal(a)
	}
	if lives(nodes[1], got.AccessToken) {
		t.Error("revoked at one node, alive at the other")
	}
	serve(nodes[1], "token", refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
}

// A refresh and a revocation at once: whichever comes first, nothing lives on.
func TestRefresh_RevokedMeanwhile(t *testing.T) {
	b := newBench(t, nil)
	for range 20 {
		token := b.tokens().RefreshToken
		var a answer
		var wg sync.WaitGroup
		wg.Go(func() { a = serve(b.provider, "token", refreshParams(token)) })
		wg.Go(func() { serve(b.provider, "revoke", url.Values{"client_id": {"app"}, "token": {token}}) })
		wg.Wait()
		if a.status == 200 && lives(b.provider, a.tokens(t).AccessToken) {
			t.Fatal("a token of a revoked family lives")
		}
	}
}
