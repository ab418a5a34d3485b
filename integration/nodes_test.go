package integration_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Three Caddies with one PostgreSQL are one authorization server, one provider and one
// resource server: whatever one of them begins, any other goes on with, and what is
// spent, revoked or blocked at one of them is so at all. docs/cluster.md says how soon.
func TestSEC_11_Cluster(t *testing.T) {
	for _, keys := range []string{"store", "storage"} {
		t.Run("keys "+keys, func(t *testing.T) {
			n := newNodes(t, keys)
			t.Run("SEC-11 CA-43 the nine steps, each at another node", n.steps)
			t.Run("SEC-12 50 presentations over the nodes", n.race)
			t.Run("SEC-15 refresh tokens", n.refreshed)
			t.Run("UG-57 a PCT", n.persisted)
			t.Run("DP-05 DP-06 nonces and proofs", n.proofs)
			t.Run("SEC-11 keys rotate, sealing keys are retired", n.rotated)
			t.Run("UG-53 SEC-24 taken back", n.takenBack)
			if keys == "storage" {
				t.Run("SEC-12 SEC-13 a node is killed", n.nodeKilled)
			} else {
				t.Run("SEC-13 the database is restarted", n.databaseRestarted)
			}
			t.Run("SEC-11 signing keys are retired", n.retired)
		})
	}
}

// steps: the resource server gets its PAT at c, registers at a, asks for the ticket at
// b; the claims token is of c, the RPT of a; it is asked about at b. Then the same with
// the module's resource server, whose own checks are local.
func (n *nodes) steps(t *testing.T) {
	a, b, c := n.vault, n.at(n.b.world), n.at(n.c.world)
	pat := c.world.pat("as", "vault", vaultSecret)
	b.pat = pat
	code := a.challengeCode("bob@bob.localhost", "bob-demo", "openid email profile")
	access := b.redeemCode(code).get("access_token")
	ticket := b.ticket(a.register("steps", "read"), "read")
	claims := c.claimsToken(access, c.url("vault", ""), ticket)
	rpt := a.asWeb(ticket, claims, nil)
	if rpt.status != http.StatusOK || !b.active(rpt.get("access_token")) {
		t.Fatalf("%d %s", rpt.status, rpt.text)
	}
	if again := c.asWeb(ticket, "", nil); again.get("error") != oauth.CodeInvalidGrant {
		t.Errorf("SEC-12: a ticket spent at another node: %d %s", again.status, again.text)
	}
	own, _ := n.c.challenged(http.MethodGet, "/")
	mine := a.redeem(own, b.claimsToken(access, b.url("api", ""), own), nil)
	for _, w := range n.worlds() {
		if ok := w.get(w.url("api", "/"), bearer(mine.get("access_token"))); ok.status != http.StatusOK {
			t.Errorf("%d %s, after %d %s", ok.status, ok.text, mine.status, mine.text)
		}
	}
}

// race: exactly one wins, and what it has opens the resource, at every node.
func (n *nodes) race(t *testing.T) {
	ticket, _ := n.c.challenged(http.MethodGet, "/")
	claims := n.b.claimsToken(n.login("bob@bob.localhost", "bob-demo"), n.url("api", ""), ticket)
	form := map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "caddy-uma", "ticket": ticket,
		"claim_token": claims, "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
	answers := make([]answer, 50)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			<-start
			var err error
			if answers[i], err = n.worlds()[i%3].attempt(t, n.url("as", "/uma/token"), "", form); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	won := ""
	for _, a := range answers {
		switch {
		case a.status == http.StatusOK && won == "":
			won = a.get("access_token")
		case a.get("error") != oauth.CodeInvalidGrant:
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	for _, w := range n.worlds() {
		if a := w.get(w.url("api", "/"), bearer(won)); won == "" || a.status != http.StatusOK {
			t.Errorf("the winner: %d %s", a.status, a.text)
		}
	}
}

// refreshed: a refresh token is used once in the whole cluster; used again, its family
// ends everywhere.
func (n *nodes) refreshed(t *testing.T) {
	a, b, c := n.vault, n.at(n.b.world), n.at(n.c.world)
	access := n.login("bob@bob.localhost", "bob-demo")
	first := b.granted(access, c.ticket(a.register("refreshed", "read"), "read"), nil)
	second := c.refresh(first.get("refresh_token"))
	third := a.refresh(second.get("refresh_token"))
	if third.status != http.StatusOK || !b.active(third.get("access_token")) {
		t.Fatalf("%d %s, %d %s", second.status, second.text, third.status, third.text)
	}
	if again := b.refresh(first.get("refresh_token")); again.get("error") != oauth.CodeInvalidGrant {
		t.Errorf("used at another node: %d %s", again.status, again.text)
	}
	if c.active(third.get("access_token")) || a.refresh(third.get("refresh_token")).status == http.StatusOK {
		t.Error("the family lives")
	}
}

// persisted: claims that one node keeps are known at the others, until they are
// revoked at one.
func (n *nodes) persisted(t *testing.T) {
	a, b, c := n.vault, n.at(n.b.world), n.at(n.c.world)
	id := a.register("persisted", "read")
	pct := a.granted(n.login("bob@bob.localhost", "bob-demo"), b.ticket(id, "read"), nil).get("pct")
	if got := b.asWeb(c.ticket(id, "read"), "", map[string]string{"pct": pct}); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.text)
	}
	c.revoke(pct, basic("web", webSecret))
	if got := b.asWeb(a.ticket(id, "read"), "", map[string]string{"pct": pct}); got.get("error") != oauth.CodeNeedInfo {
		t.Errorf("revoked at another node: %d %s", got.status, got.text)
	}
}

