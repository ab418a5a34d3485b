package cel

import (
	"context"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// releases is the language of release rules: what a security token service
// knows before it says anything about a person. There is neither a resource nor
// a scope: these are the authorization server's affair.
func releases() language { return append(common(), variable{"target", cel.StringType}) }

// Release is a compiled release rule. It may be evaluated concurrently.
type Release struct{ condition *condition }

// ReleaseInput is what a release rule decides on (DESIGN §8: additions only).
type ReleaseInput struct {
	// Email is the person's address, Subject what the claims token calls the person.
	Email   policy.Email
	Subject string
	// Claims are all that is known of the person, before anything is left out.
	Claims map[string]any
	// Target is whom the claims token would be made for, as the client wrote it.
	Target string
	// Client is the client_id.
	Client string
	Now    time.Time
}

// CompileRelease makes a release rule of an expression that must yield a bool.
// The error is an *Error when the expression is at fault.
func CompileRelease(expression string) (*Release, error) {
	c, err := compile(expression, releases())
	if err != nil {
		return nil, err
	}
	return &Release{c}, nil
}

// Evaluate runs the expression. Its errors hold no value of a claim; whoever gets
// one must release nothing.
func (r *Release) Evaluate(ctx context.Context, in ReleaseInput) (bool, error) {
	bounded := &policy.Input{Claims: in.Claims, Budget: policy.NewBudget(CostLimit)}
	return r.condition.evaluate(ctx, bounded, map[string]any{
		"email": emailVar(in.Email), "sub": in.Subject, nameClaims: in.Claims,
		"target": in.Target, "client": in.Client, "now": in.Now,
	})
}
