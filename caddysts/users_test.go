package caddysts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/op"
)

const (
	testHash  = "$2a$14$X3ulqf/iGxnf1k6oMZ.RZeJUoqI9PX2PM4rS5lkIKJXduLGXGPrt6"
	otherHash = "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"
)

// entry is one user of a file.
func entry(name, more string) string {
	return `{"email":"` + name + `@bob.example","password_hash":"` + testHash + `"` + more + `}`
}

func TestParseUsers(t *testing.T) {
	own := []op.User{{Email: "Own@bob.example", PasswordHash: testHash}}
	claims := func(text string) string { return `{"users":[` + entry("bob", `,"claims":`+text) + `]}` }
	tests := []struct{ name, text, want string }{
		{"one", `{"users":[` + entry("bob", "") + `]}`, ""},
		{"nobody", ` {"users":[]}` + "\n", ""},
		{"two", `{"users":[` + entry("bob", "") + "," + entry("eve", "") + `]}`, ""},
		{"disabled", `{"users":[` + entry("bob", `,"disabled":true`) + `]}`, ""},
		{"all claims", claims(`{"name":"Bob","groups":["staff"],"address":{"country":"x"},"updated_at":5,"phone_number_verified":true,"level":3,"tags":[1,{"a":[]}]}`), ""},
		{"empty", "", "line 1, column 1: the text ends in the middle"},
		{"half", `{"users":[` + "\n" + entry("bob", "")[:60], "line 2, column 61: the text ends in the middle"},
		{"not JSON", `{"users":[` + "\n  " + `hunter2]}`, "line 2, column 3: the text is not JSON here"},
		{"two values", `{"users":[]} {}`, "line 1, column 14: the text is not JSON here"},
		{"not UTF-8", "{\"users\":[\n\"\xff\"]}", "line 2, column 2: the text is not UTF-8"},
		{"array", `[]`, "line 1, column 1: the file must be an object"},
		{"null", `null`, "the file must be an object"},
		{"no users", `{}`, `"users" is missing`},
		{"users null", `{"users":null}`, `"users" must be an array`},
		{"users twice", `{"users":[],"users":[]}`, "line 1, column 13: this member is there twice in the file"},
		{"Users", `{"Users":[]}`, "line 1, column 2: there is an unknown member"},
		{"user a text", `{"users":["hunter2"]}`, "users[0] must be an object"},
		{"unknown member", "{\"users\":[\n" + entry("bob", ",\n \"hunter2\":1") + "]}", "line 3, column 2: there is an unknown member in users[0]"},
		{"other case", `{"users":[` + strings.Replace(entry("bob", ""), "email", "Email", 1) + `]}`, "unknown member in users[0]"},
		{"member twice", `{"users":[` + entry("bob", `,"email":"eve@bob.example"`) + `]}`, "twice in users[0]"},
		{"no email", `{"users":[{"password_hash":"` + testHash + `"}]}`, `users[0] has no "email"`},
		{"no hash", `{"users":[{"email":"bob@bob.example"}]}`, `users[0] has no "password_hash"`},
		{"empty hash", `{"users":[{"email":"bob@bob.example","password_hash":""}]}`, "must be a password hash"},
		{"password", `{"users":[{"email":"bob@bob.example","password_hash":"hunter2"}]}`, "line 1, column 54: users[0].password_hash must be a password hash (argon2id or bcrypt); make one with: caddy hash-password"},
		{"password a number", `{"users":[{"email":"bob@bob.example","password_hash":2222}]}`, "users[0].password_hash must be a text"},
		{"placeholder", `{"users":[{"email":"bob@bob.example","password_hash":"{env.HASH}"}]}`, "must be a password hash"},
		{"not an address", `{"users":[{"email":"bob"}]}`, "users[0].email is not an e-mail address"},
		{"foreign domain", `{"users":[{"email":"bob@alice.example"}]}`, "is not an email_domain of this server (bob.example)"},
		{"twice", "{\"users\":[\n" + entry("bob", "") + ",\n" + entry("BOB", "") + "]}", "line 3, column 10: the address of users[1] is in line 2 already"},
		{"twice, once disabled", `{"users":[` + entry("bob", `,"disabled":true`) + "," + entry("bob", "") + `]}`, "already"},
		{"in the configuration", `{"users":[` + entry("own", "") + `]}`, "the address of users[0] stands in the configuration"},
		{"disabled a text", `{"users":[` + entry("bob", `,"disabled":"yes"`) + `]}`, "users[0].disabled must be true or false"},
		{"claims null", claims(`null`), "users[0].claims must be an object"},
		{"reserved claim", claims(`{"aud":"x"}`), "is set by the server"},
		{"claim null", claims(`{"level":null}`), "must be something"},
		{"name a number", claims(`{"name":5}`), "must be a text"},
		{"groups a text", claims(`{"groups":"staff"}`), "must be an array of texts"},
		{"groups of numbers", claims(`{"groups":[1]}`), "must be an array of texts"},
		{"address a text", claims(`{"address":"x"}`), "must be an object"},
		{"updated_at a text", claims(`{"updated_at":"x"}`), "must be a number"},
		{"verified a text", claims(`{"phone_number_verified":"x"}`), "must be true or false"},
		{"claim twice", claims(`{"a":1,"a":2}`), "twice in users[0].claims"},
		{"twice in a claim", claims(`{"a":{"b":1,"b":2}}`), "twice in this object"},
		{"huge number", claims(`{"a":1e999}`), "cannot be used"},
		{"deep", claims(`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`), "nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseUsers([]byte(tt.text), []string{"bob.example"}, own)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parseUsers = %v, want %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), testHash)) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestParseUsersGives(t *testing.T) {
	text := `{"users":[` + entry("bob", `,"sub":"2026","claims":{"groups":["staff"],"level":3}`) + "," + entry("eve", `,"disabled":true`) + `]}`
	got, err := parseUsers([]byte(text), []string{"BOB.example"}, nil)
	want := []op.User{{Email: "bob@bob.example", PasswordHash: testHash, Sub: "2026", Claims: map[string]any{"groups": []any{"staff"}, "level": 3.0}}}
	if _, err := parseUsers([]byte(strings.Replace(text, `"2026"`, "2026", 1)), []string{"bob.example"}, nil); err == nil {
		t.Error("a sub that is a number was taken")
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func FuzzParseUsers(f *testing.F) {
	f.Add([]byte(`{"users":[` + entry("bob", `,"claims":{"a":[1,{"b":null}]}`) + `]}`))
	f.Add([]byte(`{"users":[{"email":"bob@bob.example"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		users, err := parseUsers(text, []string{"bob.example"}, nil)
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: an error without a place: %v", text, err)
		}
		for _, u := range users {
			if err == nil && (u.Email == "" || checkHash(u.Email, u.PasswordHash) != nil) {
				t.Errorf("%q gives %+v", text, u)
			}
		}
	})
}

// watched is a users file that a test writes, and what was made of it.
type watched struct {
	*usersFile
	t    *testing.T
	path string
	at   time.Time
	got  []op.User
	log  *observer.ObservedLogs
}

func watch(t *testing.T, text string) (*watched, error) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "users.json"), at: time.Now(), log: logs}
	if text != "" {
		w.replace(text)
	}
	h := &Handler{Issuer: "https://bob.example", Provider: &Provider{UsersFile: w.path}, log: zap.New(core)}
	f, err := h.usersFile([]op.User{{Email: "own@bob.example", PasswordHash: testHash}})
	if err != nil {
		return nil, err
	}
	w.usersFile, w.got = f, f.all
	f.next.Store(w.at.Add(lookPause).UnixNano())
	f.now = func() time.Time { return w.at }
	f.set = func(users []op.User) error { w.got = users; return nil }
	return w, nil
}

// replace puts another file in its place, as editors and deployments do.
func (w *watched) replace(text string) {
	w.t.Helper()
	w.write(w.path+".new", text)
	if err := os.Rename(w.path+".new", w.path); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// names is who is there, after so much time.
func (w *watched) names(after time.Duration) string {
	w.at = w.at.Add(after)
	w.refresh()
	var names []string
	for _, u := range w.got {
		names = append(names, strings.TrimSuffix(u.Email, "@bob.example"))
	}
	return strings.Join(names, " ")
}

func users(names ...string) string {
	var list []string
	for _, name := range names {
		list = append(list, entry(name, ""))
	}
	return `{"users":[` + strings.Join(list, ",") + `]}`
}

func TestUsersFileIsWatched(t *testing.T) {
	w, err := watch(t, users("bob"))
	if err != nil {
		t.Fatal(err)
	}
	step := func(name string, after time.Duration, want string, lines int) {
		t.Helper()
		if got := w.names(after); got != want || w.log.Len() != lines {
			t.Errorf("%s: %q and %d lines, want %q and %d: %v", name, got, w.log.Len(), want, lines, w.log.All())
		}
	}
	w.replace(users("bob", "eve"))
	step("less than a second later", 900*time.Millisecond, "own bob", 0)
	step("a second later", 100*time.Millisecond, "own bob eve", 1)
	step("unchanged", time.Hour, "own bob eve", 1)

	w.write(w.path, users("bob", "eve")[:50])
	step("half written", time.Second, "own bob eve", 2)
	step("still half written", time.Minute, "own bob eve", 2)
	w.write(w.path, users("bob", "eve")[:60])
	step("a bit more is another change", time.Second, "own bob eve", 3)
	w.write(w.path, users("bob"))
	step("whole, in the same file", time.Second, "own bob", 4)

	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	step("removed", time.Second, "own bob", 5)
	step("still removed", time.Hour, "own bob", 5)
	w.replace(users())
	step("nobody, said in so many words", time.Second, "own", 6)
	w.replace(users("own"))
	step("somebody of the configuration", time.Second, "own", 7)
	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.path, 0o700); err != nil {
		t.Fatal(err)
	}
	step("a folder", time.Second, "own", 8)
	for _, line := range w.log.All() {
		for _, field := range line.Context {
			if text := field.String; strings.Contains(text, "@") || strings.Contains(text, testHash) {
				t.Errorf("the log names a person or shows a hash: %s", text)
			}
		}
	}
}

// TestUsersFileOfTheSameSizeAndTime: the clock of a file system is coarse.
func TestUsersFileOfTheSameSizeAndTime(t *testing.T) {
	w, err := watch(t, users("bob"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(w.path)
	if err != nil {
		t.Fatal(err)
	}
	w.write(w.path, users("eve")) // the same file and size
	if err := os.Chtimes(w.path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := w.names(time.Second); got != "own eve" {
		t.Errorf("users = %q", got)
	}
}

// TestUsersFileBehindLinks is how Kubernetes mounts a secret: users.json →
// ..data/users.json, ..data → a folder, and that link is replaced.
func TestUsersFileBehindLinks(t *testing.T) {
	w, err := watch(t, users("bob"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(w.path)
	link := func(old, name string) {
		t.Helper()
		if err := os.Symlink(old, filepath.Join(dir, name+".new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		w.write(filepath.Join(dir, name, "users.json"), users(name))
	}
	link("one", "..data")
	link("..data/users.json", "users.json")
	if got := w.names(time.Second); got != "own one" {
		t.Errorf("users = %q", got)
	}
	link("two", "..data")
	if got := w.names(time.Hour); got != "own two" {
		t.Errorf("users = %q", got)
	}
}

func TestUsersFileAtLoad(t *testing.T) {
	tests := []struct {
		name string
		make func(w *watched)
		want string
	}{
		{"missing", func(*watched) {}, `does not exist; correct the path, or write {"users": []}`},
		{"half", func(w *watched) { w.replace(`{"users":`) }, "line 1, column 10: the text ends in the middle"},
		{"too large", func(w *watched) { w.replace(strings.Repeat(" ", maxUsers+1)) }, "larger than 4 MiB"},
		{"folder", func(w *watched) { _ = os.Mkdir(w.path, 0o700) }, "it is not a file"},
		{"nobody may read it", func(w *watched) {
			w.replace(users("bob"))
			_ = os.Chmod(w.path, 0)
		}, "may not be read; give the account that Caddy runs as permission"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "nobody may read it" && os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			w := &watched{t: t, path: filepath.Join(t.TempDir(), "users.json")}
			tt.make(w)
			h := &Handler{Issuer: "https://bob.example", Provider: &Provider{UsersFile: w.path}}
			_, err := h.usersFile(nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "users file "+w.path) {
				t.Errorf("usersFile = %v, want %q", err, tt.want)
			}
		})
	}
}
