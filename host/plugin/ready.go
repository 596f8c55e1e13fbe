package plugin

// Ready reports whether a process serves and its last check found nothing amiss. Failed calls do
// not count: their caller asks Ready whether the call or the storage is bad.
func (s *Storage) Ready() bool { return s.supervisor.checkedReady() }
