package op_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-uma/caddy-uma/internal/op"
)

// family is the model: what came of one login, in the order of issue.
type family struct {
	access, refresh []string
	expires         map[string]time.Time // of access tokens
	ends            time.Time
	dead            bool
	revoked         map[string]bool // access tokens that were revoked alone
}

// machine compares two nodes with the model.
type machine struct {
	b        *bench
	nodes    []*op.Provider
	families []*family
}

func (m *machine) node(t *rapid.T) *op.Provider { return rapid.SampledFrom(m.nodes).Draw(t, "node") }

func (m *machine) pick(t *rapid.T) *family {
	if len(m.families) == 0 {
		t.Skip("no family")
	}
	return rapid.SampledFrom(m.families).Draw(t, "family")
}

func (f *family) add(now time.Time, access, refresh string) {
	f.access, f.refresh = append(f.access, access), append(f.refresh, refresh)
	f.expires[access] = now.Add(10 * time.Minute)
}

func (m *machine) Login(t *rapid.T) {
	if len(m.families) > 4 {
		t.Skip("enough")
	}
	now := m.b.clock()
	f := &family{expires: map[string]time.Time{}, revoked: map[string]bool{}, ends: now.Add(time.Hour)}
	got := serveTokens(m.b.t, m.node(t), tokenParams(m.b.codeAgain("scope", offline)))
	f.add(now, got.AccessToken, got.RefreshToken)
	m.families = append(m.families, f)
}

// Refresh uses some refresh token of a family, mostly the last one.
func (m *machine) Refresh(t *rapid.T) {
	f := m.pick(t)
	i := len(f.refresh) - 1
	if rapid.IntRange(0, 4).Draw(t, "old") == 0 {
		i = rapid.IntRange(0, i).Draw(t, "which")
	}
	last, live := i == len(f.refresh)-1, !f.dead && m.b.clock().Before(f.ends)
	a := serve(m.node(t), "token", refreshParams(f.refresh[i]))
	if (a.status == 200) != (last && live) {
		t.Fatalf("refresh %d of %d, live %v: %d", i, len(f.refresh), live, a.status)
	}
	if a.status == 200 {
		got := a.tokens(m.b.t)
		f.add(m.b.clock(), got.AccessToken, got.RefreshToken)
	} else if live {
		f.dead = true
	}
}

func (m *machine) RevokeRefresh(t *rapid.T) {
	f := m.pick(t)
	token := rapid.SampledFrom(f.refresh).Draw(t, "token")
	serve(m.node(t), "revoke", url.Values{"client_id": {"app"}, "token": {token}})
	f.dead = true
}

func (m *machine) RevokeAccess(t *rapid.T) {
	f := m.pick(t)
	token := rapid.SampledFrom(f.access).Draw(t, "token")
	serve(m.node(t), "revoke", url.Values{"client_id": {"app"}, "token": {token}})
	f.revoked[token] = true
}

// Foreign is everything that another client may try; it changes nothing.
func (m *machine) Foreign(t *rapid.T) {
	f := m.pick(t)
	token := rapid.SampledFrom(slices.Concat(f.refresh, f.access)).Draw(t, "token")
	serve(m.node(t), "revoke", asWeb(token))
	serve(m.node(t), "introspect", asWeb(token))
	serve(m.node(t), "token", refreshParams(token, "client_id", "native")).want(m.b.t, 400, "invalid_grant")
}

func (m *machine) EndAll(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip("not now")
	}
	if err := op.EndGrants(m.node(t), "bob@bob.example", "app"); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.families {
		f.dead = true
	}
}

func (m *machine) Wait(t *rapid.T) {
	m.b.pass(time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second)
}

// Check: an access token counts exactly as long as its family, at every node.
func (m *machine) Check(t *rapid.T) {
	now := m.b.clock()
	for i, f := range m.families {
		for j, token := range f.access {
			want := !f.dead && !f.revoked[token] && now.Before(f.expires[token])
			for n, p := range m.nodes {
				if got := lives(p, token); got != want {
					t.Fatalf("family %d, access token %d, node %d: lives %v, want %v", i, j, n, got, want)
				}
			}
		}
	}
}

func TestSEC_15_Machine(t *testing.T) {
	onStores(t, func(t *testing.T, store func(*op.Config)) {
		t.Helper()
		b := newBench(t, func(c *op.Config) {
			store(c)
			c.RefreshLifetime = time.Hour
		})
		nodes := []*op.Provider{b.provider, b.second(func(*op.Config) {})}
		rapid.Check(t, func(r *rapid.T) {
			r.Repeat(rapid.StateMachineActions(&machine{b: b, nodes: nodes}))
		})
	})
}
