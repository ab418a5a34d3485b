package clientauth

import (
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Table are the clients of a configuration with every way to authenticate.
type Table struct {
	clients Clients
	auth    *Authenticator
}

// NewTable makes a Table.
func NewTable(clients Clients, auth *Authenticator) *Table { return &Table{clients, auth} }

// Authenticate finds the client that a form of a token endpoint comes from. Errors
// are *oauth.Error: 400 for credentials that contradict each other, 401
// invalid_client, 503 where keys could not be read.
func (t *Table) Authenticate(r *http.Request, form oauth.Form) (Client, error) {
	creds, err := oauth.ParseCredentials(r.Header, form)
	if err != nil {
		return Client{}, err
	}
	creds.ClientID = Identify(creds)
	return t.auth.Authenticate(r.Context(), t.clients[creds.ClientID], Request{Credentials: creds, TLS: r.TLS})
}
