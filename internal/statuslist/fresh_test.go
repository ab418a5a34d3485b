package statuslist_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

func TestFresh(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second, FailOpen: open})
		fresh := func(when string, want error) {
			t.Helper()
			read := 0 // how often something was read meanwhile: once may be what a check before began
			for range 3 {
				before := w.fetched()
				if err := w.cache.Fresh(); !errors.Is(err, want) || (want == nil) != (err == nil) {
					t.Errorf("fail open %v, %s: %v, want %v", open, when, err, want)
				}
				if w.fetched() != before {
					read++
				}
			}
			if read > 1 {
				t.Errorf("%s: Fresh reads lists", when)
			}
		}
		down := errors.New("down")
		fresh("nobody asked yet", nil)
		w.want(3, nil)
		fresh("just read", nil)
		w.pass(time.Hour)
		fresh("nobody needs it", nil)
		w.want(3, nil)
		w.do(func() { w.fail = down })
		w.pass(10 * time.Second)
		w.want(3, nil)
		fresh("used for a while", statuslist.ErrStale)
		fresh("used for a while", down)
		w.pass(19 * time.Second)
		w.want(3, nil)
		w.settle(w.fetched())
		w.pass(time.Second)
		_ = w.check(3)
		fresh("too old", map[bool]error{false: statuslist.ErrLost, true: statuslist.ErrStale}[open])
		w.pass(time.Hour)
		fresh("nobody needs it any more", nil)
		w.do(func() { w.fail = nil })
		w.pass(time.Minute)
		good := 0
		for i := 0; good < 5 && i < 2000; i++ { // a reading that failed may be under way
			if good++; w.check(3) != nil || w.cache.Fresh() != nil {
				good = 0
			}
			time.Sleep(time.Millisecond)
		}
		w.want(3, nil)
		fresh("read again", nil)
	}
}
