package op

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// deviceAnswer is a device authorization response (RFC 8628 §3.2).
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// deviceAuthorization is the device authorization endpoint (RFC 8628 §3.1).
func (p *Provider) deviceAuthorization(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	answer, err := p.authorizeDevice(r)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, answer)
}

// authorizeDevice limits first, because public clients need no credentials.
func (p *Provider) authorizeDevice(r *http.Request) (*deviceAnswer, error) {
	if ok, wait := p.devices.sources.Allow(p.source(r)); !ok {
		return nil, oauth.TooMany(wait)
	}
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return nil, err
	}
	client, err := p.cfg.Authenticate(r, form)
	if err != nil {
		return nil, err
	}
	scope, bad := parseScope(form.Get("scope"))
	if bad != nil {
		return nil, bad
	}
	if ok, wait := p.devices.clients.Allow(client.ID); !ok {
		return nil, oauth.TooMany(wait)
	}
	return p.newDevice(r, client, scope)
}

// slotTries is how many codes are tried until one falls into a free slot.
const slotTries = 8

// newDevice records a device that waits.
func (p *Provider) newDevice(r *http.Request, client clientauth.Client, scope string) (*deviceAnswer, error) {
	for range slotTries {
		answer, err := p.tryDevice(r, grant{Client: client.ID, Scope: scope})
		switch {
		case errors.Is(err, store.ErrExists):
			continue
		case err != nil:
			return nil, p.unavailable("device code", err)
		}
		return answer, nil
	}
	return nil, p.unavailable("device code", errFull)
}

func (p *Provider) tryDevice(r *http.Request, g grant) (*deviceAnswer, error) {
	code, expires := newUserCode(), p.cfg.Now().Add(deviceLife)
	device := deviceCode{ID: secret(), Slot: slot(code), Client: g.Client, Expires: expires.Unix()}
	sealed, err := p.sealJSON(r.Context(), device, p.deviceData()...)
	if err != nil {
		return nil, err
	}
	doc, err := document(p.deviceKey(device.Slot), "", expires, deviceRecord{
		version: version{currentVersion}, Code: hashID(code), Device: hashID(device.ID), grant: g,
	})
	if err != nil {
		return nil, err
	}
	return &deviceAnswer{
		DeviceCode: sealed, UserCode: showCode(code),
		URI: p.url("device"), Complete: p.url("device") + "?user_code=" + showCode(code),
		ExpiresIn: int64(deviceLife / time.Second), Interval: int64(pollInterval / time.Second),
	}, p.commit(r.Context(), store.Create(doc))
}
