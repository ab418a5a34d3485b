package fakeop_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
)

func client(op *fakeop.OP) *http.Client {
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: op.Roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, op.Addr)
		},
		DisableKeepAlives: true,
	}
	return &http.Client{Transport: tr}
}

func get(t *testing.T, op *fakeop.OP, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(op).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestOP(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Issuer: "https://bob.example/tenant"})
	for _, u := range []string{
		"https://bob.example/.well-known/webfinger?resource=acct%3Ax%40bob.example",
		"https://bob.example/tenant/.well-known/openid-configuration",
		"https://other.example/jwks",
	} {
		if code, body := get(t, op, u); code != 200 || body == "" {
			t.Errorf("GET %s = %d %q, want 200", u, code, body)
		}
	}
	if code, _ := get(t, op, "https://bob.example/nothing"); code != 404 {
		t.Errorf("unknown path = %d, want 404", code)
	}
	if n := op.Hits("other.example" + fakeop.JWKS); n != 1 {
		t.Errorf("Hits = %d, want 1", n)
	}
	op.Misbehave("bob.example"+fakeop.JWKS, fakeop.Status(503))
	if code, _ := get(t, op, "https://bob.example/jwks"); code != 503 {
		t.Errorf("misbehaving path = %d, want 503", code)
	}
	if code, _ := get(t, op, "https://other.example/jwks"); code != 200 {
		t.Errorf("other host = %d, want 200", code)
	}
}

func TestSign(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	_, body := get(t, op, "https://bob.example/jwks")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	verify := func(compact string) error {
		jws, err := jose.ParseSigned(compact, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			return err
		}
		_, err = jws.Verify(set.Key(op.KID())[0])
		return err
	}
	if err := verify(op.Sign(map[string]any{"sub": "x"}, "ca-claims+jwt")); err != nil {
		t.Errorf("Sign: %v", err)
	}
	if verify(op.Forge(map[string]any{"sub": "x"}, "ca-claims+jwt")) == nil {
		t.Error("a forged token verifies")
	}
}
