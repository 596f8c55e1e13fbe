package read

import (
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// Reason says why entries are missing.
type Reason string

// The reasons of a gap.
const (
	// Evicted means that newer entries pushed the missing ones out of the storage.
	Evicted Reason = "evicted"
	// Slow means that the follower does not take entries as fast as they come.
	Slow Reason = "slow"
	// Deleted means that somebody deleted the log, and that it began again.
	Deleted Reason = "deleted"
	// Lost means that the storage lost the log, or its newest entries.
	Lost Reason = "lost"
)

// Gap tells where entries are missing.
type Gap struct {
	// From and To are the places around the missing entries. If several gaps are told as one, To is
	// where the first of them ends.
	From, To Place
	// Count is the number of missing entries. Unless Exact is set, it is a lower bound: nobody
	// knows the length of a log that is gone.
	Count  uint64
	Exact  bool
	Reason Reason
}

// Batch holds the next part of a log: first the gaps, then the entries. Either may be empty.
type Batch struct {
	Gaps []Gap
	// Entries are shared with other readers: nobody changes them.
	Entries []sdk.Entry
	// Read counts the entries that were read to make these.
	Read int
	// More says that more can be had at once.
	More bool
	// Filtered says that all entries pass the reader's filter.
	Filtered bool
	// End is the place behind the batch.
	End Place

	span  *Span
	first int // index of Entries[0] in the span
}

// Place returns the place just behind Entries[i].
func (b *Batch) Place(i int) Place { return b.span.Place(b.first + i) }

// cut removes all entries behind the first n.
func (b *Batch) cut(n int) {
	if n < len(b.Entries) {
		b.Entries, b.More, b.End = b.Entries[:n], true, b.Place(n-1)
	}
}

// Form names a way to render entries.
type Form uint8

// forms bounds how many forms there may be.
const forms = 4

// Rendering holds the text of entries in one form: the text of entry i ends at Ends[i].
type Rendering struct {
	Bytes []byte
	Ends  []int
}

// Rendered returns the entries in a form. The first reader who asks for a form of a span has render
// make it, for all readers. Entry i of the batch ends at text.Ends[i] and starts where the entry
// before it ends; the first starts at from.
func (b *Batch) Rendered(form Form, render func(*Span) Rendering) (text Rendering, from int) {
	if len(b.Entries) == 0 {
		return Rendering{}, 0
	}
	r := &b.span.forms[form]
	r.once.Do(func() { r.text = render(b.span) })
	if b.first > 0 {
		from = r.text.Ends[b.first-1]
	}
	return Rendering{Bytes: r.text.Bytes, Ends: r.text.Ends[b.first : b.first+len(b.Entries)]}, from
}

// Span holds entries that were read at once, and what was made of them. It does not change.
type Span struct {
	Entries []sdk.Entry
	// end is the plain cursor behind the span. In a history it is the cursor at which the history
	// ends.
	end  sdk.Cursor
	left uint64 // N of the place behind the span

	history bool
	whole   bool   // the history ends with the span
	known   bool   // left is known
	filter  uint32 // that the history passed; see Place.Of

	// filtered says that entries may be missing between these because they did not pass the filter.
	filtered bool
	// lines describes the entries if they were joined of pieces, or chosen for one reader; else it
	// is nil.
	lines []Line

	late  []bool // nil: none is
	forms [forms]struct {
		once sync.Once
		text Rendering
	}
}

// lateBy is the least time by which a late entry was published before an entry that was shown
// earlier.
const lateBy = time.Second

// NewSpan makes a span of a page in the order of arrival. newest is when the newest entry that was
// shown before was published; NewSpan moves it on.
func NewSpan(p *sdk.Page, newest *time.Time) *Span {
	s := &Span{Entries: p.Entries, end: p.Next.Plain()}
	for i := range p.Entries {
		s.end.Position = max(s.end.Position, p.Entries[i].Position)
		switch at := p.Entries[i].Published; {
		case at.After(*newest):
			*newest = at
		case newest.Sub(at) > lateBy:
			if s.late == nil {
				s.late = make([]bool, len(p.Entries))
			}
			s.late[i] = true
		}
	}
	return s
}

// End returns the cursor behind the span.
func (s *Span) End() sdk.Cursor { return s.end }

// Late reports whether Entries[i] was published more than a second before an entry that was shown
// before it, in the order of arrival.
func (s *Span) Late(i int) bool {
	return s.late != nil && s.late[i] || s.lines != nil && s.lines[i].Late
}

// from removes the first entries of the span and returns it. Nothing may have been made of the span
// yet.
func (s *Span) from(first int) *Span {
	s.Entries = s.Entries[first:]
	if s.lines != nil {
		s.lines = s.lines[first:]
	}
	return s
}

// Place returns the place just behind Entries[i].
func (s *Span) Place(i int) Place {
	if s.lines != nil {
		return s.lines[i].Place
	}
	e, behind := &s.Entries[i], uint64(len(s.Entries)-1-i)
	switch {
	case s.history && s.whole && behind == 0:
		return Place{Cursor: s.end}
	case s.history && s.known && s.left+behind > 0:
		return Place{Cursor: s.end.At(e), N: s.left + behind, Of: s.filter}
	case s.history:
		return Place{Cursor: s.end.At(e)}
	}
	p := Place{Cursor: sdk.Cursor{Epoch: s.end.Epoch, Position: e.Position}, N: s.left}
	if !s.filtered { // the gaps behind the entry are told already, before the entries
		p.N += s.end.Position - e.Position - behind
	}
	return p
}
