package uma

import (
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// verifyProofs makes what checks DPoP proofs at the token endpoint.
func (s *Server) verifyProofs() (err error) {
	s.nonces = dpop.NewSealedNonces(s.cfg.NonceKeys, s.cfg.Issuer, s.cfg.Now, s.cfg.Leeway)
	cfg := dpop.Config{Replays: s.cfg.Proofs, Now: s.cfg.Now}
	if s.cfg.DPoPNonces {
		cfg.Nonces = s.nonces
	}
	s.proofs, err = dpop.New(cfg)
	return err
}

// provenKey is the thumbprint of the key that a request proves to hold, "" if it
// has no proof. The URI is the configured one, never that of the request
// (CONFORMANCE DP-01).
func (s *Server) provenKey(r *http.Request, from caller) (string, error) {
	if !dpop.Present(r.Header) {
		return "", nil
	}
	proof, err := s.proofs.Verify(r.Context(), r.Header, dpop.Expect{
		Method: r.Method, URI: s.endpoint("token"), Source: sourceOf(from),
	})
	if err != nil {
		return "", s.proofError(err)
	}
	return proof.JKT, nil
}

func sourceOf(from caller) string {
	if from.local != "" {
		return "local " + from.local
	}
	return limit.Source(from.ip)
}

// proofError is the answer to a proof that is not accepted (RFC 9449 §5, §8). The
// ticket has not been looked at yet and stays usable (CONFORMANCE A2, DP-05).
func (s *Server) proofError(err error) error {
	if refused, ok := dpop.Refused(err); ok {
		return refused
	}
	if errors.Is(err, dpop.ErrFull) {
		return s.unavailable("memory of DPoP proofs", err)
	}
	return s.unavailable("nonce keys", err)
}

// noProof is the answer to a client whose tokens are always bound to a key (RFC
// 9449 §5.2).
func noProof() error {
	return oauth.Errorf(oauth.CodeInvalidDPoPProof, "this client must send a DPoP proof")
}

// offerNonce puts a nonce into the answer to a request with a proof (RFC 9449
// §8.2), whatever the answer is: the client's next proof will pass.
func (s *Server) offerNonce(w http.ResponseWriter, r *http.Request) error {
	if !s.cfg.DPoPNonces || !dpop.Present(r.Header) {
		return nil
	}
	nonce, err := s.nonces.New(r.Context())
	if err != nil {
		return s.unavailable("nonce keys", err)
	}
	w.Header().Set(oauth.HeaderDPoPNonce, nonce)
	return nil
}

// tokenType is what an RPT with this confirmation is (RFC 9449 §5). One that is
// bound to a certificate stays a Bearer token by name (RFC 8705 §3).
func (c confirmation) tokenType() string {
	if c.JKT != "" {
		return oauth.SchemeDPoP
	}
	return "Bearer"
}

// checkConfirmation holds CONFORMANCE DP-07: a claims token that is bound to a
// key or certificate is accepted only from whoever proved in this request to hold
// it. Every member of cnf must be met; one that is not known here cannot be, and
// neither can none at all. To ignore it would turn a bound token into a bearer
// token, so there is no switch.
func checkConfirmation(claims map[string]any, bound confirmation) error {
	value, there := claims["cnf"]
	if !there {
		return nil
	}
	members, ok := value.(map[string]any)
	if !ok || len(members) == 0 {
		return needs("cnf is empty or no object")
	}
	proven := map[string]string{"jkt": bound.JKT, "x5t#S256": bound.X5T}
	for name, want := range members {
		if have := proven[name]; have == "" || want != have {
			return needs("the claims token is bound to a key or certificate that this request does not prove")
		}
	}
	return nil
}
