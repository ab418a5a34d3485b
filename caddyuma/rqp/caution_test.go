package rqp_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

func TestCaution(t *testing.T) {
	tests := []struct {
		name string
		edit func(*world)
		cfg  func(*rqp.Config)
		url  string
		ok   bool
	}{
		{name: "CA-44 malicious RS relays a ticket, lists its server", url: evil + "/", edit: func(w *world) {
			w.on(evil+"/", w.protected(as))
			w.resourceDoc(evil, "", rs, as)
		}},
		{name: "CA-44 malicious RS without metadata", url: evil + "/", edit: func(w *world) { w.on(evil+"/", w.protected(as)) }},
		{name: "CA-44 name of another origin", url: evil + "/", edit: func(w *world) { w.on(evil+"/", w.protected(as)) }, cfg: func(c *rqp.Config) {
			c.Names = map[string]string{"RS API": rs}
			c.Pins = map[string][]string{rs: {as}}
		}},
		{name: "CA-44 name and pin of this origin", url: rs + "/", ok: true, edit: func(w *world) { w.on(rs+"/.well-known/oauth-protected-resource", http.NotFound) }, cfg: func(c *rqp.Config) {
			c.Names = map[string]string{"RS API": rs}
			c.Pins = map[string][]string{rs: {as}}
		}},
		{name: "CA-46 second path with a foreign as_uri", url: rs + "/bad", edit: func(w *world) { w.on(rs+"/bad", w.protected(otherAS)) }},
		{name: "CA-46 foreign as_uri against a pin", url: rs + "/bad", edit: func(w *world) {
			w.on(rs+"/bad", w.protected(otherAS))
			w.resourceDoc(rs, "", rs, as, otherAS)
		}, cfg: func(c *rqp.Config) { c.Pins = map[string][]string{rs: {as}} }},
		{name: "CA-46 document named by the challenge is not read", url: rs + "/bad", edit: func(w *world) {
			w.resourceDoc(rs, "/user-page", rs, otherAS)
			w.on(rs+"/bad", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("WWW-Authenticate", `UMA as_uri="`+otherAS+`", ticket="t", resource_metadata="`+rs+`/.well-known/oauth-protected-resource/user-page"`)
				rw.WriteHeader(401)
			})
		}},
		{name: "CA-45 OD-14 metadata of another issuer", url: rs + "/", edit: func(w *world) {
			w.doc(as, "uma2-configuration", map[string]any{"issuer": otherAS, "token_endpoint": otherAS + "/token"})
		}},
		{name: "CA-45 repeated member", url: rs + "/", edit: func(w *world) {
			w.on(as+"/.well-known/uma2-configuration", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(rw, `{"issuer":%q,"issuer":%q,"token_endpoint":"https://as.example/token"}`, otherAS, as)
			})
		}},
		{name: "OD-14 STS metadata of another issuer", url: rs + "/", edit: func(w *world) {
			w.doc(sts, "openid-configuration", map[string]any{"issuer": evil, "token_endpoint": sts + "/token"})
		}},
		{name: "OA-27 /api covers /api/x", url: rs + "/api/x", ok: true, edit: func(w *world) { w.resourceDoc(rs, "/api", rs+"/api", as) }},
		{name: "OA-27 /api does not cover /apix", url: rs + "/apix", edit: func(w *world) { w.resourceDoc(rs, "", rs+"/api", as) }},
		{name: "OA-27 another resource in the document", url: rs + "/api", edit: func(w *world) { w.resourceDoc(rs, "/api", rs+"/other", as) }},
		{name: "OA-27 strict: not equal", url: rs + "/api/x", edit: func(w *world) { w.resourceDoc(rs, "/api", rs+"/api", as) }, cfg: func(c *rqp.Config) { c.Strict = true }},
		{name: "OA-27 strict: equal", url: rs + "/api", ok: true, edit: func(w *world) { w.resourceDoc(rs, "/api", rs+"/api", as) }, cfg: func(c *rqp.Config) { c.Strict = true }},
		{name: "CA-09 token endpoint of the AS is that of the STS", url: rs + "/", edit: func(w *world) {
			w.doc(as, "uma2-configuration", map[string]any{"issuer": as, "token_endpoint": sts + "/token"})
		}},
		{name: "SEC-29 origin is not allowed", url: rs + "/", cfg: func(c *rqp.Config) { c.AllowedOrigins = []string{evil} }},
		{name: "SEC-29 origin is allowed", url: rs + "/", ok: true, cfg: func(c *rqp.Config) { c.AllowedOrigins = []string{evil, rs} }},
		{name: "a page instead of metadata", url: rs + "/", edit: func(w *world) {
			w.on(rs+"/.well-known/oauth-protected-resource", func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(rw, "<html>") })
		}},
		{name: "two UMA challenges", url: rs + "/two", edit: func(w *world) {
			w.on(rs+"/two", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("WWW-Authenticate", `UMA as_uri="`+as+`", ticket="a", UMA as_uri="`+otherAS+`", ticket="b"`)
				rw.WriteHeader(401)
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.edit != nil {
				tt.edit(w)
			}
			got, err := w.do(w.client(tt.cfg), "GET", tt.url, "")
			if ok := err == nil && strings.HasPrefix(got, "200"); ok != tt.ok {
				t.Errorf("Do = %q, %v, want ok %v", got, err, tt.ok)
			}
			if n := len(w.at(sts + "/token")); !tt.ok && n != 0 {
				t.Errorf("%d requests at the STS, want 0", n)
			}
			if n := len(w.at(as+"/token")) + len(w.at(otherAS+"/token")); !tt.ok && n != 0 {
				t.Errorf("%d requests at token endpoints, want 0", n)
			}
			if tt.ok && len(w.at(as+"/token")) != 1 {
				t.Error("the authorization server was not asked once")
			}
		})
	}
}

