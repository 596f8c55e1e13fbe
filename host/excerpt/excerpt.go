// Package excerpt chooses lines of one app's log and the lines around them: each line once, in the
// order of the log.
//
// A filter has two parts. Its labels and times choose a log. Its regular expressions and its level
// choose matches in that log; the lines around a match come from the same log.
package excerpt

import (
	"context"
	"slices"
	"strings"
	"unsafe"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

const (
	// MaxContext bounds the lines of context before a match, and those after it.
	MaxContext = 100
	// beforeBytes bounds the memory for the context before a match.
	beforeBytes = 1 << 20
)

// Options says what an [Excerpt] contains.
type Options struct {
	// Filter chooses the matches.
	Filter sdk.Filter
	// Before and After are the numbers of lines wanted around each match.
	Before, After int
	// Matches bounds the matches, oldest first. A negative value means all. The context of the last
	// match still follows it.
	Matches int
}

// around reports whether lines around matches are wanted.
func (o *Options) around() bool { return o.Before+o.After > 0 }

// Log returns the filter for all lines that an excerpt has to see.
func (o *Options) Log() sdk.Filter {
	f := o.Filter
	if o.around() {
		f.Include, f.Exclude, f.Level = nil, nil, sdk.LevelUnknown
	}
	return f
}

// Excerpt goes through a log batch by batch. It is for one goroutine.
type Excerpt struct {
	opts       Options
	log, match *sdk.Matcher // the filter of the log, and the whole filter

	held    []read.Line // context of the next match, if one comes in time
	bytes   int         // of the held lines
	left    int         // how many lines still are context of the last match
	skipped bool        // a line was left out after the one given last
	given   bool        // a line was given
	// behind is the place after all lines seen. before is the place before the held lines.
	behind, before read.Place
}

// New makes an excerpt of what follows the place. If the place is a cursor from the same excerpt,
// the context of its last match continues.
func New(opts Options, at read.Place) (x *Excerpt, err error) {
	x = &Excerpt{opts: opts, left: min(int(at.Context), opts.After)}
	x.move(at)
	if x.match, err = opts.Filter.Compile(); err != nil {
		return nil, err
	}
	log := opts.Log()
	x.log, err = log.Compile()
	return x, err
}

// At returns the cursor after what was given. A reader that resumes there misses nothing and gets
// nothing twice.
func (x *Excerpt) At() read.Place {
	if len(x.held) > 0 {
		return x.before
	}
	at := x.behind
	at.Context = uint8(x.left)
	return at
}

func (x *Excerpt) move(to read.Place) {
	x.behind = to
	x.behind.Context = 0
}

// Done reports that all wanted matches have come, with their context.
func (x *Excerpt) Done() bool { return x.opts.Matches == 0 && x.left == 0 }

// Take returns the lines of the batch, and of the held ones, that belong to the excerpt. It fails
// only when ctx ends.
func (x *Excerpt) Take(ctx context.Context, b *read.Batch) (read.Batch, error) {
	if n := len(b.Gaps); n > 0 { // lines before a gap are no context of lines after it
		x.held, x.bytes, x.left, x.skipped = nil, 0, 0, false
		x.move(b.Gaps[n-1].To)
	}
	var lines []read.Line
	for i := range b.Entries {
		if x.Done() {
			break
		}
		e := &b.Entries[i]
		ok, in, err := x.look(ctx, e, b.Filtered)
		if err != nil {
			return read.Batch{}, err
		}
		if ok && x.opts.Matches == 0 {
			x.left = 0
			break
		}
		l := read.Line{Entry: *e, Place: b.Place(i), Late: b.Late(i)}
		switch {
		case ok:
			lines = x.take(x.release(lines), l, false)
		case in && x.left > 0:
			lines = x.take(lines, l, true)
		case in && x.opts.Before > 0:
			x.hold(l)
		case in:
			x.skipped = true
		}
		x.move(l.Place)
	}
	if !x.Done() {
		x.move(b.End)
	}
	return read.NewBatch(b.Gaps, lines, x.At(), b.More && !x.Done()), nil
}

// look reports whether a line is a match, and if not, whether it belongs to the log.
func (x *Excerpt) look(ctx context.Context, e *sdk.Entry, ofLog bool) (match, in bool, err error) {
	if ofLog && !x.opts.around() {
		return true, true, nil
	}
	whole := *e
	whole.Partial = false // no more of it will come
	if match, err = x.match.Match(ctx, &whole); match || err != nil || !x.opts.around() {
		return match, match, err
	}
	if in = ofLog; !in {
		in, err = x.log.Match(ctx, &whole)
	}
	return false, in, err
}

// take appends a line to those that are given.
func (x *Excerpt) take(lines []read.Line, l read.Line, isContext bool) []read.Line {
	if l.Context = isContext; isContext {
		x.left--
	} else {
		x.left = x.opts.After
		x.opts.Matches = max(x.opts.Matches-1, min(x.opts.Matches, 0))
	}
	l.Place.Context = uint8(x.left)
	return x.give(lines, l)
}

func (x *Excerpt) give(lines []read.Line, l read.Line) []read.Line {
	l.Apart = x.skipped && x.given && x.opts.around()
	x.skipped, x.given = false, true
	return append(lines, l)
}

// release gives the held lines, as context of a match that has come.
func (x *Excerpt) release(lines []read.Line) []read.Line {
	for _, l := range x.held {
		l.Context = true
		lines = x.give(lines, l)
	}
	x.held, x.bytes = x.held[:0], 0
	return lines
}

// hold keeps a line that may become context of the next match.
func (x *Excerpt) hold(l read.Line) {
	if len(x.held) == 0 {
		x.before = x.behind
	}
	l.Entry = clone(&l.Entry)
	x.held, x.bytes = append(x.held, l), x.bytes+size(&l)
	for n := 0; len(x.held) > x.opts.Before || x.bytes > beforeBytes && n < len(x.held)-1; n++ {
		x.before, x.skipped = x.held[0].Place, true
		x.bytes -= size(&x.held[0])
		x.held = slices.Delete(x.held, 0, 1)
	}
}

// size returns roughly the memory of a line: the line itself, in a list that grew by a quarter, and
// its texts.
func size(l *read.Line) int {
	n := lineBytes
	for _, text := range texts(&l.Entry) {
		n += len(*text) + 8 // the allocator rounds up by about 8 bytes
	}
	return n
}

// lineBytes is the memory of a line without its texts.
const lineBytes = int(unsafe.Sizeof(item{})) * 5 / 4

// clone copies an entry's strings out of the buffer that they share with many others.
func clone(e *sdk.Entry) sdk.Entry {
	own := *e
	for _, text := range texts(&own) {
		*text = strings.Clone(*text)
	}
	return own
}

func texts(e *sdk.Entry) [7]*string {
	return [7]*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host, &e.Message}
}
