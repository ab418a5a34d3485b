package cli

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// world is one listener that is api, as and bob below localhost, and an admin
// API that knows its CA.
type world struct {
	port   string
	admin  string
	caFile string
	mu     sync.Mutex // one request at a time
	hits   map[string]int
	secret string // Authorization at the authorization server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	w := &world{hits: map[string]int{}}
	op := fakeop.New(t, fakeop.Config{})
	s := httptest.NewUnstartedServer(w)
	s.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := fakeop.Certificate(h.ServerName)
		return &c, nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	addr := s.Listener.Addr().String()
	w.port = addr[strings.LastIndexByte(addr, ':')+1:]
	admin := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/pki/ca/local":
			oauth.WriteJSON(rw, 200, map[string]string{"root_certificate": string(op.PEM())})
		case "/config/apps/uma":
			oauth.WriteJSON(rw, 200, map[string]any{"connect_to": map[string]string{"bob.localhost:443": addr}})
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(admin.Close)
	w.admin = admin.Listener.Addr().String()
	w.caFile = file(t, "ca.pem", string(op.PEM()))
	return w
}

func (w *world) url(host string) string { return "https://" + host + ".localhost:" + w.port }

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ".")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[host+r.URL.Path]++
	switch host + r.URL.Path {
	case "api/.well-known/oauth-protected-resource":
		oauth.WriteJSON(rw, 200, map[string]any{"resource": w.url("api"), "authorization_servers": []string{w.url("as")}})
	case "as/.well-known/uma2-configuration":
		oauth.WriteJSON(rw, 200, map[string]any{"issuer": w.url("as"), "token_endpoint": w.url("as") + "/token"})
	case "bob/.well-known/webfinger":
		oauth.WriteJSON(rw, 200, map[string]any{"links": []any{map[string]string{"rel": oauth.RelIssuer, "href": w.url("bob")}}})
	case "bob/.well-known/openid-configuration":
		oauth.WriteJSON(rw, 200, map[string]any{
			"issuer": w.url("bob"), "token_endpoint": w.url("bob") + "/token", "authorization_challenge_endpoint": w.url("bob") + "/challenge",
		})
	case "bob/challenge":
		w.challenge(rw, r)
	case "bob/token":
		w.sts(rw, r)
	case "as/token":
		w.as(rw, r)
	default:
		w.api(rw, r)
	}
}

func (w *world) challenge(rw http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("password") != "bob-demo" {
		oauth.WriteError(rw, oauth.Errorf("access_denied", "the password is wrong"))
		return
	}
	oauth.WriteJSON(rw, 200, map[string]string{"authorization_code": r.PostFormValue("username")})
}

func (w *world) sts(rw http.ResponseWriter, r *http.Request) {
	if old := r.PostFormValue("refresh_token"); old != "" {
		if old != "rt-1" { // a family is used up by the second use
			oauth.WriteError(rw, oauth.Errorf(oauth.CodeInvalidGrant, "used"))
			return
		}
		oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "at-of-bob", TokenType: "Bearer", ExpiresIn: 300, RefreshToken: "rt-2"})
		return
	}
	if code := r.PostFormValue("code"); code != "" {
		oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "at-of-" + strings.SplitN(code, "@", 2)[0], TokenType: "Bearer", ExpiresIn: 60})
		return
	}
	name := strings.TrimPrefix(r.PostFormValue("subject_token"), "at-of-")
	token := name + "." + strings.NewReplacer(" ", "-", ":", "-", "/", "-").Replace(r.PostFormValue("resource"))
	oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: token, TokenType: "N_A", IssuedTokenType: oauth.TokenTypeJWT})
}

func (w *world) as(rw http.ResponseWriter, r *http.Request) {
	w.secret = r.Header.Get("Authorization")
	if !strings.HasPrefix(r.PostFormValue("claim_token"), "bob.") {
		oauth.WriteError(rw, &oauth.Error{Code: oauth.CodeRequestDenied, Status: 403, Extra: map[string]any{"decision_id": "dec-1"}})
		return
	}
	oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: "rpt-for-" + r.PostFormValue("claim_token"), TokenType: "Bearer", ExpiresIn: 60})
}

