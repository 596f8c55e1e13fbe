package read

import "github.com/deis/logger/sdk"

// Line holds a line that was joined of pieces, or chosen from a log for one reader, with what the
// reader is told of it.
type Line struct {
	Entry sdk.Entry
	// Place is the place just behind the line.
	Place Place
	// Late is what [Span.Late] reports.
	Late bool
	// Context says that the line is here because of another one near it. Apart says that there are
	// lines between it and the one before.
	Context, Apart bool
}

// spanOf makes a span of lines.
func spanOf(lines []Line) *Span {
	s := &Span{lines: lines, Entries: make([]sdk.Entry, len(lines))}
	for i := range lines {
		s.Entries[i] = lines[i].Entry
	}
	return s
}

// NewBatch returns a batch of chosen lines.
func NewBatch(gaps []Gap, lines []Line, end Place, more bool) Batch {
	b := Batch{Gaps: gaps, More: more, Filtered: true, End: end}
	b.take(spanOf(lines), 0)
	return b
}

// Chosen returns the lines that [NewBatch] was given.
func (b *Batch) Chosen() []Line { return b.span.lines }

// Late reports what [Span.Late] does, for Entries[i] of the batch.
func (b *Batch) Late(i int) bool { return b.span.Late(b.first + i) }

// Context reports whether Entries[i] is here because of another line near it.
func (s *Span) Context(i int) bool { return s.lines != nil && s.lines[i].Context }

// Apart reports whether there are lines between Entries[i] and the one before.
func (s *Span) Apart(i int) bool { return s.lines != nil && s.lines[i].Apart }
