package integration_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// oidcCallback is where the clients of the foreign provider return to. Nobody
// answers there: the code is in the Location.
const oidcCallback = "https://client.localhost/callback"

// forms of the provider's pages.
var (
	formAction = regexp.MustCompile(`<form[^>]*action="([^"]+)"`)
	formPrompt = regexp.MustCompile(`name="prompt" value="([^"]+)"`)
)

// oidcLogin lets a user log in at the foreign provider, by its own pages, and
// gives the answer of its token endpoint.
func (w *world) oidcLogin(issuer, user string, client oidcClient, extra map[string]string, edits ...func(*http.Request)) answer {
	w.t.Helper()
	query := url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {oidcCallback},
		"scope": {"openid email profile groups read"}, "state": {"s"},
		"code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}
	form := map[string]string{
		"grant_type": "authorization_code", "redirect_uri": oidcCallback, "code_verifier": verifier, "client_id": client.ID,
	}
	for name, value := range extra {
		query.Set(name, value)
		form[name] = value
	}
	form["code"] = w.oidcCode(issuer+"/auth?"+query.Encode(), user)
	if client.Secret != "" {
		form["client_secret"] = client.Secret
	}
	return w.post(issuer+"/token", form, edits...)
}

// oidcCode walks through the pages and gives the code.
func (w *world) oidcCode(page, user string) string {
	w.t.Helper()
	back, err := url.Parse(w.oidcPages(page, user, oidcCallback))
	if err != nil {
		w.t.Fatal(err)
	}
	return back.Query().Get("code")
}

// oidcPages walks through the provider's pages, as a browser without JavaScript
// does, until they lead to an address that begins with end.
func (w *world) oidcPages(page, user, end string) string {
	w.t.Helper()
	browser := *w.client
	browser.Jar, _ = cookiejar.New(nil)
	fields := url.Values(nil)
	for range 12 {
		request := w.pageRequest(page, fields)
		res, err := browser.Do(request)
		if err != nil {
			w.t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		w.saw(request, res)
		at, _ := url.Parse(page)
		switch {
		case res.StatusCode == http.StatusSeeOther || res.StatusCode == http.StatusFound:
			next, err := at.Parse(res.Header.Get("Location"))
			if err != nil {
				w.t.Fatal(err)
			}
			if strings.HasPrefix(next.String(), end) {
				return next.String()
			}
			page, fields = next.String(), nil
		case formAction.Match(body):
			next, err := at.Parse(html.UnescapeString(string(formAction.FindSubmatch(body)[1])))
			if err != nil {
				w.t.Fatal(err)
			}
			page, fields = next.String(), url.Values{"login": {user}, "password": {"x"}}
			if prompt := formPrompt.FindSubmatch(body); prompt != nil {
				fields.Set("prompt", string(prompt[1]))
			}
		default:
			w.t.Fatalf("%s: %d %s", page, res.StatusCode, body)
		}
	}
	w.t.Fatal("the provider's pages do not end")
	return ""
}

// saw notes what a browser sent and got.
func (w *world) saw(r *http.Request, res *http.Response) {
	w.note(func() {
		w.seen.request(r)
		w.seen.answer(answer{header: res.Header})
	})
}

func (w *world) pageRequest(page string, fields url.Values) *http.Request {
	w.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if fields != nil {
		method, body = http.MethodPost, strings.NewReader(fields.Encode())
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, page, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if fields != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// awaitHost waits for the certificate of a further site.
func (w *world) awaitHost(host string) {
	w.t.Helper()
	for deadline := time.Now().Add(certificateWait); w.answers(host) != nil; {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s does not answer: %v", host, w.answers(host))
		}
		time.Sleep(20 * time.Millisecond) // polling a real server: there is no clock to inject
	}
}
