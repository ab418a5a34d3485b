package cli

import (
	"errors"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var usage usageError
	var gone unreachableError
	var step *rqp.StepError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &gone):
		return exitUnreachable
	case errors.As(err, &step) && step.Code == rqp.CodeUnreachable:
		return exitUnreachable
	default:
		return exitRefused
	}
}
