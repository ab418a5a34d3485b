package rqp_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// provider makes the STS of a world one with logins; claims change its ID token.
func (w *world) provider(claims map[string]any, nonce *string, errs ...string) rqp.LoginConfig {
	w.t.Helper()
	key := josetest.NewKey("ES256", "k")
	w.doc(sts, "openid-configuration", map[string]any{
		"issuer": sts, "token_endpoint": sts + "/tok", "authorization_endpoint": sts + "/authorize", "jwks_uri": sts + "/jwks",
		"device_authorization_endpoint": sts + "/device", "revocation_endpoint": sts + "/revoke",
		"scopes_supported": []string{"openid", "email"}, "authorization_response_iss_parameter_supported": true,
	})
	w.on(sts+"/jwks", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write(josetest.JWKS(key.JWK(nil)))
	})
	w.on(sts+"/device", func(rw http.ResponseWriter, _ *http.Request) {
		oauth.WriteJSON(rw, 200, map[string]any{"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": sts + "/d", "expires_in": 600, "interval": 2})
	})
	w.on(sts+"/tok", func(rw http.ResponseWriter, _ *http.Request) {
		if len(errs) > 0 {
			code := errs[0]
			errs = errs[1:]
			oauth.WriteJSON(rw, 400, map[string]string{"error": code})
			return
		}
		body := map[string]any{"iss": sts, "aud": "caddy-uma", "exp": time.Now().Add(time.Hour).Unix(), "email": "Bob@bob.example"}
		if *nonce != "" {
			body["nonce"] = *nonce
		}
		maps.Copy(body, claims)
		oauth.WriteJSON(rw, 200, map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 300, "refresh_token": "rt", "id_token": key.Sign(nil, body)})
	})
	return rqp.LoginConfig{Issuer: sts, User: "bob@bob.example", Network: w.network}
}

