package outbound

import (
	"errors"
	"net/netip"
	"sync"
)

// lease holds what Request.Admit gave for one hop. A dial may outlive its hop,
// and two addresses of a host may be dialled at once.
type lease struct {
	admit func(netip.Addr) (done func(), err error)

	mu    sync.Mutex
	over  bool
	dones []func()
}

var errOver = errors.New("the request is over")

func (l *lease) take(addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return errOver
	}
	done, err := l.admit(addr)
	if err == nil && done != nil {
		l.dones = append(l.dones, done)
	}
	return err
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, done := range l.dones {
		done()
	}
	l.dones = nil
}
