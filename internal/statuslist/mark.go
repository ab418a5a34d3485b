package statuslist

// marksPerList: how new a list was is remembered for many more lists than are kept. A
// mark takes little memory.
const marksPerList = 64

// mark says how new a list was. It stays when the list has to go: an older copy must
// not come in its place.
type mark struct{ sequence, issued int64 }

func (c *Claims) mark() mark { return mark{c.Sequence, c.IssuedAt} }

// before: iat counts for an issuer without sequences alone. The clocks of two nodes
// differ, and a list that did not change stays the token that it was.
func (m mark) before(last mark) bool {
	return m.sequence < last.sequence || m.sequence == 0 && m.issued < last.issued
}

// last is the mark of the newest list that was seen at a URI.
func (c *Cache) last(uri string) mark {
	m, _ := c.marks.Get(uri)
	return m
}

// remember keeps the newest one: a list that had to go while it was read may be read
// twice at once.
func (c *Cache) remember(uri string, m mark) {
	c.trimming.Lock()
	defer c.trimming.Unlock()
	if !m.before(c.last(uri)) {
		c.marks.Add(uri, m)
	}
}
