package outbound

// NewLoose is a strict client for which every stranger's host is at one address.
// It shows what the limits do behind redirects, where no exception leads.
func NewLoose(cfg Config, addr string) *Strict {
	s := NewStrict(cfg)
	s.table.rest = route{dialer: dialer{to: addr, timeout: hop(cfg.timeout())}, roots: cfg.Roots}
	return s
}
