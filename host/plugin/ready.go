package plugin

// Ready reports whether a process serves and says that its backend does.
func (s *Storage) Ready() bool { return s.supervisor.Status().State == Ready }
