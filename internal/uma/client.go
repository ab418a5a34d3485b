package uma

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// errUnknownClient is the cause inside the invalid_client of a client that does
// not exist.
var errUnknownClient = errors.New("no such client")

func unknownClient() error { return clientauth.Invalid(oauth.AuthNone).Because(errUnknownClient) }

// isUnknownClient tells a client that does not exist from one that could not be
// looked up.
func isUnknownClient(err error) bool { return errors.Is(err, errUnknownClient) }

// client gives what is known of a client now: those of the configuration come
// first, so that no other can take their place, then registered ones, then https
// URLs. It calls nobody: of a client that publishes its metadata itself only the
// id is known here. The error is invalid_client or 503.
//
// Whatever was issued to a client that is not there any more is dead: ask here
// before it is honoured (RFC 7592 §2.3).
func (s *Server) client(ctx context.Context, id string) (clientauth.Client, error) {
	if known, found := s.clients[id]; found {
		if known.Disabled {
			return clientauth.Client{}, unknownClient()
		}
		return known, nil
	}
	if isRegisteredID(id) {
		return s.registeredClient(ctx, id)
	}
	if s.documents.covers(id) {
		return clientauth.Client{ID: id, GrantTypes: []string{}}, nil
	}
	return clientauth.Client{}, unknownClient()
}

// clientOf authenticates the client that a request names. An unknown one takes
// the same way, so that nobody sees the difference (CONFORMANCE SEC-25).
func (s *Server) clientOf(r *http.Request, creds oauth.Credentials, from caller) (clientauth.Client, error) {
	ctx, with := r.Context(), s.known
	client, err := s.client(ctx, creds.ClientID)
	if err == nil && !s.isKnown(client.ID) {
		with = s.strangers
		client, err = s.documents.client(ctx, client.ID, limit.Source(from.ip))
	}
	if err != nil && !isUnknownClient(err) {
		return clientauth.Client{}, err
	}
	return with.Authenticate(ctx, client, clientauth.Request{Credentials: creds, TLS: r.TLS})
}

// isKnown tells a client that somebody here registered from a stranger.
func (s *Server) isKnown(id string) bool {
	_, found := s.clients[id]
	return found || isRegisteredID(id)
}

// mayProceed holds what a client registered for, before the ticket counts as
// presented (CONFORMANCE A2): its grant types (OA-05), and a certificate if its
// tokens are to be bound to one (RFC 8705 §3.4).
func mayProceed(client clientauth.Client, grantType string) error {
	if !client.MayUse(grantType) {
		return oauth.Errorf(oauth.CodeUnauthorizedClient, "the client is not registered for this grant type")
	}
	if client.TLSBound && client.Certificate == "" {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the client is registered for tokens that are bound to its certificate, and shows none")
	}
	return nil
}

// clientIDPrefix begins the ids that we choose. No RPT has such a sub (A11), and
// none is an https URL.
const clientIDPrefix = "c-"

// Lengths of what we choose at random.
const (
	clientIDBytes = 16
	clientIDText  = 22
	secretBytes   = 32
)

// isRegisteredID tells whether an id has the form of those that we choose.
func isRegisteredID(id string) bool {
	rest, found := strings.CutPrefix(id, clientIDPrefix)
	if !found || len(rest) != clientIDText {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return err == nil && !strings.ContainsAny(rest, "\r\n")
}

// clientRecord is a client that registered itself (RFC 7591). Its id is not in
// it, its credentials are hashes.
type clientRecord struct {
	version
	Metadata clientMetadata `json:"metadata"`
	IssuedAt int64          `json:"iat"`
	// Token is the hash of its registration access token, Secret that of its
	// secret; "" = it has none.
	Token  string `json:"token"`
	Secret string `json:"secret,omitempty"`
}

func (s *Server) registeredClient(ctx context.Context, id string) (clientauth.Client, error) {
	rec, _, err := load[clientRecord](ctx, s, kindClient, id)
	if absent(err) {
		return clientauth.Client{}, unknownClient()
	}
	if err != nil {
		return clientauth.Client{}, s.unavailable("client", err)
	}
	client := rec.Metadata.client(id)
	if rec.Secret != "" {
		sum, err := base64.RawURLEncoding.DecodeString(rec.Secret)
		if err != nil || len(sum) != sha256.Size {
			return clientauth.Client{}, s.unavailable("client", errors.New("the hash of a secret is damaged"))
		}
		client.Secrets = [][sha256.Size]byte{[sha256.Size]byte(sum)}
	}
	return client, nil
}

// client is what is registered, as the token endpoint sees it.
func (m clientMetadata) client(id string) clientauth.Client {
	return clientauth.Client{
		ID: id, Public: m.Method == oauth.AuthNone, Method: m.Method,
		GrantTypes: m.GrantTypes, Scopes: strings.Fields(m.Scope),
		DPoPBound: m.DPoPBound, TLSBound: m.TLSBound,
		Credentials: m.credentials(),
	}
}

func (m clientMetadata) credentials() clientauth.Credentials {
	return clientauth.Credentials{
		JWKSURI: m.JWKSURI, JWKS: m.JWKS, TLSSubject: m.TLSSubject,
		TLSSelfSigned: m.Method == oauth.AuthSelfSignedTLS,
	}
}
