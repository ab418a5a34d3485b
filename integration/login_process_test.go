package integration_test

import (
	"bufio"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var completeURI = regexp.MustCompile(`or open (https://\S+)`)

// TestREADME_UmaLogin: somebody logs in with another device, calls the API without
// a password, and logs out: each command a process of its own.
func TestREADME_UmaLogin(t *testing.T) {
	p := startProcess(t)
	api := "https://api.localhost:" + p.port + "/"
	p.awaitCertificates(api)
	dir := t.TempDir()
	p.env = append(p.env, "XDG_STATE_HOME="+dir, "DISPLAY=", "WAYLAND_DISPLAY=")
	get := func() (string, string, int) { return p.run("", "uma", "get", "--user", "bob@bob.localhost", api) }
	if _, errs, code := get(); code != 2 || !strings.Contains(errs, "caddy uma login") {
		t.Errorf("before the login: exit %d, %s", code, errs)
	}

	login := p.command(t.Context(), "uma", "login", "--user", "bob@bob.localhost") // no display: the device flow
	shown, err := login.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := login.Start(); err != nil {
		t.Fatal(err)
	}
	page := ""
	lines := bufio.NewScanner(shown)
	for page == "" && lines.Scan() {
		if m := completeURI.FindStringSubmatch(lines.Text()); m != nil {
			page = m[1]
		}
	}
	if page == "" {
		t.Fatalf("no address was shown: %v", login.Wait())
	}
	w := &world{t: t, port: p.port, seen: credentials{}}
	w.client = nodeClient(t, p.storage, p.port)
	w.approveDevice(page, "allow")
	for lines.Scan() { // to its end
	}
	if err := login.Wait(); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := get(); code != 0 || !strings.HasPrefix(out, "Hello u-") {
		t.Errorf("after the login: exit %d, %s %s", code, out, errs)
	}
	if out, errs, code := p.run("", "uma", "logout", "--user", "bob@bob.localhost"); code != 0 || errs != "" {
		t.Errorf("logout: exit %d, %s %s", code, out, errs)
	}
	if _, errs, code := get(); code != 2 || !strings.Contains(errs, "caddy uma login") {
		t.Errorf("after the logout: exit %d, %s", code, errs)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "caddy-uma", "logins", "*.json*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
