package rs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// selfSigned is a certificate in DER.
func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return b64(sum[:])
}

func TestOA_19_CertificateOfTheConnection(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	mine, other := selfSigned(t), selfSigned(t)
	holder := newHolder(t, "ES256")
	x5t := w.rpt(set("cnf", map[string]any{"x5t#S256": thumbprint(mine)}))
	both := w.rpt(set("cnf", map[string]any{"x5t#S256": thumbprint(mine), "jkt": holder.jkt}))
	shows := func(done bool, certs ...*x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{HandshakeComplete: done, PeerCertificates: certs}
	}
	for _, c := range []struct {
		name, scheme, token string
		tls                 *tls.ConnectionState
		want                bool
	}{
		{"the certificate", "Bearer", x5t, shows(true, mine), true},
		{"another one", "Bearer", x5t, shows(true, other), false},
		{"in the chain only", "Bearer", x5t, shows(true, other, mine), false},
		{"none", "Bearer", x5t, shows(true), false},
		{"before the handshake is complete", "Bearer", x5t, shows(false, mine), false},
		{"no TLS", "Bearer", x5t, nil, false},
		{"as DPoP", "DPoP", x5t, shows(true, mine), false},
		{"certificate and key", "DPoP", both, shows(true, mine), true},
		{"key without certificate", "DPoP", both, shows(true, other), false},
		{"certificate without key", "Bearer", both, shows(true, mine), false},
		{"unbound with a certificate", "Bearer", w.rpt(), shows(true, other), true},
	} {
		t.Run("OA-19 "+c.name, func(t *testing.T) {
			r := w.request("GET", "")
			r.TLS = c.tls
			r.Header.Set("Authorization", c.scheme+" "+c.token)
			if c.scheme == "DPoP" {
				r.Header.Set("DPoP", w.proof(holder, c.token, nil, nil))
			}
			for _, name := range []string{"Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Ssl-Client-Cert"} {
				r.Header.Set(name, ":"+b64(mine.Raw)+":") // anybody can say so
			}
			g, f := w.send(r)
			if (g != nil) != c.want {
				t.Fatalf("passes = %v, want %v", g != nil, c.want)
			}
			if !c.want && c.token == x5t && c.scheme == "Bearer" {
				refusedAs(t, f, "Bearer", "invalid_token")
			}
		})
	}
}

func TestSEC_14_Require(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Require = rs.BindDPoP
		c.Resources = []rs.Resource{{Name: "a"}, {Name: "b", Require: rs.BindMTLS}, {Name: "c", Also: []rs.Also{{Resource: "b"}}}}
	})
	w.status("GET", "")
	key, cert := newHolder(t, "ES256"), selfSigned(t)
	cnf := map[string]map[string]any{
		"bearer": nil, "dpop": {"jkt": key.jkt}, "mtls": {"x5t#S256": thumbprint(cert)},
		"both": {"jkt": key.jkt, "x5t#S256": thumbprint(cert)},
	}
	for i, want := range []map[string]bool{
		{"dpop": true, "both": true},
		{"mtls": true, "both": true},
		{"both": true},
	} {
		for name, bound := range cnf {
			t.Run(fmt.Sprintf("SEC-14 resource %d with %s", i, name), func(t *testing.T) {
				token := w.rpt(set("permissions", []any{permission("id-1", "get"), permission("id-2", "get"), permission("id-3", "get")}))
				if bound != nil {
					token = w.rpt(set("permissions", []any{permission("id-1", "get"), permission("id-2", "get"), permission("id-3", "get")}), set("cnf", bound))
				}
				r := w.request("GET", token)
				r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert}}
				if bound["jkt"] != nil {
					r.Header.Set("Authorization", "DPoP "+token)
					r.Header.Set("DPoP", w.proof(key, token, nil, nil))
				}
				g, f := w.rs.Check(r, rs.Target{Index: i, Source: "s"})
				if (g != nil) != want[name] {
					t.Fatalf("passes = %v, want %v: %+v", g != nil, want[name], f)
				}
				if g == nil {
					scheme := "DPoP"
					if i == 1 && bound["jkt"] == nil {
						scheme = "Bearer"
					}
					refusedAs(t, f, scheme, "invalid_token")
				}
			})
		}
	}
	t.Run("SEC-14 whoever has no RPT yet is told", func(t *testing.T) {
		_, f := w.check("GET", "")
		refusedAs(t, f, "DPoP", "")
		_, f = w.rs.Check(w.request("GET", ""), rs.Target{Index: 1, Source: "s"})
		if lines := f.Header.Values("WWW-Authenticate"); len(lines) != 1 {
			t.Errorf("mtls: %q", lines)
		}
	})
	for _, cfg := range []rs.Config{
		{Issuer: issuer, ClientID: "x", Require: "tls"},
		{Issuer: issuer, ClientID: "x", Resources: []rs.Resource{{Name: "a", Require: "DPoP"}}},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "is unknown; write dpop or mtls") {
			t.Errorf("Validate = %v", err)
		}
	}
}

func TestOA_25_DocumentTellsWhatIsRequired(t *testing.T) {
	const dpopRequired, tlsBound = "dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens"
	for name, c := range map[string]struct {
		all  rs.Binding
		each []rs.Binding
		want map[string]any
	}{
		"nothing":   {"", []rs.Binding{""}, map[string]any{dpopRequired: nil, tlsBound: nil}},
		"dpop":      {"dpop", []rs.Binding{"", ""}, map[string]any{dpopRequired: true, tlsBound: nil}},
		"dpop once": {"", []rs.Binding{"dpop", ""}, map[string]any{dpopRequired: nil, tlsBound: nil}},
		"mtls":      {"mtls", []rs.Binding{""}, map[string]any{dpopRequired: nil, tlsBound: true}},
		"mixed":     {"dpop", []rs.Binding{"mtls", ""}, map[string]any{dpopRequired: nil, tlsBound: true}},
	} {
		t.Run("OA-25 "+name, func(t *testing.T) {
			w := newWorld(t, func(cfg *rs.Config) {
				cfg.Require = c.all
				for i, b := range c.each {
					cfg.Resources = append(cfg.Resources, rs.Resource{Name: fmt.Sprint("r", i), Require: b})
				}
			})
			rec := httptest.NewRecorder()
			w.rs.ServeMetadata(rec, httptest.NewRequest("GET", resource+"/.well-known/oauth-protected-resource", nil))
			var got map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			for member, want := range c.want {
				if got[member] != want {
					t.Errorf("%s = %v, want %v", member, got[member], want)
				}
			}
		})
	}
}
