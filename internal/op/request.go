package op

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// How long a login page may be used, and how long an authorization request may
// be (it travels in the page).
const (
	requestLife = 10 * time.Minute
	maxRequest  = 8 << 10
)

// Error codes of OpenID Connect Core §3.1.2.6 and RFC 6749 §4.1.2.1.
const (
	codeUnsupportedResponseType = "unsupported_response_type"
	codeLoginRequired           = "login_required"
	codeConsentRequired         = "consent_required"
	codeAccessDenied            = "access_denied"
)

// scopes that are understood; others are ignored (OpenID Connect Core §3.1.2.1).
var scopes = []string{scopeOpenID, "email", "profile", "groups", scopeOffline}

// authRequest is a valid authorization request. It is kept in the login page, in
// a sealed box: nobody can make us store something by asking alone.
type authRequest struct {
	ID        string   `json:"id"`
	Client    string   `json:"client"`
	Redirect  string   `json:"redirect"`
	State     string   `json:"state,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Challenge string   `json:"challenge"`
	Nonce     string   `json:"nonce,omitempty"`
	Prompt    []string `json:"prompt,omitempty"`
	MaxAge    int64    `json:"max_age"` // -1 = not asked for
	Hint      string   `json:"hint,omitempty"`
	// Session is the hash of the session that the page offers to go on with.
	Session string `json:"session,omitempty"`
	// Return is the page of our own that is opened after the login; then there is
	// no client, and Purpose says what the login is for.
	Return  string `json:"return,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	Expires int64  `json:"exp"`
}

// parseRequest reads what may be wrong and still be told to the client by
// redirect; client and redirect URI are known to be good.
func (p *Provider) parseRequest(f oauth.Form) (*authRequest, *oauth.Error) {
	req := &authRequest{
		ID: secret(), Client: f.Get("client_id"), Redirect: f.Get("redirect_uri"), State: f.Get("state"),
		Challenge: f.Get("code_challenge"), Nonce: f.Get("nonce"), Hint: f.Get("login_hint"),
		Prompt: strings.Fields(f.Get("prompt")), Expires: p.cfg.Now().Add(requestLife).Unix(),
	}
	if err := unsupported(f); err != nil {
		return req, err
	}
	if err := checkCodeRequest(f); err != nil {
		return req, err
	}
	if slices.Contains(req.Prompt, "none") && len(req.Prompt) > 1 {
		return req, oauth.Errorf(oauth.CodeInvalidRequest, "prompt=none stands alone")
	}
	var err *oauth.Error
	if req.Scope, err = parseScope(f.Get("scope")); err != nil {
		return req, err
	}
	req.MaxAge, err = parseMaxAge(f.Get("max_age"))
	return req, err
}

// unsupported refuses what would change the meaning of the request if it were
// ignored (OpenID Connect Core §6.1, §6.2, §7.2.1).
func unsupported(f oauth.Form) *oauth.Error {
	for _, name := range []string{"request", "request_uri", "registration"} {
		if f.Get(name) != "" {
			return oauth.Errorf(name+"_not_supported", "the parameter %s is not supported", name)
		}
	}
	if mode := f.Get("response_mode"); mode != "" && mode != "query" {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the only response_mode is query")
	}
	return nil
}

// checkCodeRequest checks what authorization and challenge endpoint have in
// common: the code flow, with PKCE for every client (RFC 9700 §2.1.1).
func checkCodeRequest(f oauth.Form) *oauth.Error {
	switch rt := f.Get("response_type"); {
	case rt == "":
		return oauth.Errorf(oauth.CodeInvalidRequest, "response_type is missing")
	case rt != "code":
		return oauth.Errorf(codeUnsupportedResponseType, "the only response_type is code")
	case f.Get("code_challenge") == "":
		return oauth.Errorf(oauth.CodeInvalidRequest, "code_challenge is missing")
	case f.Get("code_challenge_method") != "S256": // absent would mean plain (RFC 7636 §4.3)
		return oauth.Errorf(oauth.CodeInvalidRequest, "the only code_challenge_method is S256")
	case !isSecret(f.Get("code_challenge")): // also the form of a SHA-256
		return oauth.Errorf(oauth.CodeInvalidRequest, "code_challenge is not a SHA-256 in base64url")
	}
	return nil
}

// parseScope keeps what is understood, once and in our order.
func parseScope(s string) (string, *oauth.Error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' { // RFC 6749 §3.3
			return "", oauth.Errorf(oauth.CodeInvalidScope, "scope holds a character that is not allowed")
		}
	}
	asked := strings.Fields(s)
	var granted []string
	for _, scope := range scopes {
		if slices.Contains(asked, scope) {
			granted = append(granted, scope)
		}
	}
	return strings.Join(granted, " "), nil
}

func parseMaxAge(s string) (int64, *oauth.Error) {
	if s == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return -1, oauth.Errorf(oauth.CodeInvalidRequest, "max_age is not a number of seconds")
	}
	return int64(n), nil
}

// pageData binds the sealed request to its purpose, to us and to one browser: it
// is the CSRF token of the page, too.
func (p *Provider) pageData(browser string) []string {
	return []string{"op login page", p.cfg.Issuer, browser}
}

// sealRequest makes the text that the page carries.
func (p *Provider) sealRequest(ctx context.Context, req *authRequest, browser string) (string, error) {
	return p.sealJSON(ctx, req, p.pageData(browser)...)
}

// openRequest reads it back; nil if it is none of ours, of another browser, or
// for a client that is gone. fresh tells whether the page may still be used; if
// not, the request can be made again.
func (p *Provider) openRequest(ctx context.Context, text, browser string) (req *authRequest, fresh bool) {
	req = new(authRequest)
	if err := p.openJSON(ctx, text, req, p.pageData(browser)...); err != nil {
		return nil, false
	}
	if c, ok := p.client(req.Client); req.Return == "" && (!ok || !c.accepts(req.Redirect)) {
		return nil, false
	}
	return req, p.cfg.Now().Unix() < req.Expires
}

// restart is where the same request begins anew.
func (p *Provider) restart(req *authRequest) string {
	if req.Return != "" {
		return req.Return
	}
	return p.path("authorize") + "?" + req.again(strings.Join(req.Prompt, " "))
}

// again is the same request with another prompt, as a query.
func (req *authRequest) again(prompt string) string {
	v := url.Values{
		"response_type": {"code"}, "client_id": {req.Client}, "redirect_uri": {req.Redirect},
		"code_challenge": {req.Challenge}, "code_challenge_method": {"S256"},
	}
	for name, value := range map[string]string{"prompt": prompt, "state": req.State, "scope": req.Scope, "nonce": req.Nonce} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if req.MaxAge >= 0 {
		v.Set("max_age", strconv.FormatInt(req.MaxAge, 10))
	}
	return v.Encode()
}

// subjectID is a stable, opaque identifier of a user (OpenID Connect Core §8).
func (p *Provider) subjectID(name string) string {
	return base64.RawURLEncoding.EncodeToString(sum(p.cfg.Issuer + "\x00" + name))[:22]
}
