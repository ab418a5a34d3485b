package policy

// Looker is a Policy that can tell which claims it looks at, so that the audit log
// shows them with a decision that it had a part in.
type Looker interface {
	Policy
	// LooksAt gives the names of the claims, and whether it looks at the claims as a
	// whole, so that any of them may count. The names do not depend on a request.
	LooksAt() (names []string, whole bool)
}
