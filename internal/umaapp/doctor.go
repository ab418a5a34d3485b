package umaapp

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// Examine finds out what `caddy validate` cannot know of a part of the configuration.
// It asks only what the part asks anyway, with the clients that it has for that, and
// tells no secret.
type Examine func(context.Context) []finding.Finding

// RegisterExamine adds a part of this configuration to what `caddy uma doctor` looks
// at. It is for Provision.
func (a *App) RegisterExamine(e Examine) {
	d := &a.registry.doctor
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parts = append(d.parts, &examinedPart{do: e})
}

// doctor is what `caddy uma doctor` looks at.
type doctor struct {
	mu    sync.Mutex
	parts []*examinedPart
	own   sync.Once
	busy  sync.Mutex // one examination runs at a time
}

// examinedPart is not examined again before that has come to an end.
type examinedPart struct {
	do      Examine
	running atomic.Bool
}

// Bounds of an examination.
const (
	// examineTime is how long it may take in all, and partTime one part of it.
	examineTime = 40 * time.Second
	partTime    = 30 * time.Second
	// examineAtOnce is how many parts are examined at a time.
	examineAtOnce = 8
	// maxFindings bounds the answer.
	maxFindings = 2000
)

// Examine looks at everything. ok is false if somebody else does that now.
func (a *App) Examine(ctx context.Context) (all []finding.Finding, ok bool) {
	d := &a.registry.doctor
	if !d.busy.TryLock() {
		return nil, false
	}
	defer d.busy.Unlock()
	d.own.Do(a.ownExamines)
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	// What uses the store keeps it open: whoever loads another configuration must not wait.
	defer context.AfterFunc(a.ctx, cancel)() //nolint:contextcheck // of the configuration, not of the question
	d.mu.Lock()
	parts := slices.Clone(d.parts)
	d.mu.Unlock()
	all = finding.Sort(examineParts(ctx, parts, a.log))
	if a.ctx.Err() != nil { // what was found may be due to that alone
		return []finding.Finding{doctorsOwn("reload", finding.Failure, "not everything could be looked at", "another configuration was loaded meanwhile", "again: caddy uma doctor")}, true
	}
	if more := len(all) - maxFindings; more > 0 {
		all = append(all[:maxFindings:maxFindings], doctorsOwn("bound", finding.Warning, fmt.Sprintf("%d more findings are left out", more), "", ""))
	}
	return all, true
}

// examineParts does some at a time. Who does not come to an end is not waited for.
func examineParts(ctx context.Context, parts []*examinedPart, log *zap.Logger) []finding.Finding {
	answers, places := make(chan []finding.Finding, len(parts)), make(chan struct{}, examineAtOnce)
	for _, part := range parts {
		go func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				answers <- part.examine(ctx, log)
			case <-ctx.Done():
			}
		}()
	}
	var all []finding.Finding
	for i := range parts {
		select {
		case list := <-answers:
			all = append(all, list...)
		case <-ctx.Done():
			return append(all, unfinished(len(parts)-i))
		}
	}
	return all
}

// examine turns a panic into a finding: nobody above would recover it.
func (p *examinedPart) examine(ctx context.Context, log *zap.Logger) (all []finding.Finding) {
	if p.running.Swap(true) {
		return []finding.Finding{unfinished(1)}
	}
	defer p.running.Store(false)
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			log.Error("a check of caddy uma doctor broke off", zap.Any("panic", v), zap.Stack("stack"))
			all = []finding.Finding{doctorsOwn("panic", finding.Failure, "a check broke off", "a mistake in this program; its log has more", "report it with the output of: caddy version")}
		}
	}()
	return p.do(ctx)
}

func unfinished(n int) finding.Finding {
	return doctorsOwn("time", finding.Failure, fmt.Sprintf("parts of the configuration that could not be examined in time: %d", n),
		"a server, a database or a storage is very slow", "again in a minute, and look into the log of this Caddy")
}

func doctorsOwn(check string, l finding.Level, what, cause, cure string) finding.Finding {
	return finding.Finding{Subject: "doctor", Check: check, Level: l, What: what, Cause: cause, Cure: cure}
}
