package plugin

// Ready reports whether a process serves and its last check found nothing amiss. Calls that
// fail say nothing here: whether it is a call or the storage that is bad is what their caller
// wants to know.
func (s *Storage) Ready() bool { return s.supervisor.checkedReady() }
