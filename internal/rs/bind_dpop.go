package rs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Schemes of the Authorization header, as oauth.ParseAuthorization gives them.
const (
	schemeBearer = "bearer"
	schemeDPoP   = "dpop"
)

// proofError is a tokenError of an RPT that is good, if only its binding were
// shown; code is for the challenge (RFC 9449 §7.1).
type proofError struct {
	*tokenError
	code string
}

// Unwrap makes it a tokenError.
func (e *proofError) Unwrap() error { return e.tokenError }

// codeSource is no code of the wire: the answer is 429.
const codeSource = "too_many_proofs"

// proofFault says what is wrong with a proof. Errors that are nobody's fault stay
// as they are.
func proofFault(err error) error {
	fault := func(reason, code string) error { return &proofError{&tokenError{reason, err}, code} }
	switch {
	case errors.Is(err, dpop.ErrNonce):
		return fault("the DPoP proof lacks a nonce of ours", oauth.CodeUseDPoPNonce)
	case errors.Is(err, dpop.ErrKey):
		return fault("is bound to another key than that of the DPoP proof", oauth.CodeInvalidToken)
	case errors.Is(err, dpop.ErrReplay):
		return fault("the DPoP proof was used before", oauth.CodeInvalidDPoPProof)
	case errors.Is(err, dpop.ErrProof):
		return fault("the DPoP proof is missing, malformed, too old or made for another request", oauth.CodeInvalidDPoPProof)
	case errors.Is(err, dpop.ErrSource):
		return fault("too many DPoP proofs of one requesting party", codeSource)
	}
	return err
}

// codeOf is what the challenge says about a tokenError.
func codeOf(err error) string {
	if fault, ok := errors.AsType[*proofError](err); ok {
		return fault.code
	}
	return oauth.CodeInvalidToken
}

// makeProofs makes what checks DPoP proofs.
func (s *Server) makeProofs() (err error) {
	cfg := dpop.Config{Replays: s.cfg.Proofs, Now: s.cfg.Now}
	if cfg.Replays == nil {
		cfg.Replays = dpop.NewReplays(0, s.cfg.Now)
	}
	if s.cfg.DPoPNonces {
		if s.cfg.NonceKeys == nil {
			return errors.New("nonces need keys")
		}
		s.nonces = dpop.NewSealedNonces(s.cfg.NonceKeys, s.cfg.Issuer+"#"+s.cfg.ClientID, s.cfg.Now, s.cfg.Leeway)
		cfg.Nonces = s.nonces
	}
	s.proofs, err = dpop.New(cfg)
	return err
}

// bound holds an RPT to its binding (CONFORMANCE DP-03, OA-19). The RPT has been
// verified before, so a stranger's proof costs neither a signature nor a place in
// the memory of proofs; and what the RPT opens is judged afterwards, so whoever
// only copied it does not learn that.
func (s *Server) bound(ctx context.Context, st *state, p *presented, c *rptClaims) error {
	if err := s.checkBinding(p, c.Confirm); err != nil {
		p.dpop = p.dpop || c.Confirm != nil && c.Confirm.jkt != ""
		return err
	}
	if c.Confirm == nil || c.Confirm.jkt == "" {
		return nil
	}
	method, path := s.written(p.request)
	_, err := s.proofs.Verify(ctx, p.request.Header, dpop.Expect{
		// CONFORMANCE DP-01: the origin is ours as the configuration has it, never that
		// of Host; the path is the one that the client wrote.
		Method: method, URI: st.learned.uri.Scheme + "://" + st.learned.uri.Host + path.EscapedPath(),
		AccessToken: p.token, JKT: c.Confirm.jkt,
		// A part of the memory for each requesting party: many of them may come from one
		// address, and one from many.
		Source: c.Subject,
	})
	return proofFault(err)
}

// written is the request line as it arrived: others may have rewritten it since.
func (s *Server) written(r *http.Request) (method string, u *url.URL) {
	if s.cfg.Written == nil {
		return r.Method, r.URL
	}
	return s.cfg.Written(r)
}

// unproven is the answer to an RPT that would pass with another proof, if that is
// no challenge with a ticket: the client lacks a nonce (RFC 9449 §9, CONFORMANCE
// DP-05), or it should wait. Nil: answer as to any bad RPT.
func (s *Server) unproven(ctx context.Context, err error) *Refusal {
	fault, ok := errors.AsType[*proofError](err)
	switch {
	case ok && fault.code == codeSource:
		f := tooMany(2 * dpop.Window)
		f.Detail = "Too many DPoP proofs of one requesting party. Wait before the next one."
		return f
	case !ok || fault.code != oauth.CodeUseDPoPNonce:
		return nil
	}
	nonce, err := s.nonces.New(ctx)
	if err != nil {
		s.cfg.Log.Error("no nonce can be made", zap.String("client_id", s.cfg.ClientID), zap.Error(err))
		return unavailable()
	}
	// Deviation from UMA Grant §3.5: no ticket. The RPT is good, and the client
	// needs no other (CONFORMANCE A31).
	f := refuse(http.StatusUnauthorized, "The DPoP proof must contain the nonce of the DPoP-Nonce header.")
	f.Header.Set("WWW-Authenticate", dpopChallenge(oauth.CodeUseDPoPNonce))
	f.Header.Set(oauth.HeaderDPoPNonce, nonce)
	return f
}

func dpopChallenge(code string) string {
	return oauth.Challenge{Scheme: oauth.SchemeDPoP, Params: []oauth.Param{
		{Name: "algs", Value: strings.Join(dpop.Algs(), " ")}, {Name: "error", Value: code},
	}}.String()
}

// second is the challenge after that of UMA, on a line of its own; "" = none
// (CONFORMANCE A19). code says what was wrong with the RPT, if there was one.
// Whoever must prove a key is told so before he has an RPT.
func (s *Server) second(p *presented, code string) string {
	switch {
	case p.dpop || s.requires(p.wants).dpop: // RFC 9449 §7.1
		return dpopChallenge(code)
	case code != "": // RFC 6750 §3.1
		return oauth.Challenge{Scheme: "Bearer", Params: []oauth.Param{{Name: "error", Value: code}}}.String()
	}
	return ""
}
