package uma

import (
	"context"
	"errors"
	"slices"
)

// endAll ends the live grants that a block hits and says how many these were. One
// that cannot be ended does not save the others.
func (s *Server) endAll(ctx context.Context, b blockable) (ended int, err error) {
	var failed error
	err = s.eachGrant(ctx, func(id string, rec grantRecord) error {
		hit, err := s.endHit(ctx, id, rec, b)
		if err != nil {
			failed = err // the last one stands for all
		}
		if hit {
			ended++
		}
		return nil
	})
	return ended, errors.Join(err, failed)
}

// endHit ends one grant, if the block hits it.
func (s *Server) endHit(ctx context.Context, id string, rec grantRecord, b blockable) (hit bool, err error) {
	reason, err := s.blockedFor(ctx, rec, func(who *party) (bool, error) {
		return slices.Contains(who.blockables(), b), nil
	})
	if err != nil || reason == "" {
		return false, err
	}
	if err := s.endGrant(ctx, id, reason, true); err != nil {
		return false, err
	}
	return true, nil
}
