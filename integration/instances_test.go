package integration_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// gallery is the example whose API has photos of users, who own them. Bob may see
// those of alice and his own.
func gallery(t *testing.T) *world {
	t.Helper()
	return example(t,
		"{$RS_SECRET:example-only-change-me-0000000000}\n\n", "{$RS_SECRET:example-only-change-me-0000000000} {\n\t\t\towner *\n\t\t}\n\t\trate_limit ticket off\n\n",
		"resource \"RS API\"\n\t\t\tscopes get", "resource photo\n\t\t\twhen `resource.captures.user in [\"alice\", email.local] && resource.owner == resource.captures.user`",
		"resource \"RS API\" {", "rate_limit off\n\t\tresource photo /users/:user/photos/:id {\n\t\t\towner :user",
	)
}

// photo does the nine steps for a path of the gallery and gives the RPT.
func (w *world) photo(access, path string) answer {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, path)
	return w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
}

// TestCA_39_Instances: an RPT opens the instance that it was granted for, under no
// other name than its own, and nothing else.
func TestCA_39_Instances(t *testing.T) {
	w := gallery(t)
	access := w.login("bob@bob.localhost", "bob-demo")
	a := w.photo(access, "/users/alice/photos/7")
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	rpt := bearer(a.get("access_token"))
	for path, want := range map[string]int{
		"/users/alice/photos/7": 200, "/USERS/alice/Photos/7": 200, "/users/%61lice/photos/7?x=8": 200,
		"/users/alice/photos/8": 401, "/users/carol/photos/7": 401, "/users/Alice/photos/7": 401,
		"/users/alice/photos/8/../7": 400, "/users/carol%2F..%2Falice/photos/7": 400, "/users/alice/photos/7;v=1": 400,
		"/users//alice/photos/7": 400, "/users/alice/photos/7%00": 400, "/users/alice/photos/%2537": 400,
		"/users/alice/photos/7/small": 403, "/users/*/photos/7": 403,
	} {
		before := w.hits.Load()
		got := w.get(w.url("api", path), rpt)
		if got.status != want || (w.hits.Load() > before) != (want == 200) {
			t.Errorf("%s: %d, want %d; %d hits", path, got.status, want, w.hits.Load()-before)
		}
	}
	t.Run("of bob", func(t *testing.T) {
		own := w.photo(access, "/users/bob/photos/1")
		if got := w.get(w.url("api", "/users/bob/photos/1"), bearer(own.get("access_token"))); got.status != 200 {
			t.Errorf("%d %s", own.status, own.text)
		}
	})
	t.Run("of carol", func(t *testing.T) {
		if no := w.photo(access, "/users/carol/photos/7"); no.status != http.StatusForbidden || no.get("error") != "request_denied" {
			t.Errorf("%d %s", no.status, no.text)
		}
	})
	t.Run("two of them", func(t *testing.T) {
		ticket, _ := w.challengedWith(http.MethodGet, "/users/alice/photos/8", a.get("access_token"))
		both := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), map[string]string{"rpt": a.get("access_token")})
		for _, path := range []string{"/users/alice/photos/7", "/users/alice/photos/8"} {
			if got := w.get(w.url("api", path), bearer(both.get("access_token"))); got.status != 200 {
				t.Errorf("%s: %d %s", path, got.status, both.text)
			}
		}
	})
}

// documents counts what is stored, by kind, without what nodes tell of themselves by
// the clock.
func documents(t *testing.T, dsn string) map[string]int {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), "SELECT convert_from(kind, 'UTF8'), count(*) FROM uma.doc WHERE kind <> 'node'::bytea GROUP BY kind")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	counts := map[string]int{}
	for rows.Next() {
		var kind string
		var n int
		if err := rows.Scan(&kind, &n); err != nil {
			t.Fatal(err)
		}
		counts[kind], counts[""] = n, counts[""]+n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return counts
}

// TestSEC_18_InstancesInACluster: instance paths that are asked for anonymously
// leave nothing behind, and two nodes that grant one instance at once register it
// once.
func TestSEC_18_InstancesInACluster(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", server.DSN())
	const kek = "the-secret-of-this-cluster-0123456789-0123456789"
	a := gallery(t)
	cluster(a.config, kek)
	a.reload()
	a.client.CloseIdleConnections()
	a.await()
	b := a.node(kek)
	access := a.login("bob@bob.localhost", "bob-demo")
	if ok := a.photo(access, "/users/alice/photos/0"); ok.status != http.StatusOK {
		t.Fatalf("%d %s", ok.status, ok.text)
	}

	t.Run("SEC-18 a flood of distinct paths", func(t *testing.T) {
		b.challenged(http.MethodGet, "/users/alice/photos/0") // its PAT
		before := documents(t, server.DSN())
		for i := range 1000 {
			w := []*world{a, b}[i%2]
			if ticket, _ := w.challenged(http.MethodGet, fmt.Sprintf("/users/u%d/photos/%d", i, i)); ticket == "" {
				t.Fatalf("no ticket for path %d", i)
			}
		}
		if after := documents(t, server.DSN()); after[""] != before[""] || after["resource"] != 1 {
			t.Errorf("before %v, after %v", before, after)
		}
	})
	t.Run("two nodes at once", func(t *testing.T) {
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 8 {
			w := []*world{a, b}[i%2]
			ticket, _ := w.challenged(http.MethodGet, "/users/alice/photos/7")
			claims := w.claimsToken(access, w.url("api", ""), ticket)
			wg.Go(func() {
				<-start
				got := w.redeem(ticket, claims, nil)
				if got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.text)
					return
				}
				for _, at := range []*world{a, b} { // each node computes the same id
					if got := at.get(at.url("api", "/users/alice/photos/7"), bearer(got.get("access_token"))); got.status != http.StatusOK {
						t.Errorf("%d %s", got.status, strings.TrimSpace(got.text))
					}
				}
			})
		}
		close(start)
		wg.Wait()
		if n := documents(t, server.DSN()); n["instance"] != 2 || n["slot"] != 2 {
			t.Errorf("%v, want the two instances that were granted", n)
		}
	})
}
