package dpop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Expect is what a proof must be made for.
type Expect struct {
	// Method and URI of the request. The URI comes from configuration and never
	// from Host: else a proof for another server would be good here.
	Method, URI string
	// AccessToken is the token that the request carries; "" = none.
	AccessToken string
	// JKT is the thumbprint that the token is bound to; "" = any key.
	JKT string
	// Source is who sends, as far as the transport tells; each has a part of the
	// memory of proofs.
	Source string
}

// Proof is a verified proof.
type Proof struct {
	// JKT is the thumbprint of the key (RFC 9449 §6.1).
	JKT string
}

// claims of a proof (RFC 9449 §4.2).
type claims struct {
	JTI      string           `json:"jti"`
	Method   string           `json:"htm"`
	URI      string           `json:"htu"`
	IssuedAt jose.NumericDate `json:"iat"`
	ATH      string           `json:"ath"`
	Nonce    string           `json:"nonce"`
}

// Present tells whether a request carries a proof, be it a good one or not.
func Present(h http.Header) bool { return len(h.Values(oauth.HeaderDPoP)) > 0 }

// Verify holds RFC 9449 §4.3. What costs little is checked first; the signature
// comes before the proof is remembered, and nothing is known before it.
func (v *Verifier) Verify(ctx context.Context, h http.Header, e Expect) (Proof, error) {
	token, err := v.parse(h)
	if err != nil {
		return Proof{}, err
	}
	var c, verified claims
	if err := token.Unverified(&c); err != nil {
		return Proof{}, bad("%w", err)
	}
	uri, err := v.check(c, e)
	if err != nil {
		return Proof{}, err
	}
	if e.JKT != "" && token.Thumbprint != e.JKT {
		return Proof{}, ErrKey
	}
	if err := v.checkNonce(ctx, c.Nonce); err != nil {
		return Proof{}, err
	}
	if err := token.Verify(v.cfg.Algs, &verified); err != nil {
		return Proof{}, bad("%w", err)
	}
	if verified != c {
		return Proof{}, bad("the verified payload is another one")
	}
	until := c.IssuedAt.Time().Add(v.cfg.Window)
	if err := v.cfg.Replays.use(identity(uri, c.JTI, token.Thumbprint), e.Source, until); err != nil {
		return Proof{}, err
	}
	return Proof{JKT: token.Thumbprint}, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProof, fmt.Errorf(format, args...))
}

// parse finds the one proof of a request and looks at its header (RFC 9449 §4.3
// points 1, 2, 4, 5 and 7).
func (v *Verifier) parse(h http.Header) (*jose.Embedded, error) {
	fields := h.Values(oauth.HeaderDPoP)
	if len(fields) != 1 {
		return nil, bad("%d DPoP header fields", len(fields))
	}
	token, err := jose.ParseEmbedded(fields[0], MaxProof)
	if err != nil {
		return nil, bad("%w", err)
	}
	if token.Header.Typ != oauth.TypDPoP {
		return nil, bad("typ is not %s", oauth.TypDPoP)
	}
	if !slices.Contains(v.cfg.Algs, token.Header.Alg) {
		return nil, bad("the algorithm is not accepted")
	}
	return token, nil
}

// check compares the claims with the request (RFC 9449 §4.3 points 3, 8, 9, 11
// and 12). It gives the URI in its normal form.
func (v *Verifier) check(c claims, e Expect) (uri string, err error) {
	if c.JTI == "" || len(c.JTI) > maxJTI {
		return "", bad("jti is missing or too long")
	}
	if c.Method == "" || c.Method != e.Method {
		return "", bad("htm is not the method of the request")
	}
	uri, err = normalize(e.URI)
	if err != nil {
		return "", bad("the URI of the request: %w", err)
	}
	if claimed, err := normalize(c.URI); err != nil || claimed != uri {
		return "", bad("htu is not the URI of the request")
	}
	now, iat := v.cfg.Now(), c.IssuedAt.Time()
	if iat.Before(now.Add(-v.cfg.Window)) || iat.After(now.Add(v.cfg.Window)) {
		return "", bad("iat is missing or outside of the window")
	}
	if e.AccessToken != "" && subtle.ConstantTimeCompare([]byte(c.ATH), []byte(hash(e.AccessToken))) != 1 {
		return "", bad("ath is not the hash of the access token")
	}
	return uri, nil
}

func (v *Verifier) checkNonce(ctx context.Context, nonce string) error {
	switch {
	case v.cfg.Nonces == nil:
		return nil
	case nonce == "":
		return ErrNonce
	default:
		return v.cfg.Nonces.Check(ctx, nonce)
	}
}

// hash is ath (RFC 9449 §4.2).
func hash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
