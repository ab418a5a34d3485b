package statuslist

// Bytes is how much memory the lists of a cache take.
func (c *Cache) Bytes() (n int) {
	for _, l := range c.lists.Values() {
		n += l.footprint()
	}
	return n
}
