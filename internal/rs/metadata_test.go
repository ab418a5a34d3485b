package rs_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestOD_14_MetadataOfAnotherIssuer(t *testing.T) {
	for _, other := range []string{"https://other.example", issuer + "/", "https://AS.example", ""} {
		w := newWorld(t)
		w.as.issuer = other
		if got := w.status("GET", ""); got != 403 {
			t.Errorf("issuer %q: status = %d, want 403", other, got)
		}
		if n := w.as.count("POST /token"); n != 0 {
			t.Errorf("issuer %q: the secret went out %d times", other, n)
		}
	}
}

func TestOD_14_MetadataIsReadAgain(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	w.as.set(func() { w.as.path = "/gone" })
	w.now = w.now.Add(16 * time.Minute)
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("while it cannot be read = %d, want 401", got)
	}
	w.as.set(func() { w.as.path, w.as.issuer = "/.well-known/uma2-configuration", "https://other.example" })
	w.now = w.now.Add(2 * time.Second)
	if got := w.status("GET", ""); got != 403 {
		t.Errorf("of another issuer = %d, want 403", got)
	}
}

// TestUG_02_UnknownMembers: every answer of the fake holds some; a wrong type of
// a known member is refused.
func TestUG_02_UnknownMembersAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.as.resources["foreign"] = map[string]any{"name": "other", "resource_scopes": []any{"x"}, "unknown": map[string]any{"y": 1}}
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
	always := w.cfg.AS
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
		if c != rs.CallPermission {
			return always(c, r)
		}
		return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"ticket":1}`))}, nil
	}
	w.restart()
	if got := w.status("GET", ""); got != 403 {
		t.Errorf("status = %d, want 403", got)
	}
}

func TestMetadata_OfAnIssuerWithAPath(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Issuer = issuer + "/tenant" })
	w.as.issuer, w.as.path = issuer+"/tenant", "/.well-known/uma2-configuration/tenant"
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
	w.as.path = "/tenant/.well-known/uma2-configuration"
	w.restart()
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
}
