package discovery

// Remembered is how many addresses and issuers are in memory.
func (f *Finder) Remembered() (addresses, issuers int) { return f.addresses.len(), f.issuers.len() }
