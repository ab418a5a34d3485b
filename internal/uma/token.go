package uma

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// tokenRequest is a request at the token endpoint whose client is known.
type tokenRequest struct {
	form   oauth.Form
	client clientauth.Client
	from   caller
	method string
	// bound is the key or certificate that the request proved to hold.
	bound confirmation
}

// confirmation is the member cnf of a token that is bound to its sender (RFC
// 7800 §3): the thumbprint of a DPoP key (RFC 9449 §6.1) or of a certificate (RFC
// 8705 §3.1). The zero value is a bearer token.
type confirmation struct {
	JKT string `json:"jkt,omitempty"`
	X5T string `json:"x5t#S256,omitempty"`
}

// none tells whether nothing is bound.
func (c confirmation) none() bool { return c == confirmation{} }

// meets tells whether this is as strong as demanded.
func (c confirmation) meets(b Binding) bool {
	switch b {
	case BindDPoP:
		return c.JKT != ""
	case BindMTLS:
		return c.X5T != ""
	default:
		return true
	}
}

// serveToken is the token endpoint (RFC 6749 §3.2): parse, decide, write.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, from caller) {
	if err := s.offerNonce(w, r); err != nil {
		s.fail(w, err)
		return
	}
	answer, err := s.token(r, from)
	if err != nil {
		s.fail(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusOK, answer)
}

func (s *Server) token(r *http.Request, from caller) (*oauth.TokenResponse, error) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return nil, err
	}
	grant, err := s.grant(form.Get("grant_type"))
	if err != nil {
		return nil, err
	}
	client, bound, err := s.authenticate(r, form, from, true)
	if err != nil {
		return nil, err
	}
	if err := mayProceed(client, form.Get("grant_type")); err != nil {
		return nil, err
	}
	return grant(r.Context(), &tokenRequest{form: form, client: client, from: from, method: r.Method, bound: bound})
}

type grantFunc func(context.Context, *tokenRequest) (*oauth.TokenResponse, error)

func (s *Server) grant(name string) (grantFunc, error) {
	switch name {
	case oauth.GrantUMATicket:
		return s.grantTicket, nil
	case oauth.GrantClientCredentials:
		return s.grantClientCredentials, nil
	case oauth.GrantRefreshToken:
		if s.cfg.RefreshLifetime > 0 {
			return s.grantRefresh, nil
		}
	case "":
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "grant_type is missing")
	}
	return nil, oauth.Errorf(oauth.CodeUnsupportedGrantType, "this grant type is not offered; see grant_types_supported")
}

// authenticate finds the client and what it proves to hold. The limit comes
// first, so that neither secrets can be tried nor signatures be checked at will;
// like a proof that is not in order it leaves the ticket usable (CONFORMANCE A2,
// SEC-18). Proofs are of use only where tokens are issued.
func (s *Server) authenticate(r *http.Request, form oauth.Form, from caller, proofs bool) (clientauth.Client, confirmation, error) {
	var bound confirmation
	creds, err := oauth.ParseCredentials(r.Header, form)
	if err != nil {
		return clientauth.Client{}, bound, err
	}
	creds.ClientID = clientauth.Identify(creds)
	if s.isLocal(creds, from) {
		return s.clients[creds.ClientID], bound, nil
	}
	if from.local == "" {
		if err := s.limited(limit.Source(from.ip), creds.ClientID); err != nil {
			return clientauth.Client{}, bound, err
		}
	}
	if proofs {
		if bound.JKT, err = s.provenKey(r, from); err != nil {
			return clientauth.Client{}, bound, err
		}
	}
	client, err := s.clientOf(r, creds, from)
	bound.X5T = client.Certificate
	if err == nil && proofs && client.DPoPBound && bound.JKT == "" {
		err = noProof()
	}
	return client, bound, err
}

// limited counts a request for its address and for its address and client. Known
// and unknown client_ids are treated alike: nobody learns which exist.
func (s *Server) limited(source, clientID string) error {
	if ok, wait := s.cfg.SourceLimit.Allow(source); !ok {
		return oauth.TooMany(wait)
	}
	if ok, wait := s.cfg.TokenLimit.Allow(source + " " + hashID(clientID)); !ok {
		return oauth.TooMany(wait)
	}
	return nil
}

// isLocal: a resource server marked local, calling from this process, needs no
// secret.
func (s *Server) isLocal(creds oauth.Credentials, from caller) bool {
	rs, found := s.servers[creds.ClientID]
	return found && rs.Local && from.local == rs.ID && creds.Method == oauth.AuthNone
}

// fail writes an error; what is our own fault is logged, once and here.
func (s *Server) fail(w http.ResponseWriter, err error) {
	if e := oauth.AsError(err); e.Status >= http.StatusInternalServerError {
		s.cfg.Log.Error("request failed", zap.String("issuer", s.cfg.Issuer), zap.Error(errors.Unwrap(e)))
	}
	oauth.WriteError(w, err)
}
