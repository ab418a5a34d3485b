package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"flag"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

var bob = oauth.Address{Local: "bob", Domain: "bob.example"}

// clinic is a provider with everything that the doctor likes, and what a test
// makes of it.
type clinic struct {
	op      *fakeop.OP
	timeout time.Duration
	resolve map[string][]string
	connect map[string]string
	roots   *x509.CertPool
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	op := fakeop.New(t, fakeop.Config{})
	op.Edit(func(doc map[string]any) { doc["grant_types_supported"] = []string{oauth.GrantTokenExchange} })
	c := &clinic{op: op, connect: op.ConnectTo("bob.example", "sts.bob.example"), roots: op.Roots}
	c.links(oauth.RelIssuer, "https://bob.example")
	return c
}

// links makes WebFinger answer with one link.
func (c *clinic) links(rel, href string) {
	c.webFinger("application/jrd+json", `{"links":[{"rel":"`+rel+`","href":"`+href+`"}]}`)
}

func (c *clinic) webFinger(contentType, body string) {
	c.op.Misbehave(fakeop.WebFinger, allowAll(fakeop.Raw(http.StatusOK, contentType, body)))
}

func allowAll(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		next(w, r)
	}
}

func (c *clinic) examine(t *testing.T) *diagnosis {
	t.Helper()
	client := outbound.NewStrict(outbound.Config{
		ConnectTo: c.connect, Roots: c.roots, Timeout: c.timeout,
		Resolve: func(_ context.Context, host string) ([]string, error) {
			if addresses, ok := c.resolve[host]; ok {
				return addresses, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	})
	d, err := examine(t.Context(), client, bob)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// codes are those of all findings that are not ok.
func (d *diagnosis) codes() string {
	var codes []string
	for _, f := range d.Findings {
		if f.Level != levelOK {
			codes = append(codes, string(f.Level)+" "+f.Code)
		}
	}
	return strings.Join(codes, ", ")
}

func TestDoctor(t *testing.T) {
	raw := func(status int, contentType, body string) http.HandlerFunc {
		return allowAll(fakeop.Raw(status, contentType, body))
	}
	edit := func(c *clinic, name string, value any) {
		c.op.Edit(func(doc map[string]any) {
			doc["grant_types_supported"] = []string{oauth.GrantTokenExchange}
			doc[name] = value
			if value == nil {
				delete(doc, name)
			}
		})
	}
	keys := func(c *clinic, text string) {
		c.op.Misbehave(fakeop.JWKS, fakeop.Raw(200, "application/json", text))
	}
	good := strings.TrimSuffix(strings.TrimPrefix(fakeop.KeySet(1, 2048), `{"keys":[`), "]}")
	const page = "<html>hunter2"
	tests := []struct {
		name  string
		make  func(c *clinic)
		codes string // findings that are not ok
		says  string // in one of them
		exit  int
	}{
		{name: "all well", make: func(*clinic) {}},
		{name: "no CORS", make: func(c *clinic) { c.op.Misbehave(fakeop.WebFinger, nil) }, codes: "warning cors", says: "Access-Control-Allow-Origin"},

		{name: "no WebFinger", make: func(c *clinic) { c.op.Misbehave(fakeop.WebFinger, raw(404, "text/plain", "")) }, codes: "warning webfinger_missing", says: "https://bob.example is taken for the issuer itself"},
		{name: "no WebFinger and no provider", make: func(c *clinic) {
			c.op.Misbehave(fakeop.WebFinger, raw(404, "text/plain", ""))
			c.op.Misbehave("/.well-known/openid-configuration", fakeop.Status(404))
		}, codes: "problem webfinger_missing, problem metadata_missing", says: "redir /.well-known/webfinger", exit: 1},
		{name: "WebFinger down", make: func(c *clinic) { c.op.Misbehave(fakeop.WebFinger, raw(503, "text/plain", "")) }, codes: "problem webfinger_down", says: "503 Service Unavailable", exit: 1},
		{name: "a page for every path", make: func(c *clinic) { c.webFinger("text/html; charset=utf-8", page) }, codes: "warning webfinger_page", says: "a site that answers every path"},
		{name: "wrong type", make: func(c *clinic) { c.webFinger("text/plain", "{}") }, codes: "warning webfinger_type", says: "'text/plain'"},
		{name: "not JSON", make: func(c *clinic) { c.webFinger("application/json", "[]") }, codes: "warning webfinger_json", says: "no acceptable JSON object"},
		{name: "cut off", make: func(c *clinic) { c.webFinger("application/json", `{"links":[`) }, codes: "problem webfinger_cut", says: "cut off", exit: 1},
		{name: "no links", make: func(c *clinic) { c.webFinger("application/jrd+json", "{}") }, codes: "warning webfinger_no_issuer", says: "no links"},
		{name: "links of others", make: func(c *clinic) { c.links("http://webfinger.net/rel/avatar", "https://x.example/") }, codes: "warning webfinger_no_issuer", says: "only to: http://webfinger.net/rel/avatar"},
		{name: "href with a query", make: func(c *clinic) { c.links(oauth.RelIssuer, "https://bob.example?x") }, codes: "problem webfinger_href", says: "'https://bob.example?x' is no issuer", exit: 1},
		{name: "who has an account", make: func(c *clinic) {
			c.op.Misbehave(fakeop.WebFinger, nil)
			c.op.Link(func(resource string) (string, bool) {
				return "https://bob.example", strings.HasPrefix(resource, "acct:bob@")
			})
		}, codes: "warning cors, warning enumeration", says: "anybody can find out who has an account"},
		{name: "who has an account, by status", make: func(c *clinic) {
			c.op.Misbehave(fakeop.WebFinger, allowAll(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("resource") != "acct:bob@bob.example" {
					w.WriteHeader(404)
					return
				}
				fakeop.Raw(200, "application/jrd+json", `{"links":[{"rel":"`+oauth.RelIssuer+`","href":"https://bob.example"}]}`)(w, r)
			}))
		}, codes: "warning enumeration", says: "200 for this address and 404 for one that is not there"},

		{name: "redirect to http", make: func(c *clinic) {
			c.op.Misbehave(fakeop.WebFinger, fakeop.RedirectTo("http://bob.example/x"))
		}, codes: "problem redirect_http", says: "http://bob.example/x", exit: 1},
		{name: "redirect to a port", make: func(c *clinic) {
			c.op.Misbehave(fakeop.WebFinger, fakeop.RedirectTo("https://bob.example:8443/x"))
		}, codes: "problem redirect_port", says: "bob.example:8443", exit: 1},
		{name: "redirect to a private address", make: func(c *clinic) { // behind a redirect there are no exceptions (SEC-29)
			c.op.Misbehave("bob.example"+fakeop.WebFinger, fakeop.RedirectTo("https://sts.bob.example/.well-known/webfinger"))
			c.resolve = map[string][]string{"sts.bob.example": {"192.168.1.1"}}
		}, codes: "problem address", says: "the name sts.bob.example leads to the address 192.168.1.1, which is private", exit: 1},
		{name: "redirect of the metadata", make: func(c *clinic) {
			c.op.Misbehave("/.well-known/openid-configuration", fakeop.RedirectTo("https://sts.bob.example/x"))
		}, codes: "problem redirect", says: "followed for WebFinger only", exit: 1},

		{name: "private address", make: func(c *clinic) {
			delete(c.connect, "bob.example:443")
			c.resolve = map[string][]string{"bob.example": {"10.1.2.3"}}
		}, codes: "problem address", says: "10.1.2.3, which is private", exit: 1},
		{name: "no DNS", make: func(c *clinic) { delete(c.connect, "bob.example:443") }, codes: "problem dns", says: "no host bob.example in DNS", exit: 1},
		{name: "issuer at a port", make: func(c *clinic) { c.links(oauth.RelIssuer, "https://bob.example:8443") }, codes: "problem port", says: "bob.example:8443 is at port 8443", exit: 1},
		{name: "nobody listens", make: func(c *clinic) { c.connect["bob.example:443"] = closedPort }, codes: "problem refused", says: "nothing listens", exit: 3},
		{name: "hangs", make: func(c *clinic) {
			c.timeout = 300 * time.Millisecond
			c.op.Misbehave(fakeop.WebFinger, fakeop.Hang())
		}, codes: "problem slow", says: "does not answer in time", exit: 3},
		{name: "too large", make: func(c *clinic) { c.op.Misbehave(fakeop.WebFinger, fakeop.Endless()) }, codes: "problem too_large", says: "64 KiB", exit: 1},
		{name: "without a length", make: func(c *clinic) { c.op.Misbehave(fakeop.WebFinger, fakeop.Unframed("{}")) }, codes: "problem no_length", says: "Content-Length", exit: 1},
		{name: "compressed", make: func(c *clinic) { c.op.Misbehave(fakeop.WebFinger, fakeop.GzipBomb(100)) }, codes: "problem compressed", says: "compressed", exit: 1},

		{name: "metadata missing", make: func(c *clinic) { c.links(oauth.RelIssuer, "https://bob.example/x") }, codes: "problem metadata_missing", says: "the issuer https://bob.example/x has no metadata", exit: 1},
		{name: "metadata down", make: func(c *clinic) { c.op.Misbehave("/.well-known/openid-configuration", fakeop.Status(502)) }, codes: "problem metadata_down", says: "502", exit: 1},
		{name: "metadata a page", make: func(c *clinic) { c.op.Misbehave("/.well-known/openid-configuration", fakeop.HTML()) }, codes: "problem metadata_type", says: "text/html", exit: 1},
		{name: "metadata an array", make: func(c *clinic) {
			c.op.Misbehave("/.well-known/openid-configuration", raw(200, "application/json", "[]"))
		}, codes: "problem metadata_json", says: "no acceptable JSON object", exit: 1},
		{name: "a slash more", make: func(c *clinic) { edit(c, "issuer", "https://bob.example/") }, codes: "problem issuer_slash", says: "says 'https://bob.example', the metadata say 'https://bob.example/'", exit: 1},
		{name: "another issuer", make: func(c *clinic) { edit(c, "issuer", "https://id.example") }, codes: "problem issuer_mismatch", says: "'https://id.example'", exit: 1},
		{name: "no jwks_uri", make: func(c *clinic) { edit(c, "jwks_uri", nil) }, codes: "problem metadata_jwks_uri", says: "no jwks_uri", exit: 1},
		{name: "jwks_uri of http", make: func(c *clinic) { edit(c, "jwks_uri", "http://bob.example/jwks") }, codes: "problem metadata_unusable", says: "http://bob.example/jwks", exit: 1},
		{name: "no token exchange", make: func(c *clinic) { edit(c, "grant_types_supported", []string{"authorization_code"}) }, codes: "problem no_exchange", says: "an OpenID provider without a security token service", exit: 1},
		{name: "no token endpoint", make: func(c *clinic) { edit(c, "token_endpoint", nil) }, codes: "problem no_token_endpoint", says: "no token_endpoint", exit: 1},

		{name: "keys missing", make: func(c *clinic) { c.op.Misbehave(fakeop.JWKS, fakeop.Status(404)) }, codes: "problem keys_missing", says: "404", exit: 1},
		{name: "keys not JSON", make: func(c *clinic) { keys(c, "[]") }, codes: "problem keys_json", says: "no acceptable JSON object", exit: 1},
		{name: "private key", make: func(c *clinic) { keys(c, strings.Replace(fakeop.KeySet(1, 2048), `"e":`, `"d":"hunter2","e":`, 1)) }, codes: "problem keys_secret", says: "replace these keys at once", exit: 1},
		{name: "two keys with one kid", make: func(c *clinic) { keys(c, `{"keys":[`+good+","+good+"]}") }, codes: "problem keys_unusable", says: "two keys have one kid", exit: 1},
		{name: "no keys", make: func(c *clinic) { keys(c, `{"keys":[]}`) }, codes: "problem keys_none", says: "none of the 0 keys", exit: 1},
		{name: "weak key", make: func(c *clinic) { keys(c, fakeop.KeySet(1, 1024)) }, codes: "problem keys_none, warning key_weak", says: "about 1026 bits", exit: 1},
		{name: "weak key beside a good one", make: func(c *clinic) {
			weak := strings.TrimSuffix(strings.TrimPrefix(fakeop.KeySet(1, 1024), `{"keys":[`), "]}")
			keys(c, `{"keys":[`+good+","+strings.Replace(weak, `"k0"`, `"k1"`, 1)+"]}")
		}, codes: "warning key_weak", says: "kid 'k1'"},
		{name: "key without kid", make: func(c *clinic) { keys(c, `{"keys":[`+good+","+strings.Replace(good, `"kid":"k0",`, "", 1)+"]}") }, codes: "warning key_without_kid", says: "key 2 has no kid"},
		{name: "unknown curve", make: func(c *clinic) {
			keys(c, `{"keys":[`+good+`,{"kty":"EC","crv":"secp256k1","kid":"x","x":"AA","y":"AA"}]}`)
		}, codes: "warning key_unusable", says: "kty EC secp256k1"},
		{name: "key for encryption", make: func(c *clinic) {
			keys(c, `{"keys":[`+good+","+strings.NewReplacer(`"sig"`, `"enc"`, `"k0"`, `"k1"`, `"alg":"RS256",`, "").Replace(good)+"]}")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClinic(t)
			tt.make(c)
			d := c.examine(t)
			var text strings.Builder
			if err := d.print(&text); err != nil {
				t.Fatal(err)
			}
			if d.codes() != tt.codes || codeOf(d.exit()) != tt.exit {
				t.Errorf("%s, exit %d; want %s, %d\n%s", d.codes(), codeOf(d.exit()), tt.codes, tt.exit, &text)
			}
			if !strings.Contains(text.String(), tt.says) || strings.Contains(text.String(), "hunter2") {
				t.Errorf("want %q in\n%s", tt.says, &text)
			}
			for _, f := range d.Findings {
				if (f.Cure == "") != (f.Level == levelOK) {
					t.Errorf("%s: cure %q", f.Code, f.Cure)
				}
			}
		})
	}
}

// TestDoctorRedirects: what no test can do over the network, as it would need
// public addresses.
func TestDoctorRedirects(t *testing.T) {
	hop := func(url, location string) outbound.Hop {
		return outbound.Hop{URL: url, Status: http.StatusFound, Header: http.Header{"Location": {location}}}
	}
	step := func(ask string, hops ...outbound.Hop) *discovery.Step {
		return &discovery.Step{Ask: ask, URL: hops[0].URL, Hops: hops, Cause: outbound.ErrBlocked}
	}
	there, back := hop("https://bob.example/a", "/b"), hop("https://bob.example/b", "/a")
	tests := []struct {
		name, want string
		step       *discovery.Step
	}{
		{"circle", "redirect_many", step(discovery.AskWebFinger, there, back, there, back)},
		{"user name", "redirect_odd", step(discovery.AskWebFinger, hop("https://bob.example/a", "https://u:p@bob.example/"))},
		{"no URL", "redirect_odd", step(discovery.AskWebFinger, hop("https://bob.example/a", ":"))},
		{"to the same port", "redirect", step(discovery.AskKeys, hop("https://bob.example/a", "https://bob.example:443/b"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := causeOf(tt.step); got.code != tt.want || got.cure == "" {
				t.Errorf("cause = %+v, want %s", got, tt.want)
			}
		})
	}
	t.Run("followed", func(t *testing.T) {
		end := outbound.Hop{URL: "https://sts.bob.example/w", Status: 200, Header: http.Header{"Access-Control-Allow-Origin": {"*"}}}
		s := discovery.Step{Ask: discovery.AskWebFinger, URL: there.URL, Hops: []outbound.Hop{there, end}, Response: &outbound.Response{
			Status: 200, ContentType: "application/json", FinalURL: end.URL, Body: []byte(`{"links":[{"rel":"` + oauth.RelIssuer + `","href":"https://sts.bob.example"}]}`),
		}}
		d := diagnose(bob, discovery.Report{Steps: []discovery.Step{s}}, oauth.Address{}, s)
		if d.Verdict != levelOK || d.Findings[0].Text != "redirected to sts.bob.example" || d.Findings[1].Text != "names the issuer https://sts.bob.example" {
			t.Errorf("%+v", d)
		}
	})
	t.Run("slow", func(t *testing.T) {
		s := discovery.Step{Ask: discovery.AskKeys, Took: 2500 * time.Millisecond, Response: new(outbound.Response)}
		d := &diagnosis{}
		if d.pace(&s); d.codes() != "warning slow" {
			t.Errorf("%+v", d)
		}
	})
}

// closedPort is where nobody listens.
const closedPort = "127.0.0.1:1"

// certified serves bob.example with a certificate of its own.
func (c *clinic) certified(t *testing.T, trusted bool, edit func(*x509.Certificate)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bob's server"}, DNSNames: []string{"bob.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	edit(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(c.op)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	c.connect = map[string]string{"bob.example:443": s.Listener.Addr().String()}
	if trusted {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		c.roots = x509.NewCertPool()
		c.roots.AddCert(cert)
	}
}

func TestDoctorCertificates(t *testing.T) {
	tests := []struct {
		name        string
		trusted     bool
		edit        func(*x509.Certificate)
		codes, says string
	}{
		{"right", true, func(*x509.Certificate) {}, "", ""},
		{"another name", true, func(c *x509.Certificate) { c.DNSNames = []string{"www.alice.example"} }, "problem certificate_name", "not for bob.example but for www.alice.example"},
		{"expired", true, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "problem certificate_expired", "has expired on "},
		{"not yet", true, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "problem certificate_early", "is not valid before"},
		{"self-signed", false, func(*x509.Certificate) {}, "problem certificate_self_signed", "(for bob.example) is signed by itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClinic(t)
			c.certified(t, tt.trusted, tt.edit)
			d := c.examine(t)
			text, _ := json.Marshal(d.Findings)
			if d.codes() != tt.codes || !strings.Contains(string(text), tt.says) {
				t.Errorf("%s: %s", d.codes(), text)
			}
			if tt.codes != "" && codeOf(d.exit()) != exitRefused {
				t.Errorf("exit %d", codeOf(d.exit()))
			}
		})
	}
	t.Run("a CA that nobody knows", func(t *testing.T) {
		c := newClinic(t)
		c.roots = x509.NewCertPool()
		if d := c.examine(t); d.codes() != "problem certificate_authority" || !strings.Contains(d.Findings[0].Text, "fakeop CA") {
			t.Errorf("%+v", d.Findings)
		}
	})
	t.Run("no TLS", func(t *testing.T) {
		c := newClinic(t)
		s := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(s.Close)
		c.connect["bob.example:443"] = s.Listener.Addr().String()
		if d := c.examine(t); d.codes() != "problem not_tls" {
			t.Errorf("%+v", d.Findings)
		}
	})
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestDoctorOutput: the report as people see it.
func TestDoctorOutput(t *testing.T) {
	c := newClinic(t)
	c.op.Misbehave(fakeop.WebFinger, nil)
	c.op.Edit(func(doc map[string]any) { doc["issuer"] = "https://bob.example/\x1b[31m" })
	d := c.examine(t)
	var out strings.Builder
	if err := d.print(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), c.op.Addr, "127.0.0.1:PORT")
	const file = "testdata/doctor.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestDoctorCommand(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		{"empty", []string{""}, 2, nil, "the e-mail address is empty"},
		{"plain URL", []string{"http://api.example/"}, 2, nil, "must begin with https://"},
		{"no address", []string{"bob"}, 2, nil, "is not an e-mail address"},
		{"two", []string{"bob@bob.example", "eve@bob.example"}, 2, nil, "takes no argument, or an e-mail address or URL"},
		{"no admin API", []string{"--address", "127.0.0.1:1", "bob@bob.localhost"}, 3, nil, "--cacert FILE"},
		{"without connect_to", []string{"--address", w.admin, "bob@eve.localhost"}, 1, []string{"127.0.0.1, which is loopback", "uma { connect_to eve.localhost:443 127.0.0.1:PORT }"}, ""},
		{"issuer without connect_to", []string{"--address", w.admin, "bob@bob.localhost"}, 1, []string{"is at port " + w.port}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := caddyUMA(t, "", "", append([]string{"doctor"}, tt.args...)...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
				t.Errorf("exit %d, %s, %s", code, stdout, stderr)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("want %q in\n%s", want, stdout)
				}
			}
		})
	}
	t.Run("JSON", func(t *testing.T) {
		code, stdout, _ := caddyUMA(t, "", "", "doctor", "--json", "--address", w.admin, "bob@bob.localhost")
		var got diagnosis
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 {
			t.Fatalf("exit %d, %v", code, err)
		}
		problem := func(f stepFinding) bool {
			return f.Level == levelProblem && f.Code == "port" && f.Step == "configuration"
		}
		if got.Verdict != levelProblem || got.Email != "bob@bob.localhost" || !slices.ContainsFunc(got.Findings, problem) || len(got.Requests) == 0 {
			t.Errorf("%s", stdout)
		}
	})
}

