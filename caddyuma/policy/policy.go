// Package policy is the contract between the authorization server and whatever
// decides: the conditions written in CEL today, guests of the namespace
// uma.policies later.
//
// A policy sees verified claims only. Who may come in at all (`from`) is
// compared by code before a policy is asked.
package policy

import (
	"context"
	"time"
)

// Policy says whether a condition holds for an input. An error means that the
// condition could not be evaluated; an allow rule then does not match, a deny
// rule does.
type Policy interface {
	Evaluate(ctx context.Context, in *Input) (bool, error)
}

// Input is what a policy may look at.
type Input struct {
	// Email is the verified address of the requesting party.
	Email Email
	// Issuer and Subject identify the requesting party (claims iss and sub).
	Issuer, Subject string
	// Claims are all claims of the verified claims token.
	Claims map[string]any
	// Resource is the resource that is asked for, Scopes what is asked of it.
	Resource Resource
	Scopes   []string
	// Client is the client_id of the requesting party's client.
	Client string
	// Request is the token request.
	Request Request
	// Now is the time of the decision. It never comes from a client.
	Now time.Time
}

// Email is an e-mail address and its parts; the domain is in lower case.
type Email struct{ Address, Local, Domain string }

// Resource describes a registered resource.
type Resource struct {
	Name, Type, Owner string
	// Server is the client_id of its resource server.
	Server string
	// Scopes are all scopes registered for it.
	Scopes []string
}

// Request describes the token request.
type Request struct{ Method, IP string }
