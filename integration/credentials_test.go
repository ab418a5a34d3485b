package integration_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// credentials are all that went over the wire in a test. None of them may be in a
// log (SEC-22).
type credentials map[credential]bool

// credential is a value and the name of the parameter that held it.
type credential struct{ name, value string }

// secretParams are parameters of forms and members of answers.
var secretParams = []string{
	"access_token", "refresh_token", "pct", "rpt", "ticket", "id_token", "claim_token", "pushed_claims", "subject_token",
	"token", "client_secret", "client_assertion", "registration_access_token", "password", "code", "authorization_code", "code_verifier",
	"device_code", "user_code", "consent_uri", "id_token_hint", "request",
}

// openParams are parameters of queries that anybody may know, and addresses, which
// are no credentials: the configuration, which Caddy prints at DEBUG, has some.
var openParams = []string{"client_id", "code_challenge", "grant_type", "login_hint", "nonce", "post_logout_redirect_uri", "redirect_uri", "rel", "resource", "scope"}

// add takes in what is long enough to be no word of a test's own. The code of a
// device is short, and has a form without its hyphen.
func (c credentials) add(name, value string) {
	short := name == "user_code" || name == "query user_code"
	if len(value) >= 16 || short && len(value) >= 8 {
		c[credential{name, value}] = true
	}
	if short && strings.Contains(value, "-") {
		c.add(name, strings.ReplaceAll(value, "-", ""))
	}
}

func (c credentials) request(r *http.Request) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	c.add("Authorization "+scheme, rest)
	if raw, err := base64.StdEncoding.DecodeString(rest); err == nil && scheme == "Basic" {
		_, secret, _ := strings.Cut(string(raw), ":")
		c.add("secret", secret)
	}
	c.add(oauth.HeaderDPoP, r.Header.Get(oauth.HeaderDPoP))
	for name, values := range r.URL.Query() { // a hint of logout, a consent link
		if !slices.Contains(openParams, name) {
			c.add("query "+name, values[0])
		}
	}
	if r.GetBody == nil {
		return
	}
	body, err := r.GetBody()
	if err != nil {
		return
	}
	text, _ := io.ReadAll(body)
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return
	}
	for _, name := range secretParams {
		c.add(name, form.Get(name))
	}
}

func (c credentials) answer(a answer) {
	if to, err := url.Parse(a.header.Get("Location")); err == nil {
		c.add("code", to.Query().Get("code"))
	}
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		// The foreign provider has the value of these in its paths; they are worth
		// nothing without the cookies that sign them.
		if cookie.Name != "_interaction" && cookie.Name != "_interaction_resume" {
			c.add("cookie "+cookie.Name, cookie.Value)
		}
	}
	for _, name := range secretParams {
		c.add(name, a.get(name))
	}
	challenges, err := oauth.ParseChallenges(a.header.Values("WWW-Authenticate"))
	if err != nil {
		return
	}
	for _, challenge := range challenges {
		c.add("ticket", challenge.Get("ticket"))
	}
}

// searchLog looks for every credential in the log of DEBUG.
func (w *world) searchLog() {
	log, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		w.t.Error(err)
		return
	}
	if found := w.seen.in(string(log)); found != "" {
		w.t.Errorf("SEC-22: in the log: %s", found)
	}
}

// in says where a credential stands in a log or another text; "" = nowhere.
func (c credentials) in(text string) string {
	for secret := range c {
		for _, form := range secret.forms() {
			if i := strings.Index(text, form); i >= 0 {
				return secret.name + ": …" + text[max(0, i-200):min(len(text), i+300)]
			}
		}
	}
	return ""
}

// forms are what gives a credential away: a part of it that is long enough to be
// used, as it is or escaped. The header of a JWT says nothing.
func (c credential) forms() []string {
	parts := []string{c.value}
	if strings.HasPrefix(c.value, "eyJ") {
		parts = slices.DeleteFunc(strings.Split(c.value, ".")[1:], func(part string) bool { return len(part) < 16 })
	}
	var all []string
	for _, part := range parts {
		quoted, _ := json.Marshal(part)
		for _, form := range []string{part, url.QueryEscape(part), url.PathEscape(part), strings.Trim(string(quoted), `"`), base64.RawURLEncoding.EncodeToString([]byte(part))} {
			if !slices.Contains(all, form) {
				all = append(all, form)
			}
		}
	}
	return all
}
