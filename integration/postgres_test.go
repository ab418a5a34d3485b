package integration_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// The nine steps with `store postgres`: a ticket is spent once, also over a reload;
// a database that is gone issues nothing (SEC-13) and one that is back is used
// again; the password of the DSN is in no log.
func TestSEC_13_Postgres(t *testing.T) {
	server := pgtest.New(t)
	w := example(t)
	t.Setenv("UMA_TEST_DSN", strings.Replace(server.DSN(), "uma@", "uma:sesame-sesame@", 1))
	store := map[string]any{"module": "postgres", "dsn": "{env.UMA_TEST_DSN}", "max_conns": 3}
	w.config["apps"].(map[string]any)["uma"].(map[string]any)["store"] = store
	w.reload()
	w.await()
	access := w.login("bob@bob.localhost", "bob-demo")
	redeem := func(ticket, claims string, want int) {
		t.Helper()
		if a := w.redeem(ticket, claims, nil); a.status != want {
			t.Errorf("token endpoint: %d %s, want %d", a.status, a.text, want)
		}
	}
	spent, _ := w.challenged(http.MethodGet, "/")
	claims := w.claimsToken(access, w.url("api", ""), spent)
	redeem(spent, claims, http.StatusOK)
	redeem(spent, claims, http.StatusBadRequest)
	w.reload()
	w.await()
	redeem(spent, claims, http.StatusBadRequest)

	ticket, _ := w.challenged(http.MethodGet, "/")
	claims = w.claimsToken(access, w.url("api", ""), ticket)
	server.Stop(t)
	redeem(ticket, claims, http.StatusServiceUnavailable)
	server.Start(t)
	ticket, _ = w.challenged(http.MethodGet, "/")
	redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), http.StatusOK)

	if !w.logged("store postgres") {
		t.Error("the log has no word of the failure")
	}
	if w.logged("sesame") {
		t.Error("the password of the DSN is in the log")
	}
	const warning = `"directive":"uma: store postgres","field":"the DSN"`
	before := w.logged(warning)
	store["dsn"] = os.Getenv("UMA_TEST_DSN")
	w.reload()
	if before || !w.logged(warning) {
		t.Error("a literal DSN with a password is not warned about, or another one is")
	}
}

// logged tells whether the log holds a text.
func (w *world) logged(text string) bool {
	w.t.Helper()
	log, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return bytes.Contains(log, []byte(text))
}
