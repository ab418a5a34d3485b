package statuslist_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

// at asks about a token of the n-th list.
func (w *world) at(n int, index int64) error {
	w.t.Helper()
	return w.cache.Check(context.Background(), w.keys, statuslist.Reference{Index: index, URI: fmt.Sprintf("%s-%d", uri, n)})
}

const kib = 8 << 10 // tokens

// However many lists an issuer has, those that are kept fit; a token whose list had to
// go is not accepted before that has been read again.
func TestBytesAreBounded(t *testing.T) {
	for _, failOpen := range []bool{false, true} {
		w := newWorld(t, statuslist.Config{Bytes: 3 << 10, FailOpen: failOpen})
		w.size = kib
		w.revoke(7)
		for n := range 20 {
			if err := w.at(n, 1); err != nil {
				t.Fatal(err)
			}
			if have := w.cache.Bytes(); have > 3<<10 {
				t.Fatalf("%d bytes after %d lists", have, n+1)
			}
		}
		if w.cache.Bytes() < 3<<10 {
			t.Errorf("%d bytes: more was let go than needed", w.cache.Bytes())
		}
		before := w.fetched()
		for _, n := range []int{17, 18, 19} {
			if err := w.at(n, 7); !errors.Is(err, statuslist.ErrRevoked) {
				t.Error(err)
			}
		}
		if w.fetched() != before {
			t.Error("the lists that were used last were read again")
		}
		w.do(func() { w.fail = errors.New("down") })
		for _, index := range []int64{1, 7} {
			if err := w.at(0, index); !errors.Is(err, statuslist.ErrLost) {
				t.Errorf("fail_open %v, index %d: %v", failOpen, index, err)
			}
		}
		w.do(func() { w.fail = nil })
		w.pass(statuslist.Pause)
		if err := w.at(0, 7); !errors.Is(err, statuslist.ErrRevoked) {
			t.Error(err)
		}
		if err := w.at(0, 1); err != nil {
			t.Error(err)
		}
	}
}

// The list that is used stays, whoever else is read.
func TestBytesOfAListInUse(t *testing.T) {
	w := newWorld(t, statuslist.Config{Bytes: 2 << 10})
	w.size = kib
	for n := range 10 {
		for _, list := range []int{0, n + 1} {
			if err := w.at(list, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.fetched() != 11 {
		t.Errorf("%d readings of 11 lists", w.fetched())
	}
}

// What was newer than a copy stays so, also when it had to go.
func TestNoOlderCopyAfterTheBound(t *testing.T) {
	w := newWorld(t, statuslist.Config{Bytes: 1 << 10})
	w.size = kib
	w.revoke(7)
	if err := w.at(0, 7); !errors.Is(err, statuslist.ErrRevoked) {
		t.Fatal(err)
	}
	if err := w.at(1, 1); err != nil { // the other one goes
		t.Fatal(err)
	}
	w.do(func() { w.seq, w.revoked = w.seq-1, nil })
	if err := w.at(0, 7); !errors.Is(err, statuslist.ErrLost) {
		t.Errorf("an old copy: %v", err)
	}
}

// Nor may it come after so many others that nothing else is known of it any more.
func TestNoOlderCopyAfterManyLists(t *testing.T) {
	w := newWorld(t, statuslist.Config{Size: 2})
	w.revoke(7)
	for n := range 4 { // the first two go
		if err := w.at(n, 7); !errors.Is(err, statuslist.ErrRevoked) {
			t.Fatal(err)
		}
	}
	w.do(func() { w.seq, w.revoked = w.seq-1, nil })
	if err := w.at(0, 7); !errors.Is(err, statuslist.ErrLost) {
		t.Errorf("an old copy: %v", err)
	}
	w.do(func() { w.seq++ })
	w.pass(statuslist.Pause)
	if err := w.at(0, 7); err != nil {
		t.Errorf("a copy that is as new: %v", err)
	}
}

// One list alone is bounded as well.
func TestListAboveTheBound(t *testing.T) {
	w := newWorld(t, statuslist.Config{Bytes: 1<<10 - 1})
	w.size = kib
	w.want(1, statuslist.ErrLost)
	if w.cache.Bytes() != 0 {
		t.Errorf("%d bytes", w.cache.Bytes())
	}
}

// Lists grow while they are unpacked, so not all are at once.
func TestReadingsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, statuslist.Config{})
		gate := make(chan struct{})
		w.do(func() { w.gate = gate })
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				if err := w.at(n, 1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := w.fetched(); n != 4 {
			t.Errorf("%d at once", n)
		}
		close(gate)
		wg.Wait()
		if n := w.fetched(); n != 20 {
			t.Errorf("%d readings", n)
		}
	})
}

// Who waits for others that hang hears so in time.
func TestReadingsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, statuslist.Config{})
		gate := make(chan struct{})
		w.do(func() { w.gate = gate })
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() { _ = w.at(n, 1) })
		}
		synctest.Wait()
		if err := w.at(4, 1); !errors.Is(err, statuslist.ErrLost) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(gate)
		wg.Wait()
	})
}
