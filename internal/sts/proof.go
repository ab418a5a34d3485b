package sts

import (
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// verifyProofs makes what checks DPoP proofs. No nonces are asked for: a proof
// is good for a minute and once, and the exchange needs a subject token besides.
func (s *Server) verifyProofs(used *dpop.Replays) (err error) {
	if used == nil {
		used = dpop.NewReplays(0, s.now)
	}
	s.proofs, err = dpop.New(dpop.Config{Replays: used, Now: s.now})
	return err
}

// What is said where a proof is missing (RFC 9449 §5.2). The last one is for the
// event alone.
var (
	errClientProof = errors.New("this client must send a DPoP proof")
	errTargetProof = errors.New("claims tokens for this target are always bound to a key: send a DPoP proof")
	errTokenProof  = errors.New("the subject token is bound to a key: send a DPoP proof of it")
	errOtherKey    = errors.New("the proof is of another key than that of the subject token")
)

// provenKey is the thumbprint of the key that a request proves to hold, "" if it
// has no proof. The URI is the configured one, never that of the request
// (CONFORMANCE DP-01). It comes before the subject token is looked at, so that a
// bad proof costs no upstream anything.
func (s *Server) provenKey(r *http.Request, client clientauth.Client) (string, error) {
	if !dpop.Present(r.Header) {
		if client.DPoPBound {
			return "", invalidProof(errClientProof)
		}
		return "", nil
	}
	proof, err := s.proofs.Verify(r.Context(), r.Header, dpop.Expect{
		Method: r.Method, URI: s.endpoint, Source: limit.Source(s.clientIP(r)),
	})
	if err == nil {
		return proof.JKT, nil
	}
	if refused, ok := dpop.Refused(err); ok {
		return "", refused
	}
	return "", oauth.Unavailable(err)
}

// checkKey holds CONFORMANCE DP-08: who has stolen a bound token cannot launder
// it here into a claims token that is bound to nothing, or to another key.
func checkKey(bound, proven string) error {
	switch {
	case bound == "" || bound == proven:
		return nil
	case proven == "":
		return invalidProof(errTokenProof)
	default:
		return invalidProof(errTokenProof).Because(errOtherKey)
	}
}

func invalidProof(why error) *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidDPoPProof, "%s", why.Error())
}
