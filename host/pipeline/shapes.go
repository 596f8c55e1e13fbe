package pipeline

// shapes count what records look like, so that an operator sees what the collector sends.
type shapes struct {
	texts [textKeys]uint64  // by the key of the text
	times [timeForms]uint64 // by the form of the time

	// Of the latest record.
	text int
	time timeForm
}

var textKeyNames = [textKeys]string{"log", "message", "msg"}

func (s *shapes) add(other *shapes) {
	for i, n := range other.texts {
		s.texts[i] += n
	}
	for i, n := range other.times {
		s.times[i] += n
	}
}
