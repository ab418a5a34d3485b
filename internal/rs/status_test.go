package rs_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

const statusPath = "/uma/status/1"

// fakeStatus is the status list of the authorization server in memory.
type fakeStatus struct {
	now     func() time.Time
	revoked []int64
	broken  bool
	etags   []string
	edit    func(header, claims map[string]any)
}

func (a *fakeAS) serveStatus(w http.ResponseWriter, r *http.Request) {
	a.status.etags = append(a.status.etags, r.Header.Get("If-None-Match"))
	etag := fmt.Sprintf(`"%d"`, len(a.status.revoked))
	switch {
	case a.status.broken:
		w.WriteHeader(503)
		return
	case r.Header.Get("If-None-Match") == etag:
		w.WriteHeader(304)
		return
	}
	list, _ := statuslist.New(64)
	for _, i := range a.status.revoked {
		_ = list.Revoke(i)
	}
	encoded, _ := list.Encode()
	header := map[string]any{"alg": "ES256", "kid": "k1", "typ": "statuslist+jwt"}
	claims := map[string]any{
		"iss": issuer, "sub": issuer + statusPath, "iat": a.status.now().Unix(), "seq": len(a.status.revoked),
		"status_list": map[string]any{"bits": encoded.Bits, "lst": encoded.List},
	}
	if a.status.edit != nil {
		a.status.edit(header, claims)
	}
	w.Header().Set("Content-Type", "application/statuslist+jwt")
	w.Header().Set("ETag", etag)
	_, _ = io.WriteString(w, sign(a.t, a.keys["k1"], header, claims))
}

// A revoked RPT is refused within the bound and without a call per request; its
// neighbour on the list goes on.
func TestStatus_RevokedWithinTheBound(t *testing.T) {
	w := newWorld(t)
	mine := w.rpt()
	other := w.rpt(func(c map[string]any) {
		c["jti"], c["status"] = "k", map[string]any{"status_list": map[string]any{"idx": 8, "uri": issuer + statusPath}}
	})
	for range 5 {
		if w.status("GET", mine) != 200 || w.status("GET", other) != 200 {
			t.Fatal("refused")
		}
	}
	if n := w.as.count("GET " + statusPath); n != 1 {
		t.Errorf("%d calls for ten requests", n)
	}
	w.as.set(func() { w.as.status.revoked = []int64{7} })
	w.now = w.now.Add(10 * time.Second)
	if got := w.status("GET", mine); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	if got := w.status("GET", other); got != 200 {
		t.Errorf("the other: %d", got)
	}
	w.as.set(func() {
		if got := w.as.status.etags; got[0] != "" || got[1] != `"0"` {
			t.Errorf("etags %q", got)
		}
	})
	if e := w.events[len(w.events)-2]; e.Reason != "was revoked" || e.ClientID != "caddy-uma" {
		t.Errorf("%+v", e)
	}
}

func TestStatus_Lost(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := newWorld(t, func(c *rs.Config) { c.Revocation, c.FailOpen = 20*time.Second, open })
		w.as.set(func() { w.as.status.broken = true })
		if got := w.status("GET", w.rpt()); got != 503 {
			t.Errorf("before the first list: %d", got)
		}
		w.as.set(func() { w.as.status.broken = false })
		w.now = w.now.Add(time.Second)
		if got := w.status("GET", w.rpt()); got != 200 {
			t.Errorf("with a list: %d", got)
		}
		w.as.set(func() { w.as.status.broken = true })
		w.now = w.now.Add(59 * time.Second)
		if got := w.status("GET", w.rpt()); got != 200 {
			t.Errorf("lost for less than three times the bound: %d", got)
		}
		w.now = w.now.Add(time.Second)
		want := 503
		if open {
			want = 200
		}
		if got := w.status("GET", w.rpt()); got != want {
			t.Errorf("lost for three times the bound (fail_open %v): %d", open, got)
		}
	}
}

func TestStatus_Elsewhere(t *testing.T) {
	w := newWorld(t)
	for name, status := range map[string]any{
		"another host":    map[string]any{"status_list": map[string]any{"idx": 7, "uri": "https://evil.example" + statusPath}},
		"a host like it":  map[string]any{"status_list": map[string]any{"idx": 7, "uri": issuer + ".evil.example" + statusPath}},
		"no https":        map[string]any{"status_list": map[string]any{"idx": 7, "uri": "http://as.example" + statusPath}},
		"userinfo":        map[string]any{"status_list": map[string]any{"idx": 7, "uri": "https://as.example@evil.example" + statusPath}},
		"too long":        map[string]any{"status_list": map[string]any{"idx": 7, "uri": issuer + "/" + strings.Repeat("x", 512)}},
		"no uri":          map[string]any{"status_list": map[string]any{"idx": 7}},
		"not on the list": map[string]any{"status_list": map[string]any{"idx": 64, "uri": issuer + statusPath}},
		"negative":        map[string]any{"status_list": map[string]any{"idx": -1, "uri": issuer + statusPath}},
		"a text":          map[string]any{"status_list": map[string]any{"idx": "7", "uri": issuer + statusPath}},
		"no object":       "revoked",
	} {
		rpt := w.rpt(func(c map[string]any) { c["status"] = status })
		if got := w.status("GET", rpt); got != 401 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := w.status("GET", w.rpt()); got != 200 {
		t.Errorf("as it should be: %d", got)
	}
}

// A status list is no RPT, and an RPT is no status list.
func TestAT_06_StatusListIsNoRPT(t *testing.T) {
	w := newWorld(t)
	list := sign(t, w.as.keys["k1"], map[string]any{"alg": "ES256", "kid": "k1", "typ": "statuslist+jwt"}, w.claims())
	if got := w.status("GET", list); got != 401 {
		t.Errorf("a status list as RPT: %d", got)
	}
	w.as.set(func() { w.as.status.edit = func(h, _ map[string]any) { h["typ"] = "at+jwt" } })
	if got := w.status("GET", w.rpt()); got != 503 {
		t.Errorf("an RPT as status list: %d", got)
	}
}

// A list of very many RPTs that packs badly is longer than other answers may be.
func TestStatus_LongList(t *testing.T) {
	w := newWorld(t)
	list, err := statuslist.New(16 << 20)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := int64(8); i < list.Size(); i++ {
		if random.IntN(2) == 0 {
			_ = list.Revoke(i)
		}
	}
	encoded, err := list.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.as.set(func() {
		w.as.status.edit = func(_, c map[string]any) { c["status_list"] = map[string]any{"bits": 1, "lst": encoded.List} }
	})
	if got := w.status("GET", w.rpt()); got != 200 {
		t.Errorf("%d with a list of %d bytes", got, len(encoded.List))
	}
}
