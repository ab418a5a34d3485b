package statuslist

import "errors"

// ErrStale: a list that is in use could not be read again in time, and the last one
// is used for a while.
var ErrStale = errors.New("the status list is older than it should be")

// Fresh tells whether the lists that tokens have asked for lately are as recent as
// they should be: nil, ErrStale or ErrLost, each with its cause. It reads nothing; of
// a list that nobody needs nothing is known, and that is no fault.
func (c *Cache) Fresh() error {
	var worst error
	for _, list := range c.lists.Values() {
		switch err := list.fresh(c); {
		case errors.Is(err, ErrLost):
			return err
		case err != nil:
			worst = err
		}
	}
	return worst
}

func (l *cached) fresh(c *Cache) error {
	have := l.held.Load()
	age := c.age(have)
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := c.cfg.Now().Sub(l.tried)
	switch {
	case l.failed == nil || age < c.cfg.MaxAge, idle < 0 || idle >= StaleFactor*c.cfg.MaxAge:
		return nil
	case age < StaleFactor*c.cfg.MaxAge, have != nil && c.cfg.FailOpen:
		return errors.Join(ErrStale, l.failed)
	}
	return errors.Join(ErrLost, l.failed)
}