// proofs: a nonce of one node is good at all. Which proofs were used each node knows
// for itself (CONFORMANCE DP-06): at the token endpoint a second use at another node
// finds the ticket spent; at the resource server it passes, once for each node.
func (n *nodes) proofs(t *testing.T) {
	signer := n.prover()
	ticket, _ := n.challenged(http.MethodGet, "/")
	claims := n.b.claimsToken(n.login("bob@bob.localhost", "bob-demo"), n.url("api", ""), ticket)
	first := n.b.redeem(ticket, claims, nil, n.proof(signer, ""))
	if first.get("error") != oauth.CodeUseDPoPNonce {
		t.Fatalf("%d %s", first.status, first.text)
	}
	proof := n.kept(n.proof(signer, first.header.Get(oauth.HeaderDPoPNonce)))
	granted := n.c.redeem(ticket, claims, nil, proof)
	if granted.status != http.StatusOK {
		t.Fatalf("with a nonce of another node: %d %s", granted.status, granted.text)
	}
	if again := n.c.redeem(ticket, claims, nil, proof); again.get("error") != oauth.CodeInvalidDPoPProof {
		t.Errorf("the proof again: %d %s", again.status, again.text)
	}
	if again := n.redeem(ticket, claims, nil, proof); again.get("error") != oauth.CodeInvalidGrant {
		t.Errorf("the proof again, at another node: %d %s", again.status, again.text)
	}
	n.proofsAtTheResource(t, signer)
}

func (n *nodes) proofsAtTheResource(t *testing.T, signer *dpop.Signer) {
	t.Helper()
	ticket, _ := n.challenged(http.MethodGet, "/")
	claims := n.b.claimsToken(n.login("bob@bob.localhost", "bob-demo"), n.url("api", ""), ticket)
	nonce := n.redeem("", "", nil, n.proof(signer, "")).header.Get(oauth.HeaderDPoPNonce)
	rpt := n.b.redeem(ticket, claims, nil, n.proof(signer, nonce)).get("access_token")
	asked := n.c.bound(signer, rpt)(http.MethodGet, "/")
	proof := n.kept(func(r *http.Request) {
		text, err := signer.Prove(r.Method, r.URL.String(), rpt, asked.header.Get(oauth.HeaderDPoPNonce))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(oauth.HeaderDPoP, text)
	})
	for _, w := range []*world{n.world, n.b.world} {
		if ok := w.bound(signer, rpt, proof)(http.MethodGet, "/"); ok.status != http.StatusOK {
			t.Errorf("with a nonce of another node: %d %s", ok.status, ok.text)
		}
		if again := w.bound(signer, rpt, proof)(http.MethodGet, "/"); again.status != http.StatusUnauthorized {
			t.Errorf("the proof again: %d %s", again.status, again.text)
		}
	}
}

// kept makes a proof once and sends it each time.
func (n *nodes) kept(prove func(*http.Request)) func(*http.Request) {
	made := ""
	return func(r *http.Request) {
		if made == "" {
			prove(r)
			made = r.Header.Get(oauth.HeaderDPoP)
		}
		r.Header.Set(oauth.HeaderDPoP, made)
	}
}

