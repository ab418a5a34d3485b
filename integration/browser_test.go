package integration_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser starts headless Chromium, or skips the test where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" && os.Getenv("UMA_REQUIRE_SERVICES") != "" {
		t.Fatal("no Chromium")
	}
	if path == "" {
		t.Skip("no Chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("blink-settings", "scriptEnabled=false"),
		chromedp.UserDataDir(t.TempDir()),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// callback is the loopback redirect of a native client (RFC 8252 §7.3).
func callback(t *testing.T) (redirect string, got <-chan url.Values) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	values := make(chan url.Values, 4)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			values <- r.URL.Query()
		}
		_, _ = w.Write([]byte("<p id=done>done</p>"))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + "/callback", values
}

// TestSEC_16_LoginPage walks through the login page as a person does, without
// JavaScript: a wrong password, the right one, the way back to the client.
func TestSEC_16_LoginPage(t *testing.T) {
	ctx := browser(t)
	w := example(t)
	redirect, got := callback(t)
	page := w.get(w.url("bob", "/.well-known/openid-configuration"), nil).get("authorization_endpoint") + "?" + url.Values{
		"response_type": {"code"}, "client_id": {"caddy-uma"}, "redirect_uri": {redirect}, "scope": {"openid email"},
		"state": {"state-1"}, "code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()

	if err := chromedp.Do(ctx, chromedp.Navigate(page), chromedp.WaitVisible("#username[autofocus]")); err != nil {
		t.Fatal(err)
	}
	if heading, err := chromedp.Run(ctx, chromedp.Text("h1")); err != nil || !strings.Contains(heading, "bob.localhost") {
		t.Errorf("heading %q, %v", heading, err)
	}
	if err := chromedp.Do(ctx,
		chromedp.SendKeys("#username", "bob@bob.localhost"), chromedp.SendKeys("#password", "wrong\r"),
		chromedp.WaitVisible("[role=alert]"), chromedp.WaitVisible("#password[autofocus]"),
	); err != nil {
		t.Fatal(err)
	}
	if alert, err := chromedp.Run(ctx, chromedp.Text("[role=alert]")); err != nil || alert == "" || len(got) != 0 {
		t.Fatalf("alert %q, %v", alert, err)
	}
	if err := chromedp.Do(ctx, chromedp.SendKeys("#password", "bob-demo\r"), chromedp.WaitVisible("#done")); err != nil {
		t.Fatal(err)
	}
	query := <-got
	if query.Get("state") != "state-1" || query.Get("iss") != w.url("bob", "") || query.Get("code") == "" {
		t.Fatalf("redirect with %v", query)
	}
	token := w.post(w.url("bob", "/sts/token"), map[string]string{
		"grant_type": "authorization_code", "client_id": "caddy-uma", "redirect_uri": redirect,
		"code": query.Get("code"), "code_verifier": verifier,
	})
	if token.status != http.StatusOK || token.get("access_token") == "" {
		t.Fatalf("%d %s", token.status, token.text)
	}
	t.Run("the token opens the API", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		rpt := w.redeem(ticket, w.claimsToken(token.get("access_token"), w.url("api", ""), ticket), nil)
		if ok := w.get(w.url("api", "/"), bearer(rpt.get("access_token"))); ok.status != http.StatusOK {
			t.Errorf("%d %s", ok.status, ok.text)
		}
	})
}
