package read

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/host/stacktrace"
	"github.com/deis/logger/sdk"
)

const (
	// joinWithin bounds how much later than one piece of a line the next may be published. If none
	// comes until then, the line is shown as it is.
	joinWithin = 5 * time.Second
	// mostOpen and openBytes bound the lines that wait for their next piece. If there are more, the
	// line that began first is shown as it is.
	mostOpen, openBytes = 64, 8 << 20
	// groupWithin bounds how much later than a line the next line of its group may be published. A
	// group has at most groupLines lines and groupBytes bytes.
	groupWithin            = time.Second
	groupLines, groupBytes = 500, 256 << 10
)

// joiner joins the pieces of lines and, if groups is set, the lines that continue a stack trace. It
// takes entries in the order in which they are read.
type joiner struct {
	maxLine int  // bytes; 0 for any number
	groups  bool // a line stays open until it is known that no other continues it
	open    []openLine
	bytes   int       // of the open texts
	came    time.Time // when the last piece came
	// floor is the place in a history behind which the wanted lines are; zero wants all. search,
	// unless it is nil, says whether the host has to match texts with the filter.
	floor  sdk.Cursor
	search *share
	err    error // of the search
}

// openLine holds a line whose last piece has not come yet, or a group that may go on.
type openLine struct {
	pieces []piece   // in the order of publishing
	newest sdk.Entry // of the pieces
	first  uint64    // the lowest of their positions
	bytes  int
	trace  stacktrace.Trace // of a group
}

// piece holds one piece of a line; after its text, cut bytes are missing.
type piece struct {
	published time.Time
	text      string
	cut       uint64
	level     sdk.Level
	at        time.Time // its own time
	ends      bool      // it ends a line
}

// ofPieces returns the part of a filter that applies to pieces of lines. The rest applies to whole
// lines.
func ofPieces(f sdk.Filter) sdk.Filter {
	f.Include, f.Exclude, f.Level = nil, nil, sdk.LevelUnknown
	return f
}

// hasPieces reports whether one of the entries is a piece of a line, other than its last.
func hasPieces(entries []sdk.Entry) bool {
	return slices.ContainsFunc(entries, func(e sdk.Entry) bool { return e.Partial })
}

// idle reports whether there is nothing to do: each entry is a line that is wanted.
func (j *joiner) idle(entries []sdk.Entry) bool {
	return !j.groups && len(j.open) == 0 && j.floor.IsZero() && (j.search == nil || !j.search.apart) && !hasPieces(entries)
}

// lines joins the pieces among a span's entries, from entry from on. It returns the wanted lines
// that end at entry first or behind it. before is the place before the span. At the end of the
// span, lines also ends the open lines of which over returns true.
func (j *joiner) lines(ctx context.Context, s *Span, from, first int, before Place, over func(*openLine) bool) *Span {
	var joined []Line
	at := before
	show := func(i int, line sdk.Entry, late bool) {
		if i >= first && (!s.history || j.floor.IsZero() || j.floor.Precedes(&line)) && j.matches(ctx, &line) {
			joined = append(joined, Line{Entry: line, Place: j.mark(at), Late: late})
		}
	}
	for i := from; i < len(s.Entries); i++ {
		e := &s.Entries[i]
		j.close(overdue(e.Published), func(line sdk.Entry) { show(i, line, false) })
		at = s.Place(i)
		j.add(e, func(line sdk.Entry) { show(i, line, s.Late(i)) })
	}
	j.close(over, func(line sdk.Entry) { show(len(s.Entries), line, false) })
	lines := spanOf(joined)
	lines.end = s.end
	return lines
}

// matches reports whether a joined line passes the part of the filter that the storage could not
// apply. It keeps the error.
func (j *joiner) matches(ctx context.Context, line *sdk.Entry) bool {
	if j.search == nil || !j.search.apart || j.err != nil {
		return j.err == nil
	}
	var ok bool
	ok, j.err = j.search.match(ctx, line)
	return ok
}

// mark returns the place together with the lines that are open there.
func (j *joiner) mark(p Place) Place {
	var b []byte
	for i := range j.open {
		b = strconv.AppendUint(append(b, '.'), j.open[i].first, 10)
	}
	p.Open = strings.TrimPrefix(string(b), ".")
	return p
}

