package pipeline

// recordForms count what records look like, so that an operator sees what the collector sends.
type recordForms struct {
	texts [textKeys]uint64  // by the key of the text
	times [timeForms]uint64 // by the form of the time

	// Of the latest record.
	text int
	time timeForm
}

var textKeyNames = [textKeys]string{"log", "message", "msg"}

func (f *recordForms) add(other *recordForms) {
	for i, n := range other.texts {
		f.texts[i] += n
	}
	for i, n := range other.times {
		f.times[i] += n
	}
}
