package uma_test

import (
	"context"
	"errors"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// when is a condition in code.
type when func(in *policy.Input) (bool, error)

func (w when) Evaluate(_ context.Context, in *policy.Input) (bool, error) { return w(in) }

func ownerIs(name string) when {
	return func(in *policy.Input) (bool, error) { return in.Resource.Owner == name, nil }
}

// claimIs fails if the claim is absent, as a CEL expression does.
func claimIs(name string, value any) when {
	return func(in *policy.Input) (bool, error) {
		have, there := in.Claims[name]
		if !there {
			return false, errors.New("no such claim")
		}
		return have == value, nil
	}
}
