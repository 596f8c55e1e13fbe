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
	// joinWithin is how long after a piece of a line the next one may be published. A line of
	// which none comes until then is shown as it is.
	joinWithin = 5 * time.Second
	// mostOpen and openBytes bound the lines of which the last piece is awaited. Of more, the one
	// that began first is shown as it is.
	mostOpen, openBytes = 64, 8 << 20
	// groupWithin is how long after a line the next one of its group may be published. Groups have
	// at most groupLines lines and groupBytes bytes.
	groupWithin            = time.Second
	groupLines, groupBytes = 500, 256 << 10
)

// joiner joins the pieces of lines, and, of groups, lines that continue a stack trace. It takes
// entries in the order in which they are read.
type joiner struct {
	maxLine int  // bytes; 0 for any number
	groups  bool // each line is open until it is known that none continues it
	open    []openLine
	bytes   int       // of their texts
	came    time.Time // when the last piece did
	// floor is the place in a history behind which lines are wanted; zero wants all. Search, unless
	// it is nil, knows whether texts are to be looked at.
	floor  sdk.Cursor
	search *share
	err    error // of the search
}

// openLine is a line whose last piece did not come yet.
type openLine struct {
	pieces []piece   // in the order of publishing
	newest sdk.Entry // of the pieces
	first  uint64    // the lowest of their positions
	bytes  int
	trace  stacktrace.Trace // of a group
}

// piece is the text of a piece of a line, behind which cut bytes are missing.
type piece struct {
	published time.Time
	text      string
	cut       uint64
	level     sdk.Level
	at        time.Time // its own time
	ends      bool      // a line
}

// ofPieces returns what of a filter looks at pieces of lines. The rest looks at whole lines.
func ofPieces(f sdk.Filter) sdk.Filter {
	f.Include, f.Exclude, f.Level = nil, nil, sdk.LevelUnknown
	return f
}

// hasPieces reports whether one of the entries is a piece of a line, and not its last.
func hasPieces(entries []sdk.Entry) bool {
	return slices.ContainsFunc(entries, func(e sdk.Entry) bool { return e.Partial })
}

// idle reports whether the lines are the entries.
func (j *joiner) idle(entries []sdk.Entry) bool {
	return !j.groups && len(j.open) == 0 && j.floor.IsZero() && (j.search == nil || !j.search.apart) && !hasPieces(entries)
}

// lines joins the pieces among a span's entries from one on, and returns the lines that are wanted
// and end at entry first or behind it. Before is the place before the span. At its end, the lines
// end of which over says that they are.
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

// matches looks at the text of a line that was joined after the storage's filter. Its error is
// kept.
func (j *joiner) matches(ctx context.Context, line *sdk.Entry) bool {
	if j.search == nil || !j.search.apart || j.err != nil {
		return j.err == nil
	}
	var ok bool
	ok, j.err = j.search.match(ctx, line)
	return ok
}

// mark returns the place with the lines that are open there.
func (j *joiner) mark(p Place) Place {
	var b []byte
	for i := range j.open {
		b = strconv.AppendUint(append(b, '.'), j.open[i].first, 10)
	}
	p.Open = strings.TrimPrefix(string(b), ".")
	return p
}

// find returns the index of the open line that an entry goes on with, or -1.
func (j *joiner) find(e *sdk.Entry) int {
	return slices.IndexFunc(j.open, func(o openLine) bool {
		is := &o.newest
		return is.Pod == e.Pod && is.Container == e.Container && is.Stream == e.Stream && is.Source == e.Source
	})
}

// add takes an entry. It gives the line that ends with it, and lines that are too many.
func (j *joiner) add(e *sdk.Entry, give func(sdk.Entry)) {
	k := j.find(e)
	if k < 0 && !e.Partial && !j.groups {
		give(*e)
		return
	}
	var before *sdk.Entry // the group that is over, given at a place where the entry is open
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

// never and always say of no line and of each that it ends.
func never(*openLine) bool  { return false }
func always(*openLine) bool { return true }

// overdue returns what says of a line whether the time for its next piece was over.
func overdue(now time.Time) func(*openLine) bool {
	return func(o *openLine) bool { return now.Sub(o.newest.Published) > o.patience() }
}

// patience returns how long after a piece the next one may be published, or the line that continues
// it.
func (o *openLine) patience() time.Duration {
	if o.newest.Partial {
		return joinWithin
	}
	return groupWithin
}

// continues reports whether an entry goes on with an open group.
func (o *openLine) continues(e *sdk.Entry) bool {
	switch {
	case o.newest.Partial: // it is a piece of the same line
		return true
	case len(o.pieces) >= groupLines || o.bytes+len(e.Message) > groupBytes:
		return false
	}
	return o.trace.Continues(e.Message)
}

// close gives the open lines that are over, which are then no longer open.
func (j *joiner) close(over func(*openLine) bool, give func(sdk.Entry)) {
	for k := 0; k < len(j.open); {
		if over(&j.open[k]) {
			give(j.end(k))
		} else {
			k++
		}
	}
}

// add puts a piece in its place, and returns how many bytes of it are kept: of what is beyond the
// longest line, only the length is.
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

// end takes an open line away, and returns it.
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

// group returns the lines of a group as one: at the time of the first, and of its level. If that
// states none, it is the worst of the others.
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