// find returns the index of the open line of the entry's container and stream, or -1.
func (j *joiner) find(e *sdk.Entry) int {
	return slices.IndexFunc(j.open, func(o openLine) bool {
		is := &o.newest
		return is.Pod == e.Pod && is.Container == e.Container && is.Stream == e.Stream && is.Source == e.Source
	})
}

// add takes an entry. It gives each line that is complete with it and, if too many lines are open,
// those that began first.
func (j *joiner) add(e *sdk.Entry, give func(sdk.Entry)) {
	k := j.find(e)
	if k < 0 && !e.Partial && !j.groups {
		give(*e)
		return
	}
	var before *sdk.Entry // the group that is over; it is given once the entry is open
	if j.groups && k >= 0 && !j.open[k].continues(e) {
		line := j.end(k)
		before, k = &line, -1
	}
	if k < 0 {
		k, j.open = len(j.open), append(j.open, openLine{first: e.Position})
		if j.groups {
			j.open[k].trace = stacktrace.Begin(e.Message)
		}
	}
	j.came = time.Now()
	o := &j.open[k]
	longest := j.maxLine
	if j.groups && longest > 0 {
		longest = max(longest, groupBytes)
	}
	j.bytes += o.add(e, longest)
	if before != nil {
		give(*before)
	}
	if !e.Partial && !j.groups {
		o.newest.Partial = false
		give(j.end(k))
	}
	for len(j.open) > mostOpen || j.bytes > openBytes {
		give(j.end(0))
	}
}

// never reports false for every line, and always true.
func never(*openLine) bool  { return false }
func always(*openLine) bool { return true }

// overdue returns a function that reports whether the time for a line's next piece was over.
func overdue(now time.Time) func(*openLine) bool {
	return func(o *openLine) bool { return now.Sub(o.newest.Published) > o.patience() }
}

// patience returns how much later the next piece, or the line that continues the group, may be
// published.
func (o *openLine) patience() time.Duration {
	if o.newest.Partial {
		return joinWithin
	}
	return groupWithin
}

// continues reports whether an entry belongs to an open group.
func (o *openLine) continues(e *sdk.Entry) bool {
	switch {
	case o.newest.Partial: // it is a piece of the same line
		return true
	case len(o.pieces) >= groupLines || o.bytes+len(e.Message) > groupBytes:
		return false
	}
	return o.trace.Continues(e.Message)
}

// close ends the open lines of which over returns true, and gives them.
func (j *joiner) close(over func(*openLine) bool, give func(sdk.Entry)) {
	for k := 0; k < len(j.open); {
		if over(&j.open[k]) {
			give(j.end(k))
		} else {
			k++
		}
	}
}

// add inserts a piece in the order of publishing, and returns how many of its bytes are kept. Of
// what is beyond the longest line, only the length is kept.
func (o *openLine) add(e *sdk.Entry, maxLine int) int {
	p := piece{published: e.Published, text: e.Message, cut: e.CutBytes, level: e.Level, at: e.Time, ends: !e.Partial}
	o.first = min(o.first, e.Position)
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
	return len(p.text)
}

// end removes an open line, and returns it as one entry.
func (j *joiner) end(k int) sdk.Entry {
	o := j.open[k]
	j.open = slices.Delete(j.open, k, k+1)
	j.bytes -= o.bytes
	line := o.newest
	if line.CutBytes, line.Level = 0, o.pieces[0].level; j.groups {
		return o.group(line)
	}
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

// group returns the lines of a group as one, with the time and the level of the first. If the first
// states no level, the worst level of the others counts.
func (o *openLine) group(line sdk.Entry) sdk.Entry {
	var text strings.Builder
	line.Time = o.pieces[0].at
	for i, p := range o.pieces {
		if text.WriteString(p.text); p.ends && i < len(o.pieces)-1 {
			text.WriteByte('\n')
		}
		if line.CutBytes += p.cut; o.pieces[0].level == sdk.LevelUnknown {
			line.Level = max(line.Level, p.level)
		}
	}
	line.Message = text.String()
	return line
}
