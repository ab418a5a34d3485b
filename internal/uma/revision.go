package uma

// PolicyRevision identifies the policies that run.
func (s *Server) PolicyRevision() string { return s.cfg.PolicyRevision }
