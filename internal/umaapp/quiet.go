package umaapp

import (
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// quietLines of one message are logged within quietWindow.
	quietLines  = 10
	quietWindow = 10 * time.Second
	// quietMessages bounds how many messages are counted. They are constants of this
	// program and few.
	quietMessages = 256
)

// Logger is the logger of a module of ours. What is logged at warn or above is
// logged for each request while a disk is full or an authorization server is
// down: of each message the first lines name the cause, and the rest are counted.
func Logger(ctx caddy.Context) *zap.Logger { return quiet(ctx.Logger()) }

func quiet(log *zap.Logger) *zap.Logger {
	all := &counted{lines: map[string]*lines{}}
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return quietCore{core, all} }))
}

type quietCore struct {
	zapcore.Core
	all *counted
}

// With implements zapcore.Core.
func (c quietCore) With(fields []zapcore.Field) zapcore.Core {
	return quietCore{c.Core.With(fields), c.all}
}

// Check implements zapcore.Core. The line after a silence says how many are
// missing.
func (c quietCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level < zapcore.WarnLevel || e.Level > zapcore.ErrorLevel {
		return c.Core.Check(e, to)
	}
	ok, missing := c.all.count(e)
	switch {
	case !ok:
		return to
	case missing > 0:
		return c.Core.With([]zapcore.Field{zap.Int("left_out", missing)}).Check(e, to)
	}
	return c.Core.Check(e, to)
}

// counted is how often messages came lately.
type counted struct {
	mu    sync.Mutex
	lines map[string]*lines
}

type lines struct {
	since      time.Time
	n, missing int
}

// count tells whether a line is logged, and how many were left out before it.
func (c *counted) count(e zapcore.Entry) (ok bool, missing int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[e.Message]
	if l == nil {
		if len(c.lines) >= quietMessages {
			clear(c.lines)
		}
		l = &lines{since: e.Time}
		c.lines[e.Message] = l
	}
	if age := e.Time.Sub(l.since); age < 0 || age >= quietWindow {
		missing = l.missing
		*l = lines{since: e.Time}
	}
	if l.n++; l.n > quietLines {
		l.missing++
		return false, 0
	}
	return true, missing
}
