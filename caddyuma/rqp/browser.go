package rqp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// BrowserLogin logs a user in with his browser: authorization code with PKCE and
// a redirect to this machine (RFC 8252 §7.3). show is given the address that the
// browser has to open.
func BrowserLogin(ctx context.Context, cfg LoginConfig, show func(address string)) (*Session, error) {
	l, err := newLogin(cfg)
	if err != nil {
		return nil, at(0, nameLogin, err)
	}
	defer l.net.done()
	s, err := l.browser(ctx, show)
	if err != nil {
		return nil, at(0, nameLogin, err)
	}
	return s, nil
}

func (l *login) browser(ctx context.Context, show func(string)) (*Session, error) {
	doc, err := l.discover(ctx)
	if err != nil {
		return nil, err
	}
	page, err := endpoint(doc, "authorization_endpoint", doc.AuthorizationEndpoint)
	if err != nil {
		return nil, err
	}
	back, err := listen(ctx, rand.Text(), l.tokenIssuer(), doc.AuthorizationResponseIss)
	if err != nil {
		return nil, err
	}
	defer back.close() //nolint:contextcheck // the page is sent even if the login was given up
	nonce := rand.Text()
	page.RawQuery = l.authorization(page.Query(), doc, back, nonce).Encode()
	show(page.String())
	code, err := back.wait(ctx)
	if err != nil {
		return nil, err
	}
	t, err := l.tokens(ctx, url.Values{
		"grant_type": {oauth.GrantAuthorizationCode}, "code": {code},
		"redirect_uri": {back.uri}, "code_verifier": {l.verifier},
	})
	if err != nil {
		return nil, err
	}
	if err := l.verified(ctx, doc, t, nonce); err != nil {
		return nil, err
	}
	return l.session(t), nil
}

func (l *login) authorization(query url.Values, doc *oauth.Metadata, back *loopback, nonce string) url.Values {
	sum := sha256.Sum256([]byte(l.verifier))
	for name, value := range map[string]string{
		"response_type": "code", "client_id": l.cfg.ClientID, "redirect_uri": back.uri,
		"scope": l.scope(doc), "state": back.state, "nonce": nonce, "login_hint": l.cfg.User,
		"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	if strings.Contains(query.Get("scope"), "offline_access") {
		query.Set("prompt", "consent") // OpenID Connect Core §11: else it may be ignored
	}
	return l.forService(query)
}

// loopback waits for one answer of the provider on a port of 127.0.0.1.
type loopback struct {
	uri, state, issuer string
	needIss            bool
	server             *http.Server
	got                chan result
}

type result struct {
	code string
	err  error
}

func listen(ctx context.Context, state, issuer string, needIss bool) (*loopback, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, &StepError{Code: CodeUntrusted, Description: "no port of 127.0.0.1 can be opened", Hint: "--device", Err: err}
	}
	b := &loopback{
		uri: "http://" + listener.Addr().String() + "/callback", state: state, issuer: issuer,
		needIss: needIss, got: make(chan result, 1),
	}
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 32 << 10}
	go func() { _ = b.server.Serve(listener) }()
	return b, nil
}

// close lets the page be sent, then ends.
func (b *loopback) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if b.server.Shutdown(ctx) != nil {
		_ = b.server.Close()
	}
}

func (b *loopback) wait(ctx context.Context) (string, error) {
	select {
	case r := <-b.got:
		return r.code, r.err
	case <-ctx.Done():
		return "", &StepError{Code: CodeNoIdentity, Description: "the login was not finished in the browser", Err: ctx.Err()}
	}
}

//nolint:gochecknoglobals // a constant, parsed
var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>caddy uma</title><p>{{.}}</p></html>
`))

// ServeHTTP takes the redirect. Whoever does not know state is not listened to:
// every page in the browser can call this port.
func (b *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Connection", "close")
	query := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/callback" || "http://"+r.Host+"/callback" != b.uri ||
		len(query["state"]) != 1 || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(b.state)) != 1 {
		w.WriteHeader(http.StatusNotFound)
		_ = page.Execute(w, "There is nothing here.")
		return
	}
	code, err := b.read(query)
	text := "You are logged in. You can close this window."
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		text = "The login failed. The terminal says why. " + err.Error()
	}
	_ = page.Execute(w, text)
	select {
	case b.got <- result{code, err}:
	default: // it had its one answer
	}
}

// read: RFC 6749 §4.1.2. RFC 9207 §2.4: iss is compared, and must be there if
// the metadata promise it.
func (b *loopback) read(query url.Values) (string, error) {
	issuer, _ := url.Parse(b.issuer)
	switch {
	case len(query["iss"]) > 1, query.Has("iss") && query.Get("iss") != b.issuer, !query.Has("iss") && b.needIss:
		return "", untrusted("", "the answer in the browser is not of %s", plain(b.issuer, 200))
	case query.Get("error") != "":
		return "", &StepError{Name: nameLogin, Who: issuer.Host, Code: plain(query.Get("error"), 60), Description: plain(query.Get("error_description"), 300)}
	case query.Get("code") == "" || len(query["code"]) != 1:
		return "", badAnswer(issuer, 0, "there is no code in the redirect")
	}
	return query.Get("code"), nil
}
