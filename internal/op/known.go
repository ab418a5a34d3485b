package op

import "sync"

// maxKnown bounds what is remembered of places; then it starts anew.
const maxKnown = 10_000

// places remembers from which sources a user has logged in. The limit of
// the source alone holds there, so that strangers who try his name from elsewhere
// cannot lock him out. Only a right password
// adds an entry.
type places struct {
	mu    sync.Mutex
	known map[string]bool
}

func place(source, name string) string { return hashID(source + "\x00" + name) }

func (p *places) add(source, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= maxKnown {
		p.known = make(map[string]bool)
	}
	p.known[place(source, name)] = true
}

func (p *places) has(source, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[place(source, name)]
}
