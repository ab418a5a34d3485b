package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"
)

// runningCheck is a check that is not begun again before it has come to an end.
type runningCheck struct {
	Check

	mu      sync.Mutex
	running chan struct{}
	err     error
	said    string // what was logged last
}

func (c *runningCheck) start(ctx context.Context) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return c.running
	}
	ended := make(chan struct{})
	c.running = ended
	go func() {
		err := Guarded(ctx, c.Do)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err, c.running = err, nil
		close(ended)
	}()
	return ended
}

// Guarded turns a panic into an error: nobody above would recover it.
func Guarded(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return do(ctx)
}

func (c *runningCheck) outcome() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// trouble puts words to an error.
func (c *runningCheck) trouble(err error) *Error {
	if err == nil {
		return nil
	}
	t := Error{Err: err}
	if known, ok := errors.AsType[*Error](err); ok {
		t = *known
	}
	t.Reason = cmp.Or(t.Reason, words[place(c.Name)].reason)
	return &t
}

// note logs a change, once, with its cause.
func (c *runningCheck) note(log *zap.Logger, r Result) {
	said := ""
	if r.Trouble != nil {
		said = r.Trouble.Reason + r.Trouble.Error()
	}
	if said == c.said {
		return
	}
	c.said = said
	fields := []zap.Field{zap.String("check", c.Name)}
	for _, f := range [][2]string{{"role", c.Role}, {"issuer", c.Issuer}, {"client_id", c.ClientID}} {
		if f[1] != "" {
			fields = append(fields, zap.String(f[0], f[1]))
		}
	}
	switch {
	case r.Trouble == nil:
		log.Info("health: well again", fields...)
	case r.Trouble.Mild:
		log.Warn("health: "+r.Trouble.Reason, append(fields, zap.Error(r.Trouble))...)
	default:
		log.Error("health: "+r.Trouble.Reason, append(fields, zap.Error(r.Trouble))...)
	}
}

func (c *runningCheck) compare(other *runningCheck) int {
	return cmp.Or(
		cmp.Compare(place(c.Name), place(other.Name)), cmp.Compare(c.Issuer, other.Issuer),
		cmp.Compare(c.Role, other.Role), cmp.Compare(c.ClientID, other.ClientID),
	)
}
