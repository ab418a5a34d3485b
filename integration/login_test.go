package integration_test

import (
	"context"
	"crypto/x509"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

var hidden = regexp.MustCompile(`type="?hidden"? name="?([a-z_]+)"? value="([^"]*)"`)

// TestLogin_Browser logs in at the embedded provider as caddy uma login does,
// renews the login, and revokes it.
func TestLogin_Browser(t *testing.T) {
	w := example(t)
	cfg := rqp.LoginConfig{Issuer: w.url("bob", ""), User: "bob@bob.localhost", Network: w.network()}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	s, err := rqp.BrowserLogin(ctx, cfg, func(address string) { w.followLogin(address) })
	if err != nil {
		t.Fatal(err)
	}
	if s.RefreshToken == "" {
		t.Fatal("no refresh token")
	}
	next, err := rqp.Refresh(t.Context(), cfg, *s)
	if err != nil || next.RefreshToken == s.RefreshToken {
		t.Fatalf("renewed: %v", err)
	}
	if err := rqp.Revoke(t.Context(), cfg, *next); err != nil {
		t.Fatal(err)
	}
	if _, err := rqp.Refresh(t.Context(), cfg, *next); err == nil {
		t.Error("renewed after it was revoked")
	}
}

// network is that of a client for hosts under localhost.
func (w *world) network() rqp.Network {
	w.t.Helper()
	pem, err := os.ReadFile(filepath.Join(w.dir, "storage", "pki", "authorities", "local", "root.crt"))
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return rqp.Network{Roots: roots, Localhost: true}
}

// followLogin is the browser.
func (w *world) followLogin(address string) {
	w.t.Helper()
	browser := *w.client
	browser.Jar, _ = cookiejar.New(nil)
	start := w.pageRequest(address, nil)
	res, err := browser.Do(start)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.saw(start, res)
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	fields := url.Values{"username": {"bob@bob.localhost"}, "password": {"bob-demo"}}
	for _, m := range hidden.FindAllSubmatch(body, -1) {
		fields.Set(string(m[1]), html.UnescapeString(string(m[2])))
	}
	action := formAction.FindSubmatch(body)
	at, _ := url.Parse(address)
	if action == nil {
		w.t.Errorf("no form: %d %s", res.StatusCode, body)
		return
	}
	to, _ := at.Parse(html.UnescapeString(string(action[1])))
	post := w.pageRequest(to.String(), fields)
	post.Header.Set("Origin", w.url("bob", ""))
	if res, err = browser.Do(post); err != nil {
		w.t.Error(err)
		return
	}
	w.saw(post, res)
	_ = res.Body.Close()
	loopback := &http.Client{Transport: new(http.Transport)}
	back, err := loopback.Do(w.pageRequest(res.Header.Get("Location"), nil))
	if err != nil {
		w.t.Errorf("%d, %v", res.StatusCode, err)
		return
	}
	_ = back.Body.Close()
}