func (w *world) api(rw http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer rpt-for-bob.") {
		rw.Header().Set("WWW-Authenticate", `UMA as_uri="`+w.url("as")+`", ticket="ticket-of-the-resource"`)
		rw.WriteHeader(401)
		return
	}
	if r.URL.Path == "/missing" {
		rw.WriteHeader(404)
	}
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(rw, "%s %s %s %s", r.Method, body, r.Header.Get("X-A"), strings.SplitN(r.Header.Get("Authorization"), ".", 2)[1])
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type fakePrompt string

func (p fakePrompt) password(_ string, _ io.Writer) (string, error) { return string(p), nil }

// caddyUMA runs the command as Caddy would and gives its exit code.
func caddyUMA(t *testing.T, stdin, typed string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	root := &cobra.Command{Use: "uma"}
	addCommands(root, fakePrompt(typed))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	code = exitDone
	if err != nil {
		code = exitRefused
		_, _ = fmt.Sscanf(err.Error(), "exiting with status %d", &code)
	}
	return code, out.String(), errs.String()
}

func TestGet(t *testing.T) {
	w := newWorld(t)
	password, wrong, token := file(t, "p", "bob-demo\n"), file(t, "w", "no\n"), file(t, "t", "at-of-bob\n")
	secret := file(t, "s", "client-secret\n")
	u, local := w.url("api")+"/", []string{"--address", w.admin}
	audience := "https---api.localhost-" + w.port
	tests := []struct {
		name, stdin, typed string
		args               []string
		code               int
		stdout, stderr     string
	}{
		{name: "password file", args: []string{"--user", "bob@bob.localhost", "--password-file", password, u}, stdout: "GET   " + audience},
		{name: "password from stdin", stdin: "bob-demo\n", args: []string{"--user", "bob@bob.localhost", "--password-file", "-", u}, stdout: "GET   " + audience},
		{name: "password asked for", typed: "bob-demo", args: []string{"--user", "bob@bob.localhost", u}, stdout: "GET   " + audience},
		{name: "access token", args: []string{"--access-token", "@" + token, "--sts", w.url("bob"), u}, stdout: "GET   " + audience},
		{name: "method, body, header", stdin: "at-of-bob", args: []string{"-X", "PUT", "-d", "b", "-H", "X-A: v", "--access-token", "@-", "--sts", w.url("bob"), u}, stdout: "PUT b v " + audience},
		{name: "secret for the AS", typed: "bob-demo", args: []string{"--user", "bob@bob.localhost", "--client-id", "partner", "--client-secret-file", secret, u}, stdout: "GET   " + audience},
		{name: "CA file without an admin API", args: []string{"--cacert", w.caFile, "--address", "127.0.0.1:1", "--access-token", "@" + token, "--sts", w.url("bob"), u}, stdout: "GET   " + audience},
		{name: "logical name", typed: "bob-demo", args: []string{"--user", "bob@bob.localhost", "--resource", "RS API", u}, stdout: "GET   RS-API"},
		{name: "wrong password", args: []string{"--user", "bob@bob.localhost", "--password-file", wrong, u}, code: 1, stderr: "the login failed: bob.localhost"},
		{name: "mallory is denied", typed: "bob-demo", args: []string{"--user", "mallory@bob.localhost", u}, code: 1, stderr: "request_denied (status 403); decision dec-1"},
		{name: "nobody", args: []string{u}, code: 1, stderr: "--user EMAIL"},
		{name: "answer of 404", typed: "bob-demo", args: []string{"--user", "bob@bob.localhost", u + "missing"}, code: 1, stderr: "said 404 Not Found"},
		{name: "no admin API", args: []string{"--address", "127.0.0.1:1", u}, code: 3, stderr: "--cacert FILE"},
		{name: "nobody listens", args: []string{"https://api.localhost:1/"}, code: 3, stderr: "does not answer"},
		{name: "secret in arguments", args: []string{"--access-token", "at-of-bob", "--sts", w.url("bob"), u}, code: 2, stderr: "other users can read arguments"},
		{name: "token of nobody", args: []string{"--access-token", "@" + token, u}, code: 2, stderr: "--sts ISSUER"},
		{name: "http", args: []string{"http://api.localhost/"}, code: 2, stderr: "https://"},
		{name: "no URL", code: 2, stderr: "takes one argument"},
		{name: "unknown flag", args: []string{"--nope", u}, code: 2, stderr: "unknown flag"},
		{name: "Authorization", args: []string{"-H", "Authorization: x", u}, code: 2, stderr: "makes that field itself"},
		{name: "stdin twice", stdin: "x", args: []string{"--user", "bob@bob.localhost", "--password-file", "-", "-d", "@-", u}, code: 2, stderr: "one thing only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"get"}, append(local, tt.args...)...)
			code, stdout, stderr := caddyUMA(t, tt.stdin, tt.typed, args...)
			if code != tt.code || tt.code == 0 && stdout != tt.stdout || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q, %q", code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
			}
			if tt.code == 0 && stderr != "" {
				t.Errorf("stderr = %q", stderr)
			}
			if withSecret := tt.name == "secret for the AS"; (w.secret != "") != withSecret && tt.code == 0 {
				t.Errorf("secret sent: %v, want %v", w.secret != "", withSecret)
			}
			w.secret = ""
		})
	}
}

