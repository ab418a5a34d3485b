package rqp_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	rs      = "https://api.example"
	as      = "https://as.example"
	sts     = "https://sts.example"
	evil    = "https://evil.example"
	otherAS = "https://other.example"
)

// world is one listener that is every host; tests change single handlers.
type world struct {
	t       *testing.T
	server  *httptest.Server
	network rqp.Network

	mu      sync.Mutex
	handle  map[string]http.HandlerFunc // host + path
	hits    []hit
	tickets int
	claims  map[string]url.Values // claims token -> exchange
}

type hit struct {
	host, path, auth, body string
	form                   url.Values
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, handle: map[string]http.HandlerFunc{}, claims: map[string]url.Values{}}
	w.server = httptest.NewUnstartedServer(w)
	w.server.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := fakeop.Certificate(h.ServerName)
		return &c, nil
	}}
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	w.network = rqp.Network{Roots: fakeop.New(t, fakeop.Config{}).Roots, ConnectTo: map[string]string{}}
	for _, h := range []string{"api", "as", "sts", "evil", "other", "bob"} {
		w.network.ConnectTo[h+".example:443"] = w.server.Listener.Addr().String()
	}
	w.resource(rs, as)
	for _, s := range []string{as, otherAS} {
		w.authorizationServer(s)
	}
	w.doc(sts, "openid-configuration", map[string]any{
		"issuer": sts, "token_endpoint": sts + "/token", "authorization_challenge_endpoint": sts + "/challenge",
	})
	w.on(sts+"/token", w.exchange)
	return w
}

func (w *world) on(u string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle[strings.TrimPrefix(u, "https://")] = h
}

func (w *world) doc(issuer, name string, v any) {
	w.on(issuer+"/.well-known/"+name, func(rw http.ResponseWriter, _ *http.Request) { oauth.WriteJSON(rw, 200, v) })
}

func (w *world) resourceDoc(origin, path, resource string, servers ...string) {
	w.doc(origin, "oauth-protected-resource"+path, map[string]any{"resource": resource, "authorization_servers": servers})
}

// resource is a protected one that lists an authorization server.
func (w *world) resource(origin, server string) {
	w.resourceDoc(origin, "", origin, server)
	w.on(origin+"/", w.protected(server))
}

func (w *world) ticket() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tickets++
	return fmt.Sprintf("ticket-secret-%d", w.tickets)
}

func (w *world) protected(server string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+rptOf(server) {
			_, _ = fmt.Fprint(rw, "hello "+r.Method)
			return
		}
		rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`UMA realm="x", as_uri="%s", ticket="%s"`, server, w.ticket()))
		rw.WriteHeader(401)
	}
}

func (w *world) authorizationServer(issuer string) {
	w.doc(issuer, "uma2-configuration", map[string]any{"issuer": issuer, "token_endpoint": issuer + "/token"})
	w.on(issuer+"/token", func(rw http.ResponseWriter, r *http.Request) {
		claims := r.PostFormValue("claim_token") + r.PostFormValue("pushed_claims")
		w.mu.Lock()
		x := w.claims[claims]
		w.mu.Unlock()
		if x.Get("ticket_challenge") != oauth.TicketChallenge(r.PostFormValue("ticket")) || x.Get("as_uri") != issuer {
			oauth.WriteError(rw, &oauth.Error{Code: oauth.CodeRequestDenied, Status: 403, Extra: map[string]any{"decision_id": "dec-1"}})
			return
		}
		oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: rptOf(issuer), TokenType: "Bearer", ExpiresIn: 60})
	})
}

func (w *world) exchange(rw http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	w.mu.Lock()
	token := fmt.Sprintf("claims-token-%d", len(w.claims))
	w.claims[token] = r.PostForm
	w.mu.Unlock()
	oauth.WriteJSON(rw, 200, oauth.TokenResponse{AccessToken: token, TokenType: "N_A", IssuedTokenType: oauth.TokenTypeJWT})
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	w.mu.Lock()
	w.hits = append(w.hits, hit{r.Host, r.URL.Path, r.Header.Get("Authorization"), string(body), form})
	h := w.handle[r.Host+r.URL.Path]
	if h == nil && !strings.HasPrefix(r.URL.Path, "/.well-known/") {
		h = w.handle[r.Host+"/"]
	}
	w.mu.Unlock()
	if h == nil {
		http.NotFound(rw, r)
		return
	}
	h(rw, r)
}

// at lists the requests at a host, or at a URL.
func (w *world) at(u string) []hit {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []hit
	for _, h := range w.hits {
		if "https://"+h.host == u || "https://"+h.host+h.path == u {
			list = append(list, h)
		}
	}
	return list
}

func (w *world) client(edit func(*rqp.Config)) *rqp.Client {
	w.t.Helper()
	cfg := rqp.Config{
		STS: sts, Network: w.network,
		AccessToken: func(context.Context) (string, error) { return "access-token-of-bob", nil },
	}
	if edit != nil {
		edit(&cfg)
	}
	c, err := rqp.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// do gives body or error of a request.
func (w *world) do(c *rqp.Client, method, u, body string) (string, error) {
	w.t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, u, from)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := c.Do(req)
	return text(resp, err)
}

func text(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, b), err
}

func marshal(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func rptOf(issuer string) string {
	return "rpt-of-" + strings.ReplaceAll(strings.TrimPrefix(issuer, "https://"), ":", ".")
}