// rotated: a new key is published everywhere, and nobody fails meanwhile. A sealing key
// that is retired is dead at the other nodes at the latest when they meet the one after
// it: that they look each minute by themselves is shown with a clock in internal/jose.
func (n *nodes) rotated(t *testing.T) {
	ring := []string{"--issuer", n.url("as", ""), "--purpose", "rpt"}
	access := n.login("bob@bob.localhost", "bob-demo")
	before := n.c.rptFor(access)
	expect(t, n.uma, 0, "Published: here at once", append([]string{"keys", "rotate"}, ring...)...)
	for _, w := range n.worlds() {
		if !w.passes(before) || !w.passes(n.b.rptFor(access)) {
			t.Error("an RPT fails after a rotation")
		}
	}
	// The rest of the cluster meets a ticket that is sealed with a key it has not seen.
	code, out := n.uma("keys", "list", "--issuer", n.url("as", ""), "--purpose", "ticket")
	sealing := usedKey(out)
	if code != 0 || sealing == "" {
		t.Fatalf("exit %d, %s", code, out)
	}
	old, _ := n.challenged(http.MethodGet, "/")
	claims := n.claimsToken(access, n.url("api", ""), old)
	expect(t, n.uma, 0, sealing, "keys", "retire", "--yes", "--", sealing)
	for _, w := range []*world{n.b.world, n.c.world} {
		w.within(t, "a ticket of the new key", func() bool {
			fresh, _ := n.challenged(http.MethodGet, "/")
			return w.redeem(fresh, w.claimsToken(access, w.url("api", ""), fresh), nil).status == http.StatusOK
		})
	}
	if dead := n.b.redeem(old, claims, nil); dead.get("error") != oauth.CodeInvalidGrant {
		t.Errorf("a ticket of a retired key: %d %s", dead.status, dead.text)
	}
}

// retired: a signing key that one node retires is out of use at the others when they
// meet the one after it; then what each issues is good at all.
func (n *nodes) retired(t *testing.T) {
	access := n.login("bob@bob.localhost", "bob-demo")
	kid := headerOf(t, n.rptFor(access))["kid"].(string)
	expect(t, n.uma, 0, kid, "keys", "retire", "--yes", "--", kid)
	if n.published(kid) {
		t.Error("it is published where it was retired")
	}
	if !n.passes(n.rptFor(access)) {
		t.Error("the new key is not good where it was made")
	}
	n.b.within(t, "the new key at the other node", func() bool {
		theirs := n.b.rptFor(access)
		return n.b.passes(n.rptFor(access)) && headerOf(t, theirs)["kid"] != kid && n.passes(theirs)
	})
	if n.b.published(kid) {
		t.Error("it is published at the other node")
	}
}

// usedKey is the kid of the key that seals, in the table of `keys list`.
func usedKey(table string) string {
	for line := range strings.SplitSeq(table, "\n") {
		if fields := strings.Fields(line); strings.Contains(line, " signing ") && len(fields) > 1 {
			return fields[len(fields)-1]
		}
	}
	return ""
}

func (w *world) published(kid string) bool {
	w.t.Helper()
	return slices.Contains(keyIDs(w.get(w.url("as", "/uma/jwks"), nil)), kid)
}

// within polls: it is a bound that no busy machine breaks, not the one that is
// promised.
func (w *world) within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) { // polling real processes
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// takenBack: revocation, a block and a tightened policy of one node reach what is live
// at the others.
func (n *nodes) takenBack(t *testing.T) {
	access := n.login("bob@bob.localhost", "bob-demo")
	revoked, blocked := n.rptFor(access), n.b.rptFor(access)
	for _, w := range n.worlds() {
		if !w.passes(revoked) || !w.passes(blocked) {
			t.Fatal("refused")
		}
	}
	n.b.revoke(revoked)
	for _, w := range n.worlds() {
		w.ends(t, revoked)
	}
	expect(t, n.uma, 0, "bob.localhost is blocked", "block", "bob.localhost")
	for _, w := range []*world{n.b.world, n.c.world} { // at once: each decision reads the blocks
		if no := w.askAsBob(); no.status != http.StatusForbidden {
			t.Errorf("a block of another node: %d %s", no.status, no.text)
		}
		w.ends(t, blocked)
	}
	expect(t, n.uma, 0, "", "unblock", "bob.localhost")
	n.policyChanged(t, access)
}

// policyChanged: policies are configuration. What the first node with the new ones ends
// has ended at all of them; new requests are judged by each node's own.
func (n *nodes) policyChanged(t *testing.T, access string) {
	t.Helper()
	live := n.c.rptFor(access)
	if !n.b.passes(live) {
		t.Fatal("refused")
	}
	const bobMay, carolMay = "from bob@bob.localhost\n\t\t}\n\t}", "from carol@bob.localhost\n\t\t}\n\t}"
	n.change(bobMay, carolMay)
	n.get(n.url("as", "/.well-known/uma2-configuration"), nil) // the look through the grants begins with a request
	n.b.ends(t, live)
	if no := n.askAsBob(); no.status != http.StatusForbidden {
		t.Errorf("at the node with the new policy: %d %s", no.status, no.text)
	}
	if ok := n.b.askAsBob(); ok.status != http.StatusOK {
		t.Errorf("at a node with the old policy: %d %s", ok.status, ok.text)
	}
	n.change(carolMay, bobMay)
}