// FuzzDiagnose: whatever a stranger publishes, the doctor says something that
// fits on a terminal.
func FuzzDiagnose(f *testing.F) {
	f.Add(200, "application/jrd+json", []byte(`{"links":[{"rel":"`+oauth.RelIssuer+`","href":"https://bob.example"},{"rel":1}]}`))
	f.Add(200, "application/json", []byte(`{"issuer":"https://bob.example/","jwks_uri":"https://bob.example/jwks","grant_types_supported":[]}`))
	f.Add(200, "application/json", []byte(fakeop.KeySet(2, 1024)))
	f.Add(404, "text/html", []byte("<html>\x1b[31m"))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		resp := &outbound.Response{Status: status, ContentType: contentType, Body: body}
		r := discovery.Report{}
		for _, ask := range []string{discovery.AskWebFinger, discovery.AskConfiguration, discovery.AskKeys} {
			r.Steps = append(r.Steps, discovery.Step{Ask: ask, Hops: []outbound.Hop{{Status: status}}, Response: resp})
		}
		d := diagnose(bob, r, oauth.Address{}, discovery.Step{})
		var text strings.Builder
		if err := d.print(&text); err != nil || strings.ContainsRune(text.String(), '\x1b') || d.Summary == "" {
			t.Errorf("%v: %q", err, text.String())
		}
	})
}
