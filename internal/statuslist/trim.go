package statuslist

// maxReadings is how many lists are read at once: while it is unpacked, one of the
// largest takes some ten times as much memory as afterwards.
const maxReadings = 4

// trim lets go of the lists that were used longest ago until the others fit into
// Config.Bytes; never of the one that was just read. Without its list a token is
// refused until it has been read again.
func (c *Cache) trim(read string) {
	c.trimming.Lock()
	defer c.trimming.Unlock()
	total := 0
	for _, l := range c.lists.Values() {
		total += l.footprint()
	}
	for _, uri := range c.lists.Keys() { // from the one that was used longest ago
		if total <= c.cfg.Bytes {
			return
		}
		if l, ok := c.lists.Peek(uri); ok && uri != read {
			total -= l.footprint()
			l.held.Store(nil)
		}
	}
}

func (l *cached) footprint() int {
	if have := l.held.Load(); have != nil {
		return have.list.footprint()
	}
	return 0
}
