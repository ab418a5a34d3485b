package uma

import (
	"context"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// registers tells whether clients may register themselves. It is off by default,
// and never open to everybody (CONFORMANCE OA-23). Those that are registered stay
// when it is switched off again.
func (s *Server) registers() bool { return len(s.cfg.InitialAccessTokens) > 0 }

// serveRegister is the client registration endpoint (RFC 7591 §3).
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request, from caller) {
	body, err := s.register(r, from)
	if err != nil {
		s.fail(w, err)
		return
	}
	oauth.WriteJSON(w, http.StatusCreated, body)
}

// register makes a client. The limit comes first: neither can tokens be tried at
// will, nor does a leaked one fill the store (CONFORMANCE SEC-18).
func (s *Server) register(r *http.Request, from caller) (map[string]any, error) {
	if ok, wait := s.cfg.RegistrationLimit.Allow(limit.Source(from.ip)); !ok {
		return nil, oauth.TooMany(wait)
	}
	if err := s.authorizeRegistration(r); err != nil {
		return nil, err
	}
	body, err := readJSON(r)
	if err != nil {
		return nil, err
	}
	metadata, err := parseClientMetadata(body)
	if err != nil {
		return nil, err
	}
	return s.createClient(r.Context(), metadata)
}

// authorizeRegistration checks the initial access token (RFC 7591 §3), which the
// administrator gave to somebody.
func (s *Server) authorizeRegistration(r *http.Request) error {
	scheme, token, err := oauth.ParseAuthorization(r.Header)
	if err != nil {
		return err
	}
	if scheme == "" {
		return registrationError("", "an initial access token is required")
	}
	sum, good := clientauth.HashSecret(token), 0
	for _, want := range s.cfg.InitialAccessTokens {
		good |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if scheme != "bearer" || good != 1 {
		return registrationError(oauth.CodeInvalidToken, "the initial access token is not valid")
	}
	return nil
}

// createClient chooses id and credentials; what the request says of them is
// ignored (RFC 7591 §3.2.1).
func (s *Server) createClient(ctx context.Context, metadata clientMetadata) (map[string]any, error) {
	id, token := clientIDPrefix+randomText(clientIDBytes), "rat_"+randomText(secretBytes)
	rec := clientRecord{
		version: version{currentVersion}, Metadata: metadata, IssuedAt: s.cfg.Now().Unix(), Token: hashID(token),
	}
	secret := rec.renewSecret()
	doc, err := s.clientDoc(id, rec)
	if err != nil {
		return nil, err
	}
	if err := s.commit(ctx, store.Create(doc)); err != nil {
		return nil, s.unavailable("client", err)
	}
	return s.clientInformation(id, rec, token, secret)
}

// renewSecret gives the client a secret if its method needs one and it has none,
// and takes it away if the method needs none. The secret is returned this once.
func (rec *clientRecord) renewSecret() string {
	needs := rec.Metadata.Method == oauth.AuthSecretBasic || rec.Metadata.Method == oauth.AuthSecretPost
	if !needs {
		rec.Secret = ""
		return ""
	}
	if rec.Secret != "" {
		return ""
	}
	secret := randomText(secretBytes)
	rec.Secret = hashID(secret)
	return secret
}

func (s *Server) clientDoc(id string, rec clientRecord) (store.Doc, error) {
	return s.doc(kindClient, id, "", time.Time{}, rec)
}

// clientInformation is the answer of RFC 7591 §3.2.1 and RFC 7592 §3. Deviation:
// a secret is told once, when it is made, as only its hash is kept.
func (s *Server) clientInformation(id string, rec clientRecord, token, secret string) (map[string]any, error) {
	all, err := rec.Metadata.describe()
	if err != nil {
		return nil, err
	}
	all["client_id"], all["client_id_issued_at"] = id, rec.IssuedAt
	all["registration_client_uri"] = s.endpoint("register/" + id)
	all["registration_access_token"] = token
	if secret != "" {
		all["client_secret"] = secret
	}
	if rec.Secret != "" {
		all["client_secret_expires_at"] = 0
	}
	return all, nil
}

// registrationError is a 401 with a challenge (RFC 6750 §3.1).
func registrationError(code, description string) *oauth.Error {
	challenge := oauth.Challenge{Scheme: "Bearer", Params: []oauth.Param{
		{Name: "realm", Value: "registration"}, {Name: "error", Value: code},
	}}
	e := &oauth.Error{
		Code: code, Description: description, Status: http.StatusUnauthorized,
		Header: http.Header{"WWW-Authenticate": {challenge.String()}},
	}
	if code == "" {
		e.Code = oauth.CodeInvalidToken
	}
	return e
}

// sameHash compares a credential with a hash made by hashID, in constant time.
func sameHash(credential, hash string) bool {
	sum := hashID(credential)
	return len(hash) == len(sum) && subtle.ConstantTimeCompare([]byte(sum), []byte(hash)) == 1
}
