package dpop

import (
	"errors"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Refused is the answer to a proof that Verify did not accept (RFC 9449 §5, §8).
// false: it could not be found out, or not be remembered, which is no fault of
// the client (503).
func Refused(err error) (*oauth.Error, bool) {
	switch {
	case errors.Is(err, ErrNonce):
		return oauth.Errorf(oauth.CodeUseDPoPNonce, "the DPoP proof must contain the nonce of the DPoP-Nonce header").Because(err), true
	case errors.Is(err, ErrProof):
		return oauth.Errorf(oauth.CodeInvalidDPoPProof, "the DPoP proof is malformed, made for another request, too old or was used before").Because(err), true
	case errors.Is(err, ErrSource):
		return oauth.TooMany(2 * Window).Because(err), true
	default:
		return nil, false
	}
}
