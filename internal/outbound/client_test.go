package outbound_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

func post(t *testing.T, c *http.Client, u string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader("a=b"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestSEC_29_StrictClient(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	cfg := connected(op)
	cfg.Timeout = 300 * time.Millisecond
	cfg.Exceptions = map[string]outbound.Exception{"sts.localhost:" + port(op): {}}
	c := outbound.NewStrictClient(cfg)
	op.Misbehave("/token", func(w http.ResponseWriter, r *http.Request) {
		fakeop.Raw(200, "text/plain", r.Method+r.FormValue("a"))(w, r)
	})
	for _, u := range []string{"https://bob.example/token", "https://sts.localhost:" + port(op) + "/token"} {
		if code, body, err := post(t, c, u); code != 200 || body != "POSTb" || err != nil {
			t.Errorf("%s = %d %q, %v, want 200 POSTb", u, code, body, err)
		}
	}
	op.Forget()
	for _, u := range []string{
		"http://bob.example/token", "https://bob.example:8443/token", "https://127.0.0.1/token", "https://other.localhost:" + port(op) + "/token",
		"https://127.0.0.1:" + port(op) + "/token", "https://u:p@bob.example/token",
	} {
		if _, _, err := post(t, c, u); !errors.Is(err, outbound.ErrBlocked) {
			t.Errorf("%s: %v, want ErrBlocked", u, err)
		}
	}
	if op.Conns() != 0 {
		t.Error("a blocked request was connected")
	}
	op.Misbehave("/token", fakeop.RedirectTo("https://bob.example/jwks"))
	if code, _, err := post(t, c, "https://bob.example/token"); code != 302 || err != nil {
		t.Errorf("redirect = %d, %v, want 302 as it is", code, err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"endless": fakeop.Endless(), "gzip bomb": fakeop.GzipBomb(8 << 20), "reset": fakeop.Reset(), "hang": fakeop.Hang(), "slow": fakeop.SlowDrip(),
		"too large": fakeop.Raw(200, "text/plain", strings.Repeat("x", 1<<20+1)),
	} {
		op.Misbehave("/token", h)
		if _, body, err := post(t, c, "https://bob.example/token"); err == nil || len(body) > 1<<20 {
			t.Errorf("%s: %d bytes, %v, want an error", name, len(body), err)
		}
	}
	op.Misbehave("/token", fakeop.Raw(200, "text/plain", strings.Repeat("x", 1<<20)))
	if _, body, err := post(t, c, "https://bob.example/token"); err != nil || len(body) != 1<<20 {
		t.Errorf("just small enough: %d bytes, %v", len(body), err)
	}
}
