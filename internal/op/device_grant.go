package op

import (
	"context"
	"errors"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Error codes of RFC 8628 §3.5.
const (
	codeAuthorizationPending = "authorization_pending"
	codeExpiredToken         = "expired_token"
)

// redeemDevice is the device_code grant (RFC 8628 §3.4): the device asks again and
// again what its user has decided. Its tokens are recorded, and the code spent,
// in one commit: of two who ask at once, at any node, one gets them.
func (p *Provider) redeemDevice(ctx context.Context, req tokenRequest) (*oauth.TokenResponse, error) {
	code, err := p.openDevice(ctx, req)
	if err != nil {
		return nil, err
	}
	record, doc, err := p.findDevice(ctx, code.Slot, func(d *deviceRecord) bool { return equalHash(d.Device, hashID(code.ID)) })
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, spentDevice()
	case err != nil:
		return nil, p.unavailable("device code", err)
	case record.State == devicePending:
		return nil, oauth.Errorf(codeAuthorizationPending, "the user has not decided yet")
	case record.State != deviceApproved || p.user(record.User) == nil:
		return nil, p.refuseDevice(ctx, doc)
	}
	return p.mintDevice(ctx, req, record, doc, hashID(code.ID))
}

// openDevice reads a device code: it is of use to the client it was issued to
// (RFC 8628 §3.4), for ten minutes, and not more often than was agreed.
func (p *Provider) openDevice(ctx context.Context, req tokenRequest) (deviceCode, error) {
	var code deviceCode
	if req.form.Get("device_code") == "" {
		return code, oauth.Errorf(oauth.CodeInvalidRequest, "device_code is missing")
	}
	err := p.openJSON(ctx, req.form.Get("device_code"), &code, p.deviceData()...)
	switch {
	case err != nil, code.Client != req.client:
		return code, spentDevice()
	case p.cfg.Now().Unix() >= code.Expires:
		return code, oauth.Errorf(codeExpiredToken, "the device code has expired")
	case p.devices.tooFast(hashID(code.ID), p.cfg.Now()):
		return code, oauth.Errorf(oauth.CodeSlowDown, "the device asks too often")
	}
	return code, nil
}

func (p *Provider) mintDevice(ctx context.Context, req tokenRequest, record *deviceRecord, doc store.Doc, origin string) (*oauth.TokenResponse, error) {
	answer, ops, err := p.mint(ctx, req, record.grant, "", origin)
	if err != nil {
		return nil, err
	}
	err = p.commit(ctx, append(ops, store.Delete(doc.Key, doc.Rev))...)
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return nil, spentDevice()
	case err != nil:
		return nil, p.unavailable("access token", err)
	}
	return answer, nil
}

// refuseDevice ends the waiting of a device that its user does not want.
func (p *Provider) refuseDevice(ctx context.Context, doc store.Doc) error {
	err := p.commit(ctx, store.Delete(doc.Key, doc.Rev))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return p.unavailable("device code", err)
	}
	return oauth.Errorf(codeAccessDenied, "the user has refused")
}

func spentDevice() *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidGrant, "the device code is unknown or used, or does not belong to this client")
}
