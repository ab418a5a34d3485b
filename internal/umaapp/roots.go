package umaapp

import (
	"crypto/x509"
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddypki"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// provisionRoots fills a.roots; nil is the system's set. The app `pki` is
// touched only when trust_internal_ca asks for it, because provisioning it makes
// a CA and starting it may change the system's trust store.
func (a *App) provisionRoots() error {
	switch {
	case a.TrustPoolRaw != nil:
		return a.exactRoots()
	case a.TrustInternalCA != "":
		return a.addInternalCA()
	}
	return nil
}

func (a *App) exactRoots() error {
	mod, err := a.ctx.LoadModule(a, "TrustPoolRaw")
	if err != nil {
		return fmt.Errorf("uma: trust_pool: %w", err)
	}
	ca, ok := mod.(caddytls.CA)
	if !ok {
		return fmt.Errorf("uma: trust_pool: %T is no source of CAs", mod)
	}
	a.roots = ca.CertPool()
	return nil
}

func (a *App) addInternalCA() error {
	app, err := a.ctx.App("pki")
	if err != nil {
		return fmt.Errorf("uma: trust_internal_ca: %w", err)
	}
	ca, err := app.(*caddypki.PKI).GetCA(a.ctx, a.TrustInternalCA)
	if err != nil {
		return fmt.Errorf("uma: trust_internal_ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return fmt.Errorf("uma: trust_internal_ca: the system's CAs: %w", err)
	}
	roots.AddCert(ca.RootCertificate())
	a.roots = roots
	return nil
}