func TestGetVerbose(t *testing.T) {
	w := newWorld(t)
	code, _, stderr := caddyUMA(t, "", "bob-demo", "get", "-v", "--address", w.admin, "--user", "bob@bob.localhost", w.url("api")+"/")
	for i := 1; i <= 9; i++ {
		if !strings.Contains("\n"+stderr, fmt.Sprintf("\n%d. ", i)) {
			t.Errorf("step %d is missing", i)
		}
	}
	if code != 0 || strings.Contains(stderr, "ticket-of-the-resource") || strings.Contains(stderr, "bob-demo") || !strings.Contains(stderr, "ticket-o…") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestGetJSON(t *testing.T) {
	w := newWorld(t)
	for user, want := range map[string]int{"bob": 0, "mallory": 1} {
		code, stdout, _ := caddyUMA(t, "", "bob-demo", "get", "--json", "--address", w.admin, "--user", user+"@bob.localhost", w.url("api")+"/")
		var got jsonReport
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
		if code != want || (got.Error != nil) != (want == 1) || len(got.Steps) == 0 || want == 0 && got.Status != 200 {
			t.Errorf("%s: exit %d, %s", user, code, stdout)
		}
		if want == 1 && (got.Error.DecisionID != "dec-1" || got.Error.Step != 6) {
			t.Errorf("error = %+v", got.Error)
		}
	}
}

func TestCA_08_TicketChallenge(t *testing.T) {
	const ticket, want = "016f84e8-f9b9-11e0-bd6f-0021cc6004de", "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c\n"
	for _, tt := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", []string{ticket}, 0, want},
		{ticket + "\n", []string{"-"}, 0, want},
		{"", []string{"-"}, 2, ""},
		{"", []string{ticket, ticket}, 2, ""},
		{"", nil, 2, ""},
	} {
		code, stdout, _ := caddyUMA(t, tt.stdin, "", append([]string{"ticket-challenge"}, tt.args...)...)
		if code != tt.code || stdout != tt.want {
			t.Errorf("%q = %d, %q", tt.args, code, stdout)
		}
	}
	if code, _, stderr := caddyUMA(t, "", "", "nonsense"); code == 0 {
		t.Errorf("unknown command: %s", stderr)
	}
}
