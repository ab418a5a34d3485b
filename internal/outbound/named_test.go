package outbound_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

func TestNamed(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "as.localhost"})
	other := fakeop.New(t, fakeop.Config{Domain: "other.localhost", OwnCA: true})
	c := outbound.NewNamed(outbound.Config{
		Roots:      op.Roots,
		ConnectTo:  map[string]string{"as.example:443": op.Addr},
		Exceptions: map[string]outbound.Exception{"other.localhost:" + port(other): {Roots: other.Roots}},
	})
	t.Cleanup(c.CloseIdleConnections)
	do := func(u string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	for _, u := range []string{
		"https://as.localhost:" + port(op) + "/none", "https://as.example/none", "https://127.0.0.1:" + port(op) + "/none",
		"https://other.localhost:" + port(other) + "/none",
	} {
		if code, err := do(u); err != nil || code != 404 {
			t.Errorf("%s = %d, %v, want 404", u, code, err)
		}
	}
	if _, err := do("https://third.localhost:" + port(other) + "/none"); err == nil {
		t.Error("a CA of another entry is accepted")
	}
	op.Misbehave("/r", fakeop.RedirectTo("https://as.example/none"))
	if code, err := do("https://as.example/r"); err != nil || code != 302 {
		t.Errorf("redirect = %d, %v, want 302 as it is", code, err)
	}
}

func TestNamedIsPooled(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "as.localhost"})
	c := outbound.NewNamed(outbound.Config{Roots: op.Roots, Timeout: 300 * time.Millisecond})
	t.Cleanup(c.CloseIdleConnections)
	get := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://as.localhost:"+port(op)+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		return resp.Body.Close()
	}
	for range 5 {
		if err := get("/none"); err != nil {
			t.Fatal(err)
		}
	}
	if n := op.Conns(); n != 1 {
		t.Errorf("%d connections for 5 requests, want 1", n)
	}
	op.Misbehave("/hang", fakeop.Hang())
	if get("/hang") == nil {
		t.Error("no timeout")
	}
}
