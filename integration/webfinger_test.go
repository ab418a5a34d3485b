package integration_test

import (
	"context"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// newEmailDomain runs examples/email-domain.Caddyfile on a loopback port, with
// certificates of Caddy's own CA. Its users are bob and, under a name with
// characters that are written otherwise in a URL, amy.
func newEmailDomain(t *testing.T) *world {
	t.Helper()
	file, err := filepath.Abs("../examples/email-domain.Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	users := filepath.Join(w.dir, "users.json")
	writeUsers(t, users, map[string]string{"bob@bob.example": demoHash(t), "amy+a&b@bob.example": demoHash(t)})
	t.Setenv("USERS_FILE", users)
	w.adapt("{\n\tskip_install_trust\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n\tlocal_certs\n\thttps_port " + w.port + "\n}\n" + string(text))
	t.Cleanup(w.searchLog)
	w.reload()
	t.Cleanup(w.stop)
	w.client = w.newClient()
	for _, host := range []string{"bob.example", "sts.bob.example"} {
		w.awaitSite(host)
	}
	return w
}

// awaitSite waits for the certificate of a host, which is made after load.
func (w *world) awaitSite(host string) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		res, err := w.client.Get("https://" + host + loadsPage)
		if err == nil {
			_ = res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // polling a real server: there is no clock to inject
	}
}

// outbound reaches the named hosts at this Caddy; every other host is loopback
// for DNS, and so out of reach.
func (w *world) outbound(hosts ...string) outbound.Config {
	w.t.Helper()
	pem, err := os.ReadFile(filepath.Join(w.dir, "storage", "pki", "authorities", "local", "root.crt"))
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := outbound.Config{Roots: x509.NewCertPool(), ConnectTo: map[string]string{}, Resolve: func(context.Context, string) ([]string, error) {
		return []string{"127.0.0.1"}, nil
	}}
	cfg.Roots.AppendCertsFromPEM(pem)
	for _, host := range hosts {
		cfg.ConnectTo[host+":443"] = net.JoinHostPort("127.0.0.1", w.port)
	}
	return cfg
}

// TestOD_11_WebFingerOfAnEmailDomain: the web server of the domain has one line
// of redirect, and discovery gets through it to the service.
func TestOD_11_WebFingerOfAnEmailDomain(t *testing.T) {
	w := newEmailDomain(t)
	for _, email := range []string{"bob@bob.example", "amy+a&b@bob.example", "nobody%2Fhere=?@bob.example"} {
		t.Run(email, func(t *testing.T) {
			a, err := oauth.ParseAddress(email)
			if err != nil {
				t.Fatal(err)
			}
			// No exception survives a redirect (SEC-29), so here the way ends behind it.
			redirected, err := discovery.Examine(t.Context(), discovery.Config{Now: time.Now, Client: outbound.NewStrict(w.outbound("bob.example"))}, a)
			if err != nil || len(redirected.Steps) != 1 || len(redirected.Steps[0].Hops) != 2 {
				t.Fatalf("%+v, %v", redirected, err)
			}
			hops := redirected.Steps[0].Hops
			if hops[0].Status != http.StatusFound || hops[1].URL != strings.Replace(hops[0].URL, "https://bob.example/", "https://sts.bob.example/", 1) {
				t.Errorf("%s -> %d %s", hops[0].URL, hops[0].Status, hops[1].URL)
			}
			// An entry for the domain makes the same question be asked there.
			found, err := discovery.Examine(t.Context(), discovery.Config{
				Now: time.Now, Client: outbound.NewStrict(w.outbound("sts.bob.example")),
				Domains: []discovery.Domain{{Pattern: "bob.example", BaseURL: "https://sts.bob.example"}},
			}, a)
			if err != nil || found.Err != nil || found.Found.Issuer != "https://sts.bob.example" || found.Found.Evidence != discovery.ByWebFinger || found.Keys.Named() == 0 {
				t.Fatalf("%+v, %v", found, err)
			}
			if got := found.Steps[0].URL; got != hops[1].URL {
				t.Errorf("asked %s, redirected to %s", got, hops[1].URL)
			}
		})
	}
	t.Run("the rest of the site stays as it is", func(t *testing.T) {
		for _, path := range []string{"/", "/.well-known/webfinger/x", "/x"} {
			if a := w.get("https://bob.example"+path, nil); a.status != http.StatusOK || a.text != "The web site of bob.example" {
				t.Errorf("%s: %d %s", path, a.status, a.text)
			}
		}
	})
	t.Run("OD-11 the same for who is there and who is not", func(t *testing.T) { w.noEnumeration() })
}

// noEnumeration compares answers of WebFinger, header fields included.
func (w *world) noEnumeration() {
	w.t.Helper()
	ask := func(email, rel string) answer {
		a := w.get("https://sts.bob.example/.well-known/webfinger?resource="+url.QueryEscape("acct:"+email)+rel, nil)
		a.text = strings.ReplaceAll(a.text, email, "ADDRESS")
		a.header = maps.Clone(a.header)
		a.header.Del("Date")
		a.header.Del("Content-Length") // the address stands in the answer
		return a
	}
	for _, rel := range []string{"", "&rel=" + url.QueryEscape(oauth.RelIssuer), "&rel=other"} {
		here, gone := ask("bob@bob.example", rel), ask("eve@bob.example", rel)
		if here.status != http.StatusOK || here.status != gone.status || here.text != gone.text || !maps.EqualFunc(here.header, gone.header, equalFields) {
			w.t.Errorf("%q: %d %v %s\n%d %v %s", rel, here.status, here.header, here.text, gone.status, gone.header, gone.text)
		}
	}
	if foreign := ask("bob@alice.example", ""); foreign.status != http.StatusNotFound {
		w.t.Errorf("a foreign domain: %d", foreign.status)
	}
}

func equalFields(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }
