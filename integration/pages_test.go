package integration_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// plainClient is the client line of Caddyfile.example that these tests extend.
const plainClient = "redirect_uri http://127.0.0.1/callback\n"

// loginPage is the address of the login page for a redirect URI.
func (w *world) loginPage(redirect string) string {
	return w.url("bob", "/sts/authorize") + "?" + url.Values{
		"response_type": {"code"}, "client_id": {"caddy-uma"}, "redirect_uri": {redirect}, "scope": {"openid email"},
		"state": {"state-1"}, "code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
}

// logIn fills in the login page.
func logIn(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	for _, step := range []chromedp.Action[chromedp.Void]{
		chromedp.WaitVisible("#username[autofocus]"),
		chromedp.SendKeys("#username", "bob@bob.localhost"), chromedp.SendKeys("#password", "bob-demo\r"),
	} {
		if _, err := step(ctx, target); err != nil {
			return chromedp.Void{}, err
		}
	}
	return chromedp.Void{}, nil
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) { //nolint:revive // t comes first
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// text gives the text of an element.
func text(t *testing.T, ctx context.Context, selector string) string { //nolint:revive // t comes first
	t.Helper()
	s, err := chromedp.Run(ctx, chromedp.Text(selector))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSEC_16_Keyboard logs in without a mouse: the focus is where one types first,
// after an error, too.
func TestSEC_16_Keyboard(t *testing.T) {
	ctx := browser(t)
	w := example(t)
	redirect, got := callback(t)
	do(t, ctx,
		chromedp.Navigate(w.loginPage(redirect)), chromedp.WaitVisible("#username[autofocus]"),
		chromedp.KeyEvent("bob@bob.localhost"+kb.Tab+"wrong"+kb.Enter), chromedp.WaitVisible("#password[autofocus][aria-invalid]"))
	if title, err := chromedp.Run(ctx, chromedp.Title()); err != nil || !strings.HasPrefix(title, "Error: ") {
		t.Errorf("title %q, %v", title, err)
	}
	do(t, ctx, chromedp.KeyEvent("bob-demo"+kb.Enter), chromedp.WaitVisible("#done"))
	if query := <-got; query.Get("code") == "" || query.Get("state") != "state-1" {
		t.Fatalf("redirect with %v", query)
	}
	// The next time there is nothing to type.
	do(t, ctx,
		chromedp.Navigate(w.loginPage(redirect)), chromedp.WaitVisible("form .as"),
		chromedp.KeyEvent(kb.Tab+kb.Enter), chromedp.WaitVisible("#done"))
	if query := <-got; query.Get("code") == "" {
		t.Fatalf("redirect with %v", query)
	}
}

// messages collects what Chromium says of a page, violations of its policy first
// of all.
func messages(ctx context.Context) func() string {
	var mu sync.Mutex
	var all strings.Builder
	go func() {
		for e, err := range chromedp.Events(ctx, log.EntryAdded) {
			if err != nil {
				return
			}
			mu.Lock()
			all.WriteString(e.Entry.Text + "\n")
			mu.Unlock()
		}
	}()
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// TestSEC_16_FormAction: the policy of the login page lets the browser follow the
// redirect to the client, whatever kind it has.
func TestSEC_16_FormAction(t *testing.T) {
	ctx := browser(t)
	w := example(t, plainClient, "redirect_uri http://127.0.0.1/callback https://api.localhost:{$UMA_PORT:8443}/callback com.example.app:/callback\n")
	redirect, got := callback(t)
	do(t, ctx, chromedp.Navigate("about:blank")) // there is a browser to listen to
	said := messages(ctx)
	t.Run("http on loopback", func(t *testing.T) {
		do(t, ctx, chromedp.Navigate(w.loginPage(redirect)), logIn, chromedp.WaitVisible("#done"))
		if query := <-got; query.Get("code") == "" {
			t.Errorf("redirect with %v", query)
		}
	})
	again := func(t *testing.T, redirect string) {
		t.Helper()
		do(t, ctx, chromedp.Navigate(w.loginPage(redirect)), chromedp.WaitVisible("button"), chromedp.Click("button"))
	}
	t.Run("https", func(t *testing.T) {
		again(t, w.url("api", "/callback"))
		do(t, ctx, chromedp.WaitNotPresent("button"))
		if at, err := chromedp.Run(ctx, chromedp.Location()); err != nil || !strings.HasPrefix(at, w.url("api", "/callback")+"?code=") {
			t.Errorf("at %s, %v", at, err)
		}
	})
	t.Run("private scheme", func(t *testing.T) {
		again(t, "com.example.app:/callback")
		do(t, ctx, chromedp.Sleep(500*time.Millisecond)) // no program is there for the scheme, so the page stays
		if m := said(); strings.Contains(m, "form-action") {
			t.Errorf("Chromium says %q", m)
		}
	})
	t.Run("a policy without the address would stop it", func(t *testing.T) {
		do(t, ctx, chromedp.Navigate(strict(t)), chromedp.WaitVisible("button"), chromedp.Click("button"))
		for range 100 {
			if strings.Contains(said(), "form-action") {
				return
			}
			do(t, ctx, chromedp.Sleep(50*time.Millisecond))
		}
		t.Errorf("Chromium says %q: what it stops cannot be seen here", said())
	})
}

// strict is the address of a page that redirects its form to a private scheme,
// against its policy.
func strict(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "com.example.app:/callback")
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		w.Header().Set("Content-Security-Policy", "form-action 'self'")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<form method=post><button>Go</button></form>"))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestDevice_Page connects a device by its link, from login to tokens.
func TestDevice_Page(t *testing.T) {
	ctx := browser(t)
	w := example(t)
	endpoint := w.get(w.url("bob", "/.well-known/openid-configuration"), nil).get("device_authorization_endpoint")
	start := func() answer {
		a := w.post(endpoint, map[string]string{"client_id": "caddy-uma", "scope": "openid email"})
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		return a
	}
	poll := func(device answer) answer {
		return w.post(w.url("bob", "/sts/token"), map[string]string{
			"grant_type": oauth.GrantDeviceCode, "client_id": "caddy-uma", "device_code": device.get("device_code"),
		})
	}
	one := start()
	do(t, ctx,
		chromedp.Navigate(one.get("verification_uri_complete")), logIn,
		chromedp.WaitVisible("#user_code"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#code"))
	if shown := text(t, ctx, "#code"); shown != one.get("user_code") {
		t.Errorf("the page shows %q", shown)
	}
	if warning := text(t, ctx, ".warn"); !strings.Contains(warning, "Only go on if you see this code on your device") {
		t.Errorf("warning %q", warning)
	}
	do(t, ctx, chromedp.Click("[value=allow]"), chromedp.WaitNotPresent("#code"))
	if a := poll(one); a.status != http.StatusOK || a.get("access_token") == "" || a.get("id_token") == "" {
		t.Errorf("%d %s", a.status, a.text)
	}
	two := start()
	do(t, ctx,
		chromedp.Navigate(two.get("verification_uri")), chromedp.WaitVisible("#user_code[autofocus]"),
		chromedp.KeyEvent(strings.ToLower(two.get("user_code"))+kb.Enter), chromedp.WaitVisible("#code"),
		chromedp.Click("[value=deny]"), chromedp.WaitNotPresent("#code"))
	if a := poll(two); a.status != http.StatusBadRequest || a.get("error") != "access_denied" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// TestConsent_Page: the exchange waits for the user's yes, and gets no claims token
// by his no, nor after he has taken the yes back.
func TestConsent_Page(t *testing.T) {
	ctx := browser(t)
	w := example(t, "provider {\n", "provider {\n\t\t\tconsent\n")
	token := w.login("bob@bob.localhost", "bob-demo")
	ticket, _ := w.challenged(http.MethodGet, "/")
	exchange := func() answer { return w.exchange(token, w.url("api", ""), ticket, nil) }
	asked := exchange()
	if asked.status != http.StatusForbidden || asked.get("error") != oauth.CodeConsentRequired {
		t.Fatalf("%d %s", asked.status, asked.text)
	}
	page := asked.get("consent_uri")
	do(t, ctx, chromedp.Navigate(page), logIn, chromedp.WaitVisible("[value=deny]"))
	for _, part := range []string{"caddy-uma", w.url("api", ""), "your name", "your groups", "your e-mail address"} {
		if shown := text(t, ctx, "main"); !strings.Contains(shown, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	do(t, ctx, chromedp.Click("[value=deny]"), chromedp.WaitNotPresent("[value=deny]"))
	if a := exchange(); a.status != http.StatusForbidden {
		t.Fatalf("after a no: %d %s", a.status, a.text)
	}
	do(t, ctx, chromedp.Navigate(page), chromedp.WaitVisible("[value=allow]"), chromedp.Click("[value=allow]"), chromedp.WaitNotPresent("[value=allow]"))
	if a := exchange(); a.status != http.StatusOK || a.get("access_token") == "" {
		t.Fatalf("after a yes: %d %s", a.status, a.text)
	}
	do(t, ctx,
		chromedp.Navigate(w.url("bob", "/sts/account")), chromedp.WaitVisible("[aria-describedby=c0]"),
		chromedp.Click("[aria-describedby=c0]"), chromedp.WaitNotPresent("[aria-describedby=c0]"))
	if a := exchange(); a.status != http.StatusForbidden {
		t.Errorf("after it was taken back: %d %s", a.status, a.text)
	}
}

// TestLogout_Page: a link alone asks; the ID token of the session does not have to.
func TestLogout_Page(t *testing.T) {
	ctx := browser(t)
	bye, byes := callback(t)
	w := example(t, plainClient, plainClient+"\t\t\tpost_logout_redirect_uri "+bye+"\n")
	redirect, got := callback(t)
	end := w.get(w.url("bob", "/.well-known/openid-configuration"), nil).get("end_session_endpoint")
	in := func() url.Values {
		do(t, ctx, chromedp.Navigate(w.loginPage(redirect)), logIn, chromedp.WaitVisible("#done"))
		return <-got
	}
	in()
	leave := url.Values{"client_id": {"caddy-uma"}, "post_logout_redirect_uri": {bye}, "state": {"s-1"}}
	do(t, ctx, chromedp.Navigate(end+"?"+leave.Encode()), chromedp.WaitVisible("button"))
	if len(byes) != 0 {
		t.Fatal("nobody was asked")
	}
	do(t, ctx, chromedp.Click("button"), chromedp.WaitVisible("#done"))
	if query := <-byes; query.Get("state") != "s-1" {
		t.Errorf("redirect with %v", query)
	}
	code := in() // the login page came: the session has ended
	token := w.post(w.url("bob", "/sts/token"), map[string]string{
		"grant_type": "authorization_code", "client_id": "caddy-uma", "redirect_uri": redirect,
		"code": code.Get("code"), "code_verifier": verifier,
	})
	leave.Set("id_token_hint", token.get("id_token"))
	do(t, ctx, chromedp.Navigate(end+"?"+leave.Encode()), chromedp.WaitVisible("#done"))
	<-byes
	in()
}
