package uma

import "github.com/caddy-uma/caddy-uma/internal/clientauth"

// ResourceServer is a registered resource server.
type ResourceServer struct {
	// ID is its client_id.
	ID string
	// URI identifies it (RFC 9728), an https URL.
	URI string
	// Audience is the logical name that claims tokens and RPTs are made for
	// instead of URI (CONFORMANCE A6); "" = URI.
	Audience string
	// Owner of its resources; "" = ID, "*" = named per resource (A41).
	Owner string
	// Credentials are what it authenticates with.
	clientauth.Credentials
	// Local resource servers are part of this process and have no credentials.
	Local bool
	// Opaque RPTs are references that only introspection can read; default JWT.
	Opaque bool
	// Require demands sender-constrained RPTs; default none.
	Require Binding
	// RequireASURI demands the claim as_uri in claims tokens (CA-47).
	RequireASURI bool
	// Release names claims of the requesting party to put into the RPT.
	Release []string
}

func (rs ResourceServer) audience() string {
	if rs.Audience != "" {
		return rs.Audience
	}
	return rs.URI
}

// speaksFor tells whether an owner's resources are its own now.
func (rs ResourceServer) speaksFor(owner string) bool {
	return rs.owner() == "*" || rs.owner() == owner
}

func (rs ResourceServer) owner() string {
	if rs.Owner != "" {
		return rs.Owner
	}
	return rs.ID
}
