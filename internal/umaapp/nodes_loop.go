package umaapp

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// lookForStore is how often the loop looks whether the store is in use, or a beat is
// due.
const lookForStore = time.Second

// leaveTime bounds what the end of the process waits for.
const leaveTime = time.Second

// background is a goroutine of one configuration.
type background struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// start begins it, once.
func (b *background) start(loop func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan struct{})
	go func(done chan<- struct{}) {
		defer close(done)
		loop(ctx)
	}(b.done)
}

// stop ends it and waits for that; a second stop does nothing.
func (b *background) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel == nil {
		return
	}
	b.cancel()
	<-b.done
	b.cancel = nil
}

// startBeating makes this configuration the one that speaks for the process. Where
// no other process can open the store nobody would listen.
func (a *App) startBeating() {
	a.nodes.process.begin(a)
	if a.shared() {
		a.nodes.beating.start(a.beatLoop)
	}
}

// shared tells whether other processes may use the store, too.
func (a *App) shared() bool {
	_, alone := a.store.backend.(*Bolt) // it locks its file
	return !alone
}

// stopBeating takes the document away when the process ends, so that the others know
// at once.
func (a *App) stopBeating() {
	if a.nodes.process == nil { // it was not provisioned
		return
	}
	a.nodes.beating.stop()
	if !a.nodes.process.end(a) || a.store.opened.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := a.leave(ctx); err != nil {
		a.log.Debug("the heartbeat of this node stays until it expires", zap.Error(err))
	}
}

func (a *App) leave(ctx context.Context) error {
	if err := enter(ctx, a.nodes.gate); err != nil {
		return err
	}
	defer exit(a.nodes.gate)
	if a.nodes.rev == 0 {
		return nil
	}
	return a.store.Commit(ctx, store.Delete(nodeKey(a.nodes.process.id), a.nodes.rev))
}

func (a *App) beatLoop(ctx context.Context) {
	ticker := time.NewTicker(lookForStore)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.tick(ctx)
		}
	}
}

// tick never opens a store that this process has not used yet. After a reload it goes on
// at once: a node that nobody asks for half a minute is there all the same.
func (a *App) tick(ctx context.Context) {
	if a.store.opened.Load() == nil && !a.nodes.process.uses(a.store.key) || !a.due() || a.nodes.process.current(a) != a {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	if err := a.beat(ctx); err != nil && !errors.Is(err, errClocks) {
		a.log.Debug("the heartbeat of this node could not be written", zap.Error(err)) // uma_health and every request say so louder
		return
	}
	if _, err := a.look(ctx); err != nil {
		a.log.Debug("the heartbeats of other nodes could not be read", zap.Error(err))
	}
}

// due tells whether the last beat is old.
func (a *App) due() bool {
	a.nodes.mu.Lock()
	defer a.nodes.mu.Unlock()
	since := a.now().Sub(a.nodes.beaten)
	return since < 0 || since >= beatEvery
}
