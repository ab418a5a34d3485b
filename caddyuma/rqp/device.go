package rqp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// DevicePrompt is what the user needs on another device (RFC 8628 §3.2).
type DevicePrompt struct {
	Code, URI, Complete string
	Expires             time.Time
}

type deviceAnswer struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Life     int64  `json:"expires_in"`
	Interval int64  `json:"interval"`
}

// DeviceLogin logs a user in with a browser on another device (RFC 8628). show
// is given what he has to open there.
func DeviceLogin(ctx context.Context, cfg LoginConfig, show func(DevicePrompt)) (*Session, error) {
	l, err := newLogin(cfg)
	if err != nil {
		return nil, at(0, nameLogin, err)
	}
	defer l.net.done()
	s, err := l.device(ctx, show)
	if err != nil {
		return nil, at(0, nameLogin, err)
	}
	return s, nil
}

func (l *login) device(ctx context.Context, show func(DevicePrompt)) (*Session, error) {
	doc, err := l.discover(ctx)
	if err != nil {
		return nil, err
	}
	if doc.DeviceAuthorizationEndpoint == "" {
		return nil, untrusted("caddy uma login on a machine with a browser, without --device", "%s has no login for devices", plain(l.tokenIssuer(), 200))
	}
	d, err := l.askDevice(ctx, doc)
	if err != nil {
		return nil, err
	}
	until := l.cfg.Now().Add(time.Duration(min(d.Life, 3600)) * time.Second)
	show(DevicePrompt{Code: plain(d.User, 40), URI: plain(d.URI, 500), Complete: plain(d.Complete, 500), Expires: until})
	t, err := l.poll(ctx, d, until)
	if err != nil {
		return nil, err
	}
	if err := l.verified(ctx, doc, t, ""); err != nil { // there is no nonce in RFC 8628
		return nil, err
	}
	return l.session(t), nil
}

func (l *login) askDevice(ctx context.Context, doc *oauth.Metadata) (d deviceAnswer, err error) {
	u, err := endpoint(doc, "device_authorization_endpoint", doc.DeviceAuthorizationEndpoint)
	if err != nil {
		return d, err
	}
	a, err := post(ctx, l.net.pick(u, nil), u, l.forService(url.Values{"scope": {l.scope(doc)}}), l.creds)
	if err != nil {
		return d, err
	}
	if a.status != http.StatusOK {
		e, _ := a.refused()
		return d, e
	}
	if err := a.decode(&d); err != nil {
		return d, err
	}
	if d.Device == "" || d.User == "" || !isPage(d.URI) || d.Complete != "" && !isPage(d.Complete) || d.Life <= 0 {
		return d, badAnswer(u, a.status, "no code for a device in it")
	}
	return d, nil
}

// isPage tells whether an address is fit to be opened by somebody who is asked to
// log in there.
func isPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// poll asks until the user has decided (RFC 8628 §3.5).
func (l *login) poll(ctx context.Context, d deviceAnswer, until time.Time) (*oauth.TokenResponse, error) {
	pause := 5 * time.Second // RFC 8628 §3.2: the default
	if d.Interval > 0 {
		pause = time.Duration(min(d.Interval, 60)) * time.Second
	}
	for l.cfg.Now().Before(until) {
		if err := l.cfg.Wait(ctx, pause); err != nil {
			return nil, &StepError{Code: CodeNoIdentity, Description: "the login was not finished", Err: err}
		}
		t, err := l.tokens(ctx, url.Values{"grant_type": {oauth.GrantDeviceCode}, "device_code": {d.Device}})
		e, refused := errors.AsType[*StepError](err)
		switch {
		case err == nil:
			return t, nil
		case refused && e.Code == "authorization_pending":
		case refused && e.Code == oauth.CodeSlowDown:
			pause += 5 * time.Second // RFC 8628 §3.5
		default:
			return nil, err
		}
	}
	return nil, &StepError{Code: CodeNoIdentity, Description: "nobody entered the code in time", Hint: "the login once more"}
}

// sleep waits by the clock.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
