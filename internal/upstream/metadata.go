package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// document is what we need of the provider's metadata (OpenID Connect Discovery
// §3, RFC 8414 §2).
type document struct {
	Issuer                string `json:"issuer"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	UserinfoEndpoint      string `json:"userinfo_endpoint"`
}

// metadata is fetched at first use and again when it is old. A failure is
// remembered for a moment; an old document is better than none.
type metadata struct {
	flight singleflight.Group

	mu     sync.Mutex
	known  *document
	at     time.Time // of known
	failed time.Time
	err    error
}

// metadata gives the provider's metadata.
func (u *Upstream) metadata(ctx context.Context) (*document, error) {
	if doc, err, ok := u.meta.now(u.cfg.Now()); ok {
		return doc, err
	}
	ch := u.meta.flight.DoChan("", func() (any, error) {
		// The question before may have ended since nothing was known.
		if doc, err, ok := u.meta.now(u.cfg.Now()); ok {
			return doc, err
		}
		// One caller's cancelling must not fail those who wait for the same answer.
		doc, err := u.fetchMetadata(context.WithoutCancel(ctx))
		return u.meta.put(doc, err, u.cfg.Now())
	})
	select {
	case result := <-ch:
		doc, _ := result.Val.(*document)
		return doc, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *metadata) now(now time.Time) (*document, error, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.known != nil && now.Sub(m.at) < metadataAge:
		return m.known, nil, true
	case now.Sub(m.failed) < failurePause:
		return m.known, m.lastly(), true
	}
	return nil, nil, false
}

// lastly is the last failure, unless there is an old document. The caller holds mu.
func (m *metadata) lastly() error {
	if m.known != nil {
		return nil
	}
	return m.err
}

func (m *metadata) put(doc *document, err error, now time.Time) (*document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.failed, m.err = now, err
		return m.known, m.lastly()
	}
	m.known, m.at = doc, now
	return doc, nil
}

func (u *Upstream) metadataURL() string {
	return strings.TrimSuffix(u.cfg.Issuer, "/") + "/.well-known/" + oauth.WellKnownOpenID
}

func (u *Upstream) fetchMetadata(ctx context.Context) (*document, error) {
	body, err := u.get(ctx, u.metadataURL(), maxAnswer)
	if err == nil {
		doc := new(document)
		if err = oauth.DecodeObject(body, doc); err == nil {
			err = u.checkDocument(doc)
		}
		if err == nil {
			return doc, nil
		}
	}
	err = fmt.Errorf("the metadata of the provider: %w", err)
	u.cfg.Log.Error("an upstream provider cannot be used", zap.String("iss", u.cfg.Issuer), zap.Error(err))
	return nil, err
}

// checkDocument: OpenID Connect Discovery §4.3, CONFORMANCE OD-14. Endpoints may be
// at any https host: the provider, which the administrator named, says where it
// wants to be asked, and what is sent there (tokens that it issued, credentials
// that it gave us) is its own. Redirects are not followed.
func (u *Upstream) checkDocument(doc *document) error {
	if doc.Issuer != u.cfg.Issuer {
		return &issuerError{cut(doc.Issuer)}
	}
	for name, uri := range map[string]string{
		"jwks_uri": doc.JWKSURI, "introspection_endpoint": doc.IntrospectionEndpoint, "userinfo_endpoint": doc.UserinfoEndpoint,
	} {
		if uri != "" && !isHTTPS(uri) {
			return fmt.Errorf("its %s is no https URL", name)
		}
	}
	switch {
	case u.cfg.Check == CheckJWT && doc.JWKSURI == "":
		return errors.New("it has no jwks_uri")
	case u.cfg.Check == CheckIntrospection && doc.IntrospectionEndpoint == "":
		return errors.New("it has no introspection_endpoint")
	case u.cfg.Check == CheckUserinfo && doc.UserinfoEndpoint == "":
		return errors.New("it has no userinfo_endpoint")
	}
	return nil
}

func isHTTPS(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}

func cut(s string) string { return s[:min(len(s), 255)] }
