package umaapp

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

const (
	// clockLeeway is by how much the clocks of nodes and database may differ: what two
	// parties tolerate.
	clockLeeway = time.Minute
	// clockTooSlow is from when on what this node records has expired when it is written:
	// a ticket lives as long.
	clockTooSlow = 5 * time.Minute
)

// compareClocks is an error if the clock of this machine is not that of the store. If it
// is so slow that nothing can be recorded, that is bad for this node; else it is reported,
// as it may be the database's that is wrong, for all nodes at once. The caller holds mu.
func (a *App) compareClocks(now, stored time.Time) error {
	by := now.Sub(stored)
	if by.Abs() <= clockLeeway {
		a.nodes.skewed = false
		return nil
	}
	if !a.nodes.skewed {
		a.log.Error("the clocks of this node and of the database differ: what one node makes, others may refuse. Set them (NTP)", zap.Duration("by", by))
	}
	a.nodes.skewed = true
	return &health.Error{Reason: "the clocks of this node and of the database differ", Mild: by > -clockTooSlow, Err: errClocks}
}

var errClocks = errors.New("the clocks of this node and of the database differ; see the line about it")
