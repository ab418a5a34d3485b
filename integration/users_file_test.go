package integration_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// writeUsers replaces a users file as deployments do; each user has the hash of
// his demo password in Caddyfile.example.
func writeUsers(t *testing.T, path string, hashes map[string]string) {
	t.Helper()
	list := []any{}
	for email, hash := range hashes {
		list = append(list, map[string]any{"email": email, "password_hash": hash, "claims": map[string]any{"groups": []string{"staff"}}})
	}
	text, err := json.Marshal(map[string]any{"users": list})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// demoHash is the hash of bob's password in Caddyfile.example.
func demoHash(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`BOB_HASH:([^}]+)\}`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no hash of bob")
	}
	return string(m[1])
}

// TestUsersFile: who is in the file can log in, who is no longer there is out
// within a second, with his sessions and tokens, and a broken file puts nobody out.
func TestUsersFile(t *testing.T) {
	file, hash := filepath.Join(t.TempDir(), "users.json"), demoHash(t)
	eve, dan := "eve@bob.localhost", "dan@bob.localhost"
	writeUsers(t, file, map[string]string{eve: hash})
	w := example(t, "user mallory@bob.localhost", "users "+file+"\n\t\t\tuser mallory@bob.localhost")
	exchange := func(access string) int {
		ticket, _ := w.challenged(http.MethodGet, "/")
		return w.exchange(access, w.url("api", ""), ticket, nil).status
	}
	wait := func() { time.Sleep(1100 * time.Millisecond) } // a real server with a real clock

	access := w.login(eve, "bob-demo")
	if got := exchange(access); got != http.StatusOK {
		t.Fatalf("eve of the file: %d", got)
	}
	if err := os.WriteFile(file, []byte(`{"users":[{"email":`), 0o600); err != nil {
		t.Fatal(err)
	}
	wait()
	if got := exchange(access); got != http.StatusOK {
		t.Errorf("half a file: %d, want the users as they were", got)
	}
	writeUsers(t, file, map[string]string{dan: hash})
	wait()
	if got := exchange(access); got != http.StatusBadRequest {
		t.Errorf("eve is no longer there: %d", got)
	}
	if got := exchange(w.login(dan, "bob-demo")); got != http.StatusOK {
		t.Errorf("dan is new: %d", got)
	}
	if got := exchange(w.login("bob@bob.localhost", "bob-demo")); got != http.StatusOK {
		t.Errorf("bob of the Caddyfile: %d", got)
	}
	writeUsers(t, file, map[string]string{eve: hash})
	w.reload() // a reload reads at once
	w.await()
	if got := exchange(w.login(eve, "bob-demo")); got != http.StatusOK {
		t.Errorf("eve after a reload: %d", got)
	}
}
