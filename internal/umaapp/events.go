package umaapp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// maxNotices wait for the handlers of Caddy events; what comes on top is dropped.
const maxNotices = 1024

// lastWait is how long a configuration that stops waits for its handlers.
const lastWait = time.Second

// emitter hands events to Caddy's app `events`. Caddy calls the handlers where an
// event is emitted, and such a handler may start a program or call a server. So
// requests only put a notice into a bounded queue, and a goroutine, which is there
// while the queue is not empty, does the rest. A handler cannot abort anything: what
// it hears of has been decided. A nil emitter emits nothing.
type emitter struct {
	app     *caddyevents.App
	ctx     caddy.Context
	log     *zap.Logger
	dropped prometheus.Counter
	// heir is where events of late requests go: Caddy lets servers finish theirs when
	// the configuration is gone already.
	heir func() *emitter
	// patience is how long stop waits for the handlers.
	patience time.Duration

	mu      sync.Mutex
	queue   []notice
	running bool          // all apps have started: subscriptions change no more
	stopped bool          // nothing is taken any more
	idle    chan struct{} // closed when the goroutine has ended; nil without one
}

// notice is an event on its way.
type notice struct {
	name string
	data map[string]any
}

// caddyEvent is the name of an event for Caddy, "" if it is none there: what every
// request has would be too much.
func caddyEvent(e event.Event) string {
	switch e := e.(type) {
	case event.Decision:
		return "uma_decision"
	case event.Exchange:
		return "uma_exchange"
	case event.Revocation:
		return "uma_revocation"
	case event.Replay:
		return "uma_replay"
	case event.Continuity:
		return "uma_continuity"
	case event.Block:
		if e.Lifted {
			return "uma_unblock"
		}
		return "uma_block"
	default:
		return ""
	}
}

func (a *App) provisionEvents() error {
	app, err := a.ctx.App("events")
	if err != nil {
		return fmt.Errorf("uma: events: %w", err)
	}
	events, ok := app.(*caddyevents.App)
	if !ok {
		return fmt.Errorf("uma: events: %T is not Caddy's app", app)
	}
	a.events = &emitter{
		app: events, ctx: a.ctx, log: a.log, dropped: a.metrics.dropped.by[values{}], heir: currentEmitter, patience: lastWait,
	}
	return events.On("started", &onStarted{a.events})
}

// currentEmitter is that of the configuration that runs now, or nil.
func currentEmitter() *emitter {
	app, err := currentApp()
	if err != nil {
		return nil
	}
	return app.events
}

// emit takes an event, if anybody listens to it.
func (em *emitter) emit(_ context.Context, e event.Event) {
	name := caddyEvent(e)
	if em == nil || name == "" || !em.wanted(name) {
		return
	}
	l, ok := describe(e)
	if !ok {
		return
	}
	n := notice{name: name, data: plain(l.fields)}
	if em.take(n) {
		return
	}
	if heir := em.heir(); heir != nil && heir != em && heir.take(n) {
		return
	}
	em.dropped.Inc()
}

// wanted tells whether anybody listens. Until all apps have started, who does is not
// known, and must not be looked at: the app may be writing it down.
func (em *emitter) wanted(name string) bool {
	em.mu.Lock()
	running := em.running
	em.mu.Unlock()
	return !running || em.app.ShouldEmit(name)
}

// take puts a notice into the queue, if it has room.
func (em *emitter) take(n notice) bool {
	em.mu.Lock()
	defer em.mu.Unlock()
	if em.stopped || len(em.queue) >= maxNotices {
		return false
	}
	em.queue = append(em.queue, n)
	em.work()
	return true
}

// work sees to it that the queue gets empty. The lock is held.
func (em *emitter) work() {
	if em.running && em.idle == nil && len(em.queue) > 0 {
		em.idle = make(chan struct{})
		go em.deliverAll(em.idle)
	}
}

func (em *emitter) deliverAll(idle chan<- struct{}) {
	defer close(idle)
	for n, ok := em.next(); ok; n, ok = em.next() {
		em.deliver(n)
	}
}

func (em *emitter) next() (notice, bool) {
	em.mu.Lock()
	defer em.mu.Unlock()
	if len(em.queue) == 0 {
		em.queue, em.idle = nil, nil
		return notice{}, false
	}
	n := em.queue[0]
	em.queue = em.queue[1:]
	return n, true
}

// deliver calls the handlers. A panic of theirs would end the process here, where in
// a request it would only end that.
func (em *emitter) deliver(n notice) {
	defer func() {
		if v := recover(); v != nil {
			em.log.Error("the handler of an event panicked", zap.String("event", n.name), zap.Any("panic", v), zap.Stack("stack"))
		}
	}()
	em.app.Emit(em.ctx, n.name, n.data)
}

// begin lets the handlers be called.
func (em *emitter) begin() {
	em.mu.Lock()
	defer em.mu.Unlock()
	em.running = true
	em.work()
}

// stop takes nothing more, and waits a moment for what is on its way. The rest ends
// with the context, which ends the handlers.
func (em *emitter) stop() {
	if em == nil {
		return
	}
	em.mu.Lock()
	em.stopped = true
	idle := em.idle
	em.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(em.patience)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		em.giveUp()
	}
}

// giveUp drops what is still in the queue.
func (em *emitter) giveUp() {
	em.mu.Lock()
	defer em.mu.Unlock()
	em.dropped.Add(float64(len(em.queue)))
	em.queue = nil
}

// onStarted hears that all apps have started.
type onStarted struct{ emitter *emitter }

// Handle implements caddyevents.Handler.
func (s *onStarted) Handle(context.Context, caddy.Event) error {
	s.emitter.begin()
	return nil
}

var _ caddyevents.Handler = (*onStarted)(nil)
