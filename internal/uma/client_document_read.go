package uma

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

const (
	// maxDocument is the largest metadata document (draft §8.7).
	maxDocument = 5 << 10
	// documentLife is how long one is used without being read again.
	documentLife = time.Hour
)

// parseClientID reads a Client Identifier URL (draft-ietf-oauth-client-id-
// metadata-document §3): https, with a path, without fragment, user information
// or dot segments. Deviation: a query, which the draft only advises against, and
// escapes are refused, so that one document has one name.
func parseClientID(id string) (host string, ok bool) {
	if !strings.HasPrefix(id, "https://") || len(id) > 255 {
		return "", false
	}
	u, err := oauth.ParseIssuer(id)
	if err != nil || u.Path == "" {
		return "", false
	}
	return u.Hostname(), true
}

// inDomains tells whether a host is one of the domains, or below one that is
// written *.domain. None = every host.
func inDomains(host string, domains []string) bool {
	for _, domain := range domains {
		below, wild := strings.CutPrefix(domain, "*.")
		if host == domain || wild && strings.HasSuffix(host, "."+below) {
			return true
		}
	}
	return len(domains) == 0
}

// parseClientDocument reads the document of a client. What a stranger writes
// there must not give him what somebody here has to give: no scope counts. There
// are no shared secrets (draft §4.1), and no certificate authority vouches for
// him.
func parseClientDocument(body []byte, id string) (clientauth.Client, error) {
	var said struct {
		ID      string          `json:"client_id"`
		Method  string          `json:"token_endpoint_auth_method"`
		Secret  json.RawMessage `json:"client_secret"`
		Expires json.RawMessage `json:"client_secret_expires_at"`
	}
	m, err := parseClientMetadata(body)
	if err != nil {
		return clientauth.Client{}, err
	}
	if err := oauth.DecodeObject(body, &said); err != nil {
		return clientauth.Client{}, badMetadata("a member has a wrong type").Because(err)
	}
	switch {
	case said.ID != id: // draft §4: simple string comparison
		return clientauth.Client{}, badMetadata("client_id is not the URL of the document")
	case said.Secret != nil, said.Expires != nil:
		return clientauth.Client{}, badMetadata("the document holds a secret")
	// The default would be a secret: the document must say how.
	case said.Method != oauth.AuthNone && said.Method != oauth.AuthPrivateKeyJWT:
		return clientauth.Client{}, badMetadata("token_endpoint_auth_method must be none or private_key_jwt")
	}
	m.Scope = ""
	return m.client(id), nil
}

// fetchDocument asks the client's site. The strict client follows no redirect
// (draft §5) and reaches public addresses alone (§8.6).
func (s *Server) fetchDocument(ctx context.Context, id string) (clientauth.Client, error) {
	resp, err := s.cfg.Outbound.Get(ctx, outbound.Request{
		URL: id, Accept: "application/json", MaxBody: maxDocument, NoExceptions: true,
	})
	if err != nil {
		return clientauth.Client{}, err
	}
	if resp.Status != http.StatusOK {
		return clientauth.Client{}, statusError(resp.Status)
	}
	if resp.ContentType != "application/json" &&
		(!strings.HasPrefix(resp.ContentType, "application/") || !strings.HasSuffix(resp.ContentType, "+json")) {
		return clientauth.Client{}, errors.New("the document of a client is not JSON")
	}
	return parseClientDocument(resp.Body, id)
}

// fetchKeys reads a key set that a client names by jwks_uri, by the same rules.
func (s *Server) fetchKeys(ctx context.Context, uri string) ([]byte, error) {
	resp, err := s.cfg.Outbound.Get(ctx, outbound.Request{
		URL: uri, Accept: "application/jwk-set+json, application/json", MaxBody: maxKeySet, NoExceptions: true,
	})
	if err != nil {
		return nil, err
	}
	if resp.Status != http.StatusOK {
		return nil, statusError(resp.Status)
	}
	return resp.Body, nil
}

// maxKeySet is the largest key set in bytes.
const maxKeySet = 256 << 10

// statusError is a status other than 200.
type statusError int

// Error implements error.
func (e statusError) Error() string { return "status " + http.StatusText(int(e)) }

// temporary tells what may be different in a moment from what is definite.
func temporary(err error) bool {
	if status, ok := errors.AsType[statusError](err); ok {
		return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests ||
			status == http.StatusRequestTimeout || status == http.StatusTooEarly
	}
	return errors.Is(err, outbound.ErrTemporary)
}

// pauseAfter is how long nobody is asked again after a failure (DESIGN §4).
func pauseAfter(err error) time.Duration {
	switch {
	case errors.Is(err, outbound.ErrConnect):
		return 5 * time.Second
	case temporary(err), errors.As(err, new(statusError)):
		return 30 * time.Second
	default:
		return time.Minute
	}
}
