package read

import (
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

const (
	// joinWithin is how long after a piece of a line the next one may be published. A line of
	// which none comes until then is shown as it is.
	joinWithin = 5 * time.Second
	// mostOpen and openBytes bound the lines of which the last piece is awaited. Of more, the one
	// that began first is shown as it is.
	mostOpen, openBytes = 64, 8 << 20
)

// joiner joins the pieces of lines. It takes entries in the order in which they are read.
type joiner struct {
	maxLine int // bytes; 0 for any number
	open    []openLine
	bytes   int // of their texts
	// floor is the place in a history behind which lines are wanted; zero wants all.
	floor sdk.Cursor
}

// openLine is a line whose last piece did not come yet.
type openLine struct {
	pieces []piece   // in the order of publishing
	newest sdk.Entry // of the pieces
	bytes  int
}

// piece is the text of a piece of a line, behind which cut bytes are missing.
type piece struct {
	published time.Time
	text      string
	cut       uint64
}

// hasPieces reports whether one of the entries is a piece of a line, and not its last.
func hasPieces(entries []sdk.Entry) bool {
	return slices.ContainsFunc(entries, func(e sdk.Entry) bool { return e.Partial })
}

// lines joins the pieces among a span's entries from one on, and returns the lines that end at
// entry first or behind it. Before is the place before the span.
func (j *joiner) lines(s *Span, from, first int, before Place) *Span {
	joined, at := &Span{end: s.end, places: []Place{}, late: []bool{}}, before
	show := func(i int, line sdk.Entry, late bool) {
		if i >= first && (!s.history || j.floor.IsZero() || j.floor.Precedes(&line)) {
			joined.add(line, at, late)
		}
	}
	for i := from; i < len(s.Entries); i++ {
		e := &s.Entries[i]
		for line := range j.ended(func(o *openLine) bool { return e.Published.Sub(o.newest.Published) > joinWithin }) {
			show(i, line, false)
		}
		at = s.Place(i)
		for line := range j.add(e) {
			show(i, line, s.Late(i))
		}
	}
	return joined
}

func (s *Span) add(line sdk.Entry, at Place, late bool) {
	s.Entries, s.places, s.late = append(s.Entries, line), append(s.places, at), append(s.late, late)
}

// add takes an entry. It returns the line that ends with it, and lines that are too many.
func (j *joiner) add(e *sdk.Entry) iter.Seq[sdk.Entry] {
	return func(yield func(sdk.Entry) bool) {
		k := slices.IndexFunc(j.open, func(o openLine) bool {
			is := &o.newest
			return is.Pod == e.Pod && is.Container == e.Container && is.Stream == e.Stream && is.Source == e.Source
		})
		if k < 0 && !e.Partial {
			yield(*e)
			return
		}
		if k < 0 {
			k, j.open = len(j.open), append(j.open, openLine{})
		}
		o := &j.open[k]
		before := o.bytes
		o.add(e, j.maxLine)
		j.bytes += o.bytes - before
		if !e.Partial {
			o.newest.Partial = false
			yield(j.end(k))
		}
		for len(j.open) > mostOpen || j.bytes > openBytes {
			yield(j.end(0))
		}
	}
}

// ended returns the open lines for which is is true, which are then no longer open.
func (j *joiner) ended(is func(*openLine) bool) iter.Seq[sdk.Entry] {
	return func(yield func(sdk.Entry) bool) {
		for k := 0; k < len(j.open); {
			if is(&j.open[k]) {
				yield(j.end(k))
			} else {
				k++
			}
		}
	}
}

// add puts a piece in its place. Of what is beyond the longest line, only the length is kept.
func (o *openLine) add(e *sdk.Entry, maxLine int) {
	p := piece{published: e.Published, text: e.Message, cut: e.CutBytes}
	i := len(o.pieces)
	for i > 0 && p.published.Before(o.pieces[i-1].published) {
		i--
	}
	if i == len(o.pieces) {
		o.newest = *e
		if maxLine > 0 && o.bytes > maxLine {
			p.text, p.cut = "", p.cut+uint64(len(p.text))
		}
	}
	p.text = strings.Clone(p.text) // a page's texts share one buffer
	o.pieces = slices.Insert(o.pieces, i, p)
	o.bytes += len(p.text)
}

// end takes an open line away, and returns it.
func (j *joiner) end(k int) sdk.Entry {
	o := j.open[k]
	j.open = slices.Delete(j.open, k, k+1)
	j.bytes -= o.bytes
	line := o.newest
	line.CutBytes = 0
	text := make([]byte, 0, o.bytes)
	for _, p := range o.pieces {
		end := len(p.text)
		if line.CutBytes > 0 { // something is missing before it
			end = 0
		} else if room := j.maxLine - len(text); j.maxLine > 0 && end > room {
			for end = room; end > 0 && !utf8.RuneStart(p.text[end]); {
				end--
			}
		}
		text = append(text, p.text[:end]...)
		line.CutBytes += uint64(len(p.text)-end) + p.cut
	}
	line.Message = string(text)
	return line
}
