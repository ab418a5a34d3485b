// Package policy is the contract between the authorization server and whatever
// decides: the conditions written in CEL (`when`) and guests, which are Caddy
// modules of the namespace uma.policies (`evaluate <module> …`).
//
// A policy sees verified claims only. Who may come in at all (`from`) is
// compared by code before a policy is asked, and what no rule allows is denied:
// a guest is a further condition of one rule, never the whole of it.
//
// # Guests
//
// A guest is a type that implements Policy, caddy.Module with an id below
// uma.policies and, for the Caddyfile, caddyfile.Unmarshaler. It is registered
// with caddy.RegisterModule, built into Caddy as any plugin, and named in a
// rule:
//
//	policy staff {
//		from     bob.example
//		evaluate office_hours {
//			from 8
//			to   18
//		}
//	}
//
// In JSON the module's name stands in the key "policy" beside its own fields:
// {"policy": "office_hours", "from": 8, "to": 18}. The example in
// testdata/officehours is complete, with a test of its own.
//
// What a guest may assume:
//
//   - Evaluate is called once for a rule, a resource and a token request, after
//     everything in the Input was verified. It is called by many requests at
//     once, so the guest must be safe for concurrent use.
//   - The context ends at the guest's deadline, or when the client has gone. An
//     answer that comes later counts as an error.
//   - The Input is a copy: nobody else changes it, and what the guest does to it
//     changes nothing. The guest must not keep it after Evaluate has returned.
//   - Under `from anyone` the claims are empty, because a stranger's provider
//     can claim anything about its people. Email, Issuer and Subject are there:
//     they are what the provider itself vouches for.
//   - All policies on all resources of one token request share a Budget. A guest
//     whose work grows with the claims takes from it what the work costs, and
//     gives ErrCost when it cannot.
//
// What is expected of a guest:
//
//   - An error says that it could not decide. An allow rule then does not match,
//     a deny rule does. Errors are logged: no claim values in them. Where one of
//     ErrMissing, ErrType and ErrCost fits, it should be wrapped.
//   - It must not panic. A panic in Evaluate is recovered and counts as an
//     error; a panic in a goroutine of the guest's own ends the process.
//   - It returns when its context ends. Guard gives up on a guest that does not,
//     but it cannot end its goroutine, and refuses further calls when too many
//     are stuck.
//   - A guest that can tell why it decided implements Explainer, too, and one whose
//     claims shall stand in the audit log Looker.
package policy

import (
	"context"
	"errors"
	"time"
)

// Policy says whether a condition holds for an input. An error means that the
// condition could not be evaluated; an allow rule then does not match, a deny
// rule does. Evaluate is called concurrently, and neither changes nor keeps the
// input.
type Policy interface {
	Evaluate(ctx context.Context, in *Input) (bool, error)
}

// Why a condition could not be evaluated, for errors.Is. Other errors are
// allowed.
var (
	// ErrMissing: the condition looks at a claim that is not there.
	ErrMissing = errors.New("no such key")
	// ErrType: a claim is of another type than the condition expects.
	ErrType = errors.New("a value has another type than the condition expects")
	// ErrCost: the evaluation would cost too much, or more than is left of the
	// budget of the request.
	ErrCost = errors.New("the condition costs too much for these claims")
)

// Input is what a policy may look at.
type Input struct {
	// Email is the verified address of the requesting party.
	Email Email
	// Issuer and Subject identify the requesting party (claims iss and sub).
	Issuer, Subject string
	// Claims are all claims of the verified claims token, or none under `from
	// anyone`. The values are those of a JSON decoder: nil, bool, string,
	// json.Number or float64, []any, map[string]any.
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
	// DecisionID is what the answer, the log and the events call this decision;
	// a guest that logs says it, too. It is unknown to conditions in CEL, and
	// empty in a dry run.
	DecisionID string
	// Budget is what all policies may cost for this token request. nil means that
	// each evaluation is bounded by itself alone.
	Budget *Budget
}

// Email is an e-mail address and its parts; the domain is in lower case.
type Email struct{ Address, Local, Domain string }

// Resource describes a registered resource. Only Server and ID together say
// which one it is: names and types are free texts of its owner.
type Resource struct {
	// ID is the _id of its registration, or that of an instance of a pattern.
	ID                string
	Name, Type, Owner string
	// Server is the client_id of its resource server.
	Server string
	// Scopes are all scopes registered for it.
	Scopes []string
	// Captures are the named values of an instance: those of user and id for
	// /users/:user/photos/:id. The rest is that of the pattern.
	Captures map[string]string
}

// Request describes the token request.
type Request struct{ Method, IP string }
