// Package health is the handler uma_health: it tells a load balancer whether a node is
// of use. What is looked at comes from the app and from other handlers, as a Check.
package health

import "context"

// Names of what uma_health looks at.
const (
	CheckStore      = "store"
	CheckKeys       = "keys"
	CheckNodes      = "nodes"
	CheckPolicies   = "policies"
	CheckAS         = "authorization_server"
	CheckStatusList = "status_list"
)

// words are the checks in the order of the answer: what is said of one that
// failed, unless it knows better itself, and whether that makes the node unhealthy
// (503) where the directive does not say otherwise.
//
// What stands behind several nodes at once and is somebody else's does not: if all
// nodes of a resource server left the balancer because the authorization server is
// away, then people who have their RPT already would not get in either. A node that
// cannot write or has no keys can issue nothing, and one with other keys breaks what
// its neighbours have made.
var words = []struct { //nolint:gochecknoglobals // a table of constants
	name, reason string
	fails        bool
}{
	{CheckStore, "the store cannot be written", true},
	{CheckKeys, "keys cannot be read or made", true},
	{CheckNodes, "the other nodes cannot be seen", true},
	{CheckPolicies, "another node runs newer policies", false},
	{CheckAS, "the authorization server cannot be reached", false},
	{CheckStatusList, "the status list is not fresh", false},
}

// Check is one thing that uma_health looks at.
type Check struct {
	// Name is one of those above.
	Name string
	// Role, Issuer and ClientID say whom it is about. They are public names, and
	// stand in an answer that the administrator wants detailed.
	Role, Issuer, ClientID string
	// Do gives nil if all is well. It is called at most once per second, never twice
	// at a time, and has two seconds; one that takes longer counts as failed until
	// it comes to an end. The text of its error is for the log alone, a Error says
	// more.
	Do func(context.Context) error
}

// Error is an error of a Check that says how bad it is.
type Error struct {
	// Reason is a sentence of ours, which anybody may read. Default: that of the check.
	Reason string
	// Mild: it is reported and never makes the node unhealthy.
	Mild bool
	// Err is the cause, for the log.
	Err error
}

// Error implements error.
func (t *Error) Error() string {
	if t.Err == nil {
		return t.Reason
	}
	return t.Err.Error()
}

// Unwrap gives the cause.
func (t *Error) Unwrap() error { return t.Err }

// place is where a check stands in the table; a name that does not is a mistake of
// the caller and stands last.
func place(name string) int {
	for i, w := range words {
		if w.name == name {
			return i
		}
	}
	return len(words) - 1
}
