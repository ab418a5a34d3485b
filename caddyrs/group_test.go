package caddyrs

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// registered are the resources that are there.
func (a *fakeAS) registered() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(a.names), func(name string) bool { return name == "" })
	slices.Sort(left)
	return left
}

const twoBlocks = "\thandle /a/* {\n\t\tuma_protect https://as.example {\n\t\t\tclient_id api\n\t\t\trate_limit off\n\t\t\tdelete_undeclared\n\t\t\tresource a\n\t\t}\n\t\trespond a\n\t}\n" +
	"\thandle /b/* {\n\t\tuma_protect https://as.example {\n\t\t\tclient_id api\n\t\t\trate_limit off\n\t\t\tresource b {\n\t\t\t\tscope post\n\t\t\t}\n\t\t}\n\t\trespond b\n\t}\n"

// UF-20: two blocks that share a client do not delete what the other one declares.
func TestUF_20_SiblingsAreSpared(t *testing.T) {
	s := newSite(t, twoBlocks)
	s.as.mu.Lock()
	s.as.names = []string{"old", "b", "older"}
	s.as.mu.Unlock()
	if len(s.as.asked) != 0 {
		t.Errorf("called at load: %v", s.as.asked)
	}
	s.do("GET", "/a/x", "")
	if diff := cmp.Diff([]string{"a", "b"}, s.as.registered()); diff != "" {
		t.Error(diff)
	}
	t.Run("UF-20 a block without the word deletes nothing", func(t *testing.T) {
		s := newSite(t, twoBlocks)
		s.as.mu.Lock()
		s.as.names = []string{"old"}
		s.as.mu.Unlock()
		s.do("POST", "/b/x", "")
		if diff := cmp.Diff([]string{"b", "old"}, s.as.registered()); diff != "" {
			t.Error(diff)
		}
	})
}

// UF-20: blocks that share a client are compared together.
func TestUF_20_DiffOfSiblings(t *testing.T) {
	as := newAS(t)
	as.names = []string{"a", "b", "old"}
	ctx, _ := provision(t, "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp:// {\n"+twoBlocks+"}\n")
	app, err := umaapp.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.RegisterAS(issuer, []byte("1"), as); err != nil {
		t.Fatal(err)
	}
	key := groupKey{app, issuer, "api"}
	if n, there := pool.References(key); !there || n != 2 { // one of each block
		t.Fatalf("references = %d, %v", n, there)
	}
	v, _, err := pool.LoadOrNew(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = pool.Delete(key) }()
	diff, err := v.(*group).ResourceDiff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(diff)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"create":[],"update":[{"resource_id":"id-1","name":"b","scopes":["post"],"changes":[{"member":"scopes","was":"get","is":"post"}]}],` +
		`"undeclared":[{"resource_id":"id-2","name":"old","scopes":["get"]}],"in_step":1}`
	if string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"a", "b", "old"}, as.registered()); diff != "" {
		t.Error(diff)
	}
}

// UF-20: nothing is called at load and at reload, and everything with the first
// request.
func TestUF_20_NothingIsCalledAtLoad(t *testing.T) {
	var hits atomic.Int32
	as := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(as.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: as.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp:// {\n\tuma_protect " + as.URL + " {\n\t\tclient_id api\n\t\tclient_secret " +
		strings.Repeat("s3cret", 8) + "\n\t\tdelete_undeclared\n\t\ttrust_pool file " + ca + "\n\t}\n\trespond x\n}\n"
	for load := range 2 {
		before := hits.Load()
		_, server := provision(t, text)
		if n := hits.Load() - before; n != 0 {
			t.Errorf("load %d: %d calls", load, n)
		}
		front := httptest.NewServer(behindTLS(server))
		resp, err := http.Get(front.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		front.Close()
		if n := hits.Load() - before; n == 0 || resp.StatusCode != http.StatusForbidden {
			t.Errorf("first request after load %d: %d calls, status %d", load, n, resp.StatusCode)
		}
	}
}