// TestOA_28_BrowserLogin: each accepted case has a rejected neighbour.
func TestOA_28_BrowserLogin(t *testing.T) {
	for name, tc := range map[string]struct {
		claims map[string]any
		iss    string
		want   string
	}{
		"good":             {nil, sts, ""},
		"iss of another":   {nil, evil, "not of " + sts},
		"iss missing":      {nil, "", "not of " + sts},
		"iss twice":        {nil, sts + "&iss=" + sts, "not of " + sts},
		"somebody else":    {map[string]any{"email": "eve@bob.example"}, sts, "somebody else"},
		"another client":   {map[string]any{"aud": "other"}, sts, "another client"},
		"another issuer":   {map[string]any{"iss": evil}, sts, "another issuer"},
		"another login":    {map[string]any{"nonce": "x"}, sts, "another login"},
		"expired ID token": {map[string]any{"exp": 1}, sts, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			w, nonce := newWorld(t), ""
			s, err := rqp.BrowserLogin(t.Context(), w.provider(tc.claims, &nonce), func(address string) {
				u, err := url.Parse(address)
				if err != nil {
					t.Error(err)
				}
				q := u.Query()
				nonce = q.Get("nonce")
				if q.Get("scope") != "openid email" || q.Get("code_challenge_method") != "S256" {
					t.Errorf("asked with %v", q)
				}
				back := url.Values{"state": {"wrong"}, "code": {"c"}}
				if got := visit(t, q.Get("redirect_uri")+"?"+back.Encode()); got != 404 {
					t.Errorf("wrong state: %d", got)
				}
				back.Set("state", q.Get("state"))
				if tc.iss != "" {
					back["iss"] = strings.Split(tc.iss, "&iss=")
				}
				visit(t, q.Get("redirect_uri")+"?"+back.Encode())
			})
			if tc.want == "" && (err != nil || s.AccessToken != "at" || s.RefreshToken != "rt") {
				t.Fatalf("%v %v", s, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func visit(t *testing.T, address string) int {
	t.Helper()
	res, err := new(http.Client).Get(address)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func TestDeviceLogin(t *testing.T) {
	for name, tc := range map[string]struct {
		errs  []string
		waits []time.Duration
		want  string
	}{
		"pending, slow down": {[]string{"authorization_pending", "slow_down"}, []time.Duration{2e9, 2e9, 7e9}, ""},
		"denied":             {[]string{"access_denied"}, []time.Duration{2e9}, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			w, nonce := newWorld(t), ""
			cfg := w.provider(nil, &nonce, tc.errs...)
			var waits []time.Duration
			cfg.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
			shown := ""
			_, err := rqp.DeviceLogin(t.Context(), cfg, func(p rqp.DevicePrompt) { shown = p.Code })
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) || shown != "BCDF-GHJK" {
				t.Fatalf("%q %v", shown, err)
			}
			if len(waits) != len(tc.waits) || waits[len(waits)-1] != tc.waits[len(waits)-1] {
				t.Errorf("waited %v", waits)
			}
		})
	}
}

// TestDeviceLogin_Page: nobody is sent to a page that is not https.
func TestDeviceLogin_Page(t *testing.T) {
	for _, change := range []map[string]any{
		{"verification_uri": "http://" + "sts.example/d"}, {"verification_uri": "javascript:x"}, {"verification_uri_complete": "https://bob@sts.example/d"},
	} {
		w, nonce := newWorld(t), ""
		cfg := w.provider(nil, &nonce)
		w.on(sts+"/device", func(rw http.ResponseWriter, _ *http.Request) {
			body := map[string]any{"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": sts + "/d", "expires_in": 600}
			maps.Copy(body, change)
			oauth.WriteJSON(rw, 200, body)
		})
		if _, err := rqp.DeviceLogin(t.Context(), cfg, func(rqp.DevicePrompt) { t.Errorf("%v: shown", change) }); err == nil {
			t.Errorf("%v was taken", change)
		}
	}
}

func TestConsentRequired(t *testing.T) {
	for uri, want := range map[string]string{sts + "/consent?x=1": sts + "/consent?x=1", evil + "/consent": ""} {
		w := newWorld(t)
		w.on(sts+"/token", func(rw http.ResponseWriter, _ *http.Request) {
			oauth.WriteJSON(rw, 403, map[string]string{"error": "consent_required", "consent_uri": uri})
		})
		client, err := rqp.New(rqp.Config{STS: sts, Network: w.network, AccessToken: func(context.Context) (string, error) { return "at", nil }})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, rs+"/", http.NoBody)
		res, err := client.Do(req)
		if res != nil {
			_ = res.Body.Close()
		}
		e, ok := errors.AsType[*rqp.StepError](err)
		if !ok || e.Step != 4 || e.ConsentURI != want {
			t.Errorf("%s: %+v", uri, err)
		}
	}
}

// TestPasswordLogin_Ask: nobody types a password for a provider that takes none.
func TestPasswordLogin_Ask(t *testing.T) {
	w, nonce := newWorld(t), ""
	cfg := w.provider(nil, &nonce)
	cfg.Ask = func(context.Context) (string, error) {
		t.Error("the password was asked for")
		return "", nil
	}
	if _, _, err := rqp.PasswordLogin(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "takes no passwords") {
		t.Fatal(err)
	}
	w.doc(sts, "openid-configuration", map[string]any{
		"issuer": sts, "token_endpoint": sts + "/tok", "authorization_challenge_endpoint": sts + "/challenge",
	})
	w.on(sts+"/challenge", func(rw http.ResponseWriter, r *http.Request) {
		if r.FormValue("password") != "secret of bob" {
			t.Errorf("password %q", r.FormValue("password"))
		}
		oauth.WriteJSON(rw, 200, map[string]string{"authorization_code": "c"})
	})
	cfg.Ask = func(context.Context) (string, error) { return "secret of bob", nil }
	if token, _, err := rqp.PasswordLogin(t.Context(), cfg); err != nil || token != "at" {
		t.Fatalf("%q, %v", token, err)
	}
	cfg.Ask = func(context.Context) (string, error) { return "", errors.New("no terminal") }
	if _, _, err := rqp.PasswordLogin(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no terminal") {
		t.Fatal(err)
	}
}

// TestBrowserLogin_AtTheProvider: a service that issues no access tokens names who
// does. Tokens are asked for in its name, or by scopes.
func TestBrowserLogin_AtTheProvider(t *testing.T) {
	const service = otherAS // a host of the world that has no other part here
	beside := func(w *world, issuers ...string) {
		w.doc(service, "openid-configuration", map[string]any{
			"issuer": service, "token_endpoint": service + "/token", "subject_token_issuers_supported": issuers,
		})
	}
	for name, tc := range map[string]struct {
		claims          map[string]any
		issuers, scopes []string
		provider        string
		resource, scope string
		want            string
	}{
		"its only provider":      {nil, []string{sts}, nil, "", service, "openid email", ""},
		"no address is told":     {map[string]any{"email": ""}, []string{sts}, nil, "", service, "openid email", ""},
		"another address":        {map[string]any{"email": "eve@bob.example"}, []string{sts}, nil, "", service, "openid email", "somebody else"},
		"an ID token of service": {map[string]any{"iss": service}, []string{sts}, nil, "", service, "openid email", "another issuer"},
		"by a scope":             {nil, []string{sts}, []string{"api://x"}, "", "", "openid email api://x", ""},
		"one of two, named":      {nil, []string{evil, sts}, nil, sts, service, "openid email", ""},
		"one of two":             {nil, []string{evil, sts}, nil, "", "", "", "several providers"},
		"not https":              {nil, []string{"http://op.example"}, nil, "", "", "", "no https URL"},
		"nobody":                 {nil, nil, nil, "", "", "", "authorization_endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			w, nonce := newWorld(t), ""
			cfg := w.provider(tc.claims, &nonce)
			beside(w, tc.issuers...)
			cfg.Issuer, cfg.Provider, cfg.Scopes = service, tc.provider, tc.scopes
			s, err := rqp.BrowserLogin(t.Context(), cfg, func(address string) {
				u, _ := url.Parse(address)
				q := u.Query()
				if q.Get("resource") != tc.resource || q.Get("scope") != tc.scope || !strings.HasPrefix(address, sts+"/") {
					t.Errorf("asked with %s", address)
				}
				nonce = q.Get("nonce")
				visit(t, q.Get("redirect_uri")+"?"+url.Values{"state": {q.Get("state")}, "code": {"c"}, "iss": {sts}}.Encode())
			})
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("error %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil || s.Issuer != service || s.Provider != sts {
				t.Fatalf("%+v, %v", s, err)
			}
			if _, err := rqp.Refresh(t.Context(), rqp.LoginConfig{Issuer: service, Network: w.network}, *s); err != nil {
				t.Error(err)
			}
		})
	}
}
