package rqp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// LoginConfig describes a login with a password at an embedded provider.
type LoginConfig struct {
	// Issuer of the provider, Learned if FindSTS gave it.
	Issuer  string
	Learned bool
	// Provider is the issuer of access tokens, if it is another one: a security
	// token service beside an OpenID provider issues none. Default: what the metadata
	// of Issuer say (subject_token_issuers_supported).
	Provider string
	// Scopes are asked for besides openid, email and offline_access, where the
	// provider wants a scope to make tokens for Issuer, and not its name as resource
	// (RFC 8707).
	Scopes []string
	// ClientID must be a first-party client there for PasswordLogin. Default:
	// caddy-uma.
	ClientID, ClientSecret string
	User, Password         string
	// Ask gives the password instead, when it is clear that the provider takes one:
	// nobody should type it for nothing.
	Ask func(ctx context.Context) (string, error)
	// Scope defaults to "openid email profile".
	Scope string
	// HTTPClient and Network are as in Config.
	HTTPClient *http.Client
	Network    Network
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Wait waits between two questions of DeviceLogin. Default: a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

const nameLogin = "the login"

// PasswordLogin logs a user in at the authorization challenge endpoint of his
// provider (draft-ietf-oauth-first-party-apps) and gives his access token.
func PasswordLogin(ctx context.Context, cfg LoginConfig) (token string, expires time.Time, err error) {
	l, err := newLogin(cfg)
	if err != nil {
		return "", time.Time{}, at(0, nameLogin, err)
	}
	defer l.net.done()
	if err := l.endpoints(ctx); err != nil {
		return "", time.Time{}, at(0, nameLogin, err)
	}
	if l.cfg.Password == "" && l.cfg.Ask != nil {
		if l.cfg.Password, err = l.cfg.Ask(ctx); err != nil {
			return "", time.Time{}, at(0, nameLogin, &StepError{Code: CodeNoIdentity, Err: err})
		}
	}
	code, err := l.code(ctx)
	if err != nil {
		return "", time.Time{}, at(0, nameLogin, err)
	}
	token, expires, err = l.token(ctx, code)
	if err != nil {
		return "", time.Time{}, at(0, nameLogin, err)
	}
	return token, expires, nil
}

type login struct {
	cfg                   LoginConfig
	issuer                *url.URL
	net                   *network
	creds                 credentials
	challengeURL, codeURL *url.URL
	verifier              string
	resource              string // "" = the provider knows what its tokens are for
}

func newLogin(cfg LoginConfig) (*login, error) {
	issuer, err := oauth.ParseIssuer(cfg.Issuer)
	if err != nil {
		return nil, untrusted("--sts with an https URL", "the issuer of the provider %s", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = sleep
	}
	if cfg.Scope == "" {
		cfg.Scope = "openid email profile"
	}
	if cfg.ClientID == "" {
		cfg.ClientID = DefaultClientID
	}
	l := &login{cfg: cfg, issuer: issuer, creds: credentials{cfg.ClientID, cfg.ClientSecret}, verifier: rand.Text() + rand.Text()}
	var named []string
	if !cfg.Learned {
		named = []string{cfg.Issuer}
	}
	if cfg.Provider != "" {
		named = append(named, cfg.Provider)
	}
	l.net = newNetwork(Config{HTTPClient: cfg.HTTPClient, Network: cfg.Network}, named)
	return l, nil
}

// endpoints come from the provider's metadata. The password goes to the origin
// of the issuer and nowhere else.
func (l *login) endpoints(ctx context.Context) error {
	doc, err := fetchMetadata(ctx, l.net, l.cfg.Issuer, oauth.WellKnownOpenID, nil)
	if err != nil {
		return err
	}
	if doc.AuthorizationChallengeEndpoint == "" {
		return untrusted("caddy uma login --user "+plain(l.cfg.User, 200)+", or --access-token @file with a token that you got from it in another way",
			"%s takes no passwords of programs", plain(l.cfg.Issuer, 200))
	}
	if l.challengeURL, err = endpoint(doc, "authorization_challenge_endpoint", doc.AuthorizationChallengeEndpoint); err != nil {
		return err
	}
	if l.codeURL, err = endpoint(doc, "token_endpoint", doc.TokenEndpoint); err != nil {
		return err
	}
	if !oauth.SameOrigin(l.issuer, l.challengeURL) || !oauth.SameOrigin(l.issuer, l.codeURL) {
		return untrusted("", "the endpoints of %s are at another origin", plain(l.cfg.Issuer, 200))
	}
	return nil
}

// code: the first request of the draft has everything in it.
func (l *login) code(ctx context.Context) (string, error) {
	sum := sha256.Sum256([]byte(l.verifier))
	a, err := post(ctx, l.net.pick(l.challengeURL, nil), l.challengeURL, url.Values{
		"response_type":         {"code"},
		"scope":                 {l.cfg.Scope},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"}, // RFC 7636 §4.3
		"username":              {l.cfg.User},
		"password":              {l.cfg.Password},
	}, l.creds)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		e, _ := a.refused()
		e.Hint = "the password once more, and whether " + plain(l.cfg.ClientID, 60) + " is a first-party client of the provider"
		return "", e
	}
	var answer struct {
		Code string `json:"authorization_code"`
	}
	if err := a.decode(&answer); err != nil {
		return "", err
	}
	if answer.Code == "" {
		return "", badAnswer(a.from, a.status, "no authorization_code in it")
	}
	return answer.Code, nil
}

func (l *login) token(ctx context.Context, code string) (string, time.Time, error) {
	a, err := post(ctx, l.net.pick(l.codeURL, nil), l.codeURL, url.Values{
		"grant_type":    {oauth.GrantAuthorizationCode},
		"code":          {code},
		"code_verifier": {l.verifier}, // RFC 7636 §4.5
	}, l.creds)
	if err != nil {
		return "", time.Time{}, err
	}
	if a.status != http.StatusOK {
		e, _ := a.refused()
		return "", time.Time{}, e
	}
	var t oauth.TokenResponse
	if err := a.decode(&t); err != nil {
		return "", time.Time{}, err
	}
	if !isToken(t.AccessToken) || !strings.EqualFold(t.TokenType, "Bearer") {
		return "", time.Time{}, badAnswer(a.from, a.status, "no access token in it")
	}
	return t.AccessToken, l.cfg.Now().Add(time.Duration(max(0, min(t.ExpiresIn, 24*3600))) * time.Second), nil
}