func TestSEC_29_LearnedHosts(t *testing.T) {
	local := "https://as.localhost"
	w := newWorld(t)
	local += ":" + w.server.URL[strings.LastIndexByte(w.server.URL, ':')+1:]
	w.resource(rs, local)
	w.authorizationServer(local)
	w.on(rs+"/", w.protected(local))
	if _, err := w.do(w.client(nil), "GET", rs+"/", ""); err == nil || len(w.at(local)) != 0 || len(w.at(sts+"/token")) != 0 {
		t.Errorf("a learned local server was called: %v", err)
	}
	c := w.client(func(c *rqp.Config) { c.Pins = map[string][]string{rs: {local}} })
	if _, err := w.do(c, "GET", rs+"/", ""); err != nil {
		t.Errorf("a named local server: %v", err)
	}
}

func TestSEC_17_TwoServers(t *testing.T) {
	w := newWorld(t)
	w.resourceDoc(rs, "", rs, as, otherAS)
	w.on(rs+"/b", w.protected(otherAS))
	c := w.client(func(c *rqp.Config) {
		c.ClientSecret, c.SecretFor, c.STSClientID = "secret-of-as", []string{as}, "sts-client"
	})
	for _, path := range []string{"/a", "/b", "/a"} {
		if got, err := w.do(c, "GET", rs+path, ""); err != nil || got != "200 hello GET" {
			t.Fatalf("%s = %q, %v", path, got, err)
		}
	}
	for server, secret := range map[string]bool{as: true, otherAS: false} {
		for _, h := range w.at(server + "/token") {
			if x := w.claims[h.form.Get("claim_token")]; x.Get("as_uri") != server {
				t.Errorf("%s got what was obtained for %s", server, x.Get("as_uri"))
			}
			if (h.auth != "") != secret {
				t.Errorf("%s: client secret sent = %v, want %v", server, h.auth != "", secret)
			}
		}
		for _, h := range w.at(server) {
			if strings.Contains(marshal(h.form)+h.auth, "rpt-of") {
				t.Errorf("%s got an RPT", server)
			}
		}
	}
}

func TestCA_46_Redirect(t *testing.T) {
	w := newWorld(t)
	w.resource(evil, as)
	to := func(u string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, u, http.StatusFound) }
	}
	w.on(rs+"/cross", to(evil+"/"))
	w.on(rs+"/same", to(rs+"/target"))
	c := w.client(func(c *rqp.Config) { c.AllowedOrigins = []string{rs, evil} })
	get := func(u string) (string, error) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", u, nil)
		return text((&http.Client{Transport: &rqp.Transport{Client: c}}).Do(req))
	}
	if got, err := get(rs + "/cross"); err != nil || !strings.HasPrefix(got, "401") || len(w.at(sts+"/token")) != 0 {
		t.Errorf("cross-origin redirect = %q, %v, want the 401 and no dance", got, err)
	}
	if got, err := get(rs + "/same"); err != nil || got != "200 hello GET" {
		t.Errorf("same-origin redirect = %q, %v", got, err)
	}
	if got, err := get(rs + "/cross"); err != nil || !strings.HasPrefix(got, "401") {
		t.Errorf("cross-origin redirect with an RPT at hand = %q, %v", got, err)
	}
	for _, h := range w.at(evil) {
		if h.auth != "" {
			t.Error("the RPT went to another origin")
		}
	}
}

func TestCA_46_RPTOnlyBelowItsPrefix(t *testing.T) {
	w := newWorld(t)
	w.resourceDoc(rs, "/api", rs+"/api", as)
	w.on(rs+"/.well-known/oauth-protected-resource", http.NotFound)
	c := w.client(nil)
	if _, err := w.do(c, "GET", rs+"/api/x", ""); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/apix", "/", "/api/../b", "/api%2f..%2fb"} {
		before := len(w.at(rs))
		_, _ = w.do(c, "GET", rs+path, "")
		if h := w.at(rs)[before]; h.auth != "" {
			t.Errorf("%s got the RPT of /api", path)
		}
	}
}

func TestTransport_SEC_29_AllowedOnly(t *testing.T) {
	w := newWorld(t)
	c := w.client(nil) // nothing allowed
	req, _ := http.NewRequestWithContext(t.Context(), "GET", rs+"/", nil)
	if got, err := text((&http.Client{Transport: &rqp.Transport{Client: c}}).Do(req)); err != nil || !strings.HasPrefix(got, "401") {
		t.Errorf("= %q, %v, want the 401", got, err)
	}
}

// A server that names its endpoints by control characters steers no terminal.
func TestStepErrorIsPrintable(t *testing.T) {
	e := &rqp.StepError{
		Step: 6, Name: "asking", Who: "as\u009b31m.example", Code: rqp.CodeUnreachable,
		Err: errors.New("certificate is valid for \x1b]0;x\x07\u202e, not as.example"),
	}
	const want = "step 6, asking, failed: as?31m.example does not answer: certificate is valid for ?]0;x??, not as.example"
	if got := e.Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
