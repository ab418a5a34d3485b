package uma

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// An RPT is a JWT or, where the resource server is to learn nothing but by
// introspection, an opaque reference (CONFORMANCE AT-08). Both lead to a grant and
// to the number of an RPT within it.

// prefixRPT begins an opaque RPT.
const prefixRPT = "rpt_"

// referenceRecord is an opaque RPT, kept by its hash.
type referenceRecord struct {
	version
	Grant  string `json:"grant"`
	Serial int    `json:"serial"`
}

// newReference makes an opaque RPT and the op that records it.
func (s *Server) newReference(g *grant, rpt rptRecord) (string, store.Op, error) {
	token := prefixRPT + randomText(32)
	expires := time.Unix(rpt.Expires, 0).Add(2 * s.cfg.Leeway)
	doc, err := s.doc(kindReference, hashID(token), "", expires, referenceRecord{
		version: version{currentVersion}, Grant: g.id, Serial: rpt.Serial,
	})
	return token, store.Create(doc), err
}

// foundRPT is an RPT that was issued and not revoked. It may have expired.
type foundRPT struct {
	*grant
	rpt rptRecord
	// claims of a JWT; nil for an opaque RPT.
	claims map[string]any
}

// findRPT gives the RPT behind a text, whatever that may be.
func (s *Server) findRPT(ctx context.Context, text string) (*foundRPT, bool, error) {
	var (
		f      foundRPT
		id     string
		serial int
		err    error
	)
	if strings.HasPrefix(text, prefixRPT) {
		id, serial, err = s.readReference(ctx, text)
	} else {
		id, serial, f.claims, err = s.readJWT(ctx, text)
	}
	if err != nil || id == "" {
		return nil, false, err
	}
	g, found, err := s.loadGrant(ctx, id)
	if err != nil || !found {
		return nil, false, err
	}
	f.grant = g
	f.rpt, found = g.find(serial)
	return &f, found, nil
}

// readReference tells where an opaque RPT leads; "" = nowhere.
func (s *Server) readReference(ctx context.Context, text string) (id string, serial int, err error) {
	rec, _, err := load[referenceRecord](ctx, s, kindReference, hashID(text))
	if absent(err) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, s.unavailable("reference", err)
	}
	return rec.Grant, rec.Serial, nil
}

// readJWT tells where a JWT leads; "" = nowhere. Only what we signed as an RPT
// leads somewhere (RFC 8725 §3.11, §3.12).
func (s *Server) readJWT(ctx context.Context, text string) (id string, serial int, claims map[string]any, err error) {
	token, bad := jose.Parse(text, oauth.MaxForm)
	if bad != nil || token.Header.Typ != oauth.TypAccessToken {
		return "", 0, nil, nil //nolint:nilerr // no token of ours
	}
	bad = token.Verify(ctx, s.cfg.RPTKeys, jose.DefaultAlgs(), &claims)
	if errors.Is(bad, jose.ErrKeySource) {
		return "", 0, nil, s.unavailable("RPT key", bad)
	}
	if bad != nil || claims["iss"] != s.cfg.Issuer {
		return "", 0, nil, nil //nolint:nilerr // no token of ours
	}
	jti, _ := claims["jti"].(string)
	id, number, _ := strings.Cut(jti, ".")
	if serial, bad = strconv.Atoi(number); bad != nil {
		return "", 0, nil, nil //nolint:nilerr // no RPT
	}
	return id, serial, claims, nil
}
