package integration_test

import (
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// TestOD_10_GoOIDC: a foreign client accepts the metadata of the embedded
// provider, and not those of a neighbour.
func TestOD_10_GoOIDC(t *testing.T) {
	w := example(t)
	ctx := oidc.ClientContext(t.Context(), w.client)
	provider, err := oidc.NewProvider(ctx, w.url("bob", ""))
	if err != nil {
		t.Fatal(err)
	}
	if e := provider.Endpoint(); e.AuthURL == "" || e.TokenURL == "" || e.DeviceAuthURL == "" {
		t.Errorf("endpoints %+v", e)
	}
	if _, err := oidc.NewProvider(ctx, w.url("bob", "/")); err == nil {
		t.Error("an issuer with another spelling is accepted")
	}
}
