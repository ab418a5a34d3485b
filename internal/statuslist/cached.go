package statuslist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// fetchTime bounds one reading of a list.
const fetchTime = 10 * time.Second

// held is a list that was verified; it is replaced, never changed.
type held struct {
	list  *List
	mark  mark
	etag  string
	key   jose.PublicKey
	asked time.Time // when it was asked for: it is at most as old as that
}

// cached is what is known of one URI.
type cached struct {
	held atomic.Pointer[held]

	mu      sync.Mutex
	running chan struct{} // closed at the end of the reading that all wait for
	tried   time.Time     // when the last one began
	failed  error         // how the last one ended
	ended   time.Time     // and when
}

// age is that of a list; without one, or if the clock was set back, it is too old.
func (c *Cache) age(h *held) time.Duration {
	if h != nil {
		if age := c.cfg.Now().Sub(h.asked); age >= 0 {
			return age
		}
	}
	return StaleFactor * c.cfg.MaxAge
}

// recent gives a list that is not too old. Who finds one that will soon be has it
// read again and does not wait for that.
func (l *cached) recent(ctx context.Context, c *Cache, keys jose.KeySet, uri string) (*held, error) {
	have := l.held.Load()
	age := c.age(have)
	switch {
	case age < c.cfg.MaxAge/2:
		return have, nil
	case age < c.cfg.MaxAge, have != nil && l.isFailing(c):
		l.start(ctx, c, keys, uri)
	default:
		if err := l.read(ctx, c, keys, uri); err != nil {
			return nil, err
		}
	}
	return l.usable(c)
}

// usable gives the list if it may still be used.
func (l *cached) usable(c *Cache) (*held, error) {
	have := l.held.Load()
	if have != nil && (c.cfg.FailOpen || c.age(have) < StaleFactor*c.cfg.MaxAge) {
		return have, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return nil, errors.Join(ErrLost, l.failed)
}

// newer reads a list again that does not speak of a token.
func (l *cached) newer(ctx context.Context, c *Cache, keys jose.KeySet, uri string, than *held) (*held, error) {
	if c.age(than) < Pause {
		return than, nil
	}
	if err := l.read(ctx, c, keys, uri); err != nil {
		return nil, err
	}
	return l.usable(c)
}

// isFailing tells whether the list was just found not to be had, so that nobody has
// to wait for that again. Of what failed long ago nothing is known now.
func (l *cached) isFailing(c *Cache) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := c.cfg.Now().Sub(l.ended)
	return l.failed != nil && since >= 0 && since < fetchTime
}

// read waits for a reading. The error is that of the caller's context alone.
func (l *cached) read(ctx context.Context, c *Cache, keys jose.KeySet, uri string) error {
	done := l.start(ctx, c, keys, uri)
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.Join(ErrLost, ctx.Err())
	}
}

// start begins a reading unless one runs, and gives its end; nil if the last one
// failed just now. One caller's leaving does not end what others wait for.
func (l *cached) start(ctx context.Context, c *Cache, keys jose.KeySet, uri string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil {
		return l.running
	}
	now := c.cfg.Now()
	if since := now.Sub(l.tried); l.failed != nil && since >= 0 && since < Pause {
		return nil
	}
	l.running, l.tried = make(chan struct{}), now
	go l.run(context.WithoutCancel(ctx), c, keys, uri, now)
	return l.running
}

func (l *cached) run(ctx context.Context, c *Cache, keys jose.KeySet, uri string, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	fresh, err := l.inTurn(ctx, c, keys, uri, now)
	if err != nil {
		c.cfg.Lost(ctx, uri, err)
	} else {
		c.remember(uri, fresh.mark)
		l.held.Store(fresh)
		c.trim(uri)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed, l.ended = err, c.cfg.Now()
	close(l.running)
	l.running = nil
}

// inTurn is fetch when not too many others are read.
func (l *cached) inTurn(ctx context.Context, c *Cache, keys jose.KeySet, uri string, now time.Time) (*held, error) {
	select {
	case c.readings <- struct{}{}:
		defer func() { <-c.readings }()
		return l.fetch(ctx, c, keys, uri, now)
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for other status lists: %w", ctx.Err())
	}
}

// fetch gives the list as it is now. A panic in what the caller handed in must not
// end the process: nobody above would recover it.
func (l *cached) fetch(ctx context.Context, c *Cache, keys jose.KeySet, uri string, now time.Time) (fresh *held, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	have, etag := l.held.Load(), ""
	if have != nil && stillSigned(ctx, keys, have) {
		etag = have.etag
	}
	answer, err := c.cfg.Fetch(ctx, uri, etag)
	switch {
	case err != nil:
		return nil, err
	case answer.Unchanged && etag != "":
		again := *have
		again.asked = now
		return &again, nil
	case answer.Unchanged:
		return nil, errors.New("an unchanged status list was not asked for")
	}
	fresh, err = c.open(ctx, keys, uri, answer, c.last(uri), now)
	if err == nil && have != nil && fresh.mark.sequence > 0 {
		fresh.list.join(have.list)
	}
	return fresh, err
}

// stillSigned: a list is worth as much as its key, which may have been retired
// because somebody else has it.
func stillSigned(ctx context.Context, keys jose.KeySet, have *held) bool {
	key, err := keys.Key(ctx, have.key.KID, have.key.Alg)
	return err == nil && key.Same(have.key)
}
