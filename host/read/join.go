package read

import (
	"context"
	"math"
	"slices"
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
	// joinEdge is how many entries are looked at beyond the oldest line that is asked for, to see
	// whether there are pieces of lines. Where there are, joinMore lines more are read.
	joinEdge, joinMore = 16, 500
)

// joiner joins the pieces of lines. It takes entries in the order of publishing.
type joiner struct {
	maxLine int // bytes; 0 for any number
	open    []openLine
	bytes   int // of their texts
}

// openLine is a line whose last piece did not come yet. Its entry is its newest piece.
type openLine struct {
	entry sdk.Entry
	text  []byte
	cut   uint64
}

// hasPieces reports whether one of the entries is a piece of a line, and not its last.
func hasPieces(entries []sdk.Entry) bool {
	return slices.ContainsFunc(entries, func(e sdk.Entry) bool { return e.Partial })
}

// add returns the lines that are whole now. A line has the place of its last piece.
func (j *joiner) add(entries []sdk.Entry) []sdk.Entry {
	lines := make([]sdk.Entry, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		for k := 0; k < len(j.open); {
			if e.Published.Sub(j.open[k].entry.Published) > joinWithin {
				lines = append(lines, j.take(k))
			} else {
				k++
			}
		}
		at := slices.IndexFunc(j.open, func(o openLine) bool {
			return o.entry.Pod == e.Pod && o.entry.Container == e.Container && o.entry.Stream == e.Stream && o.entry.Source == e.Source
		})
		switch {
		case at < 0 && !e.Partial:
			lines = append(lines, *e)
			continue
		case at < 0:
			if len(j.open) == mostOpen {
				lines = append(lines, j.take(0))
			}
			at = len(j.open)
			j.open = append(j.open, openLine{})
		}
		before := len(j.open[at].text)
		j.open[at].append(e, j.maxLine)
		j.bytes += len(j.open[at].text) - before
		if !e.Partial {
			lines = append(lines, j.take(at))
		}
		for j.bytes > openBytes {
			lines = append(lines, j.take(0))
		}
	}
	return lines
}

// rest returns the lines whose last piece did not come, as they are.
func (j *joiner) rest() (lines []sdk.Entry) {
	for len(j.open) > 0 {
		lines = append(lines, j.take(0))
	}
	return lines
}

// append adds a piece. Of what is beyond the longest line only the length matters.
func (o *openLine) append(e *sdk.Entry, maxLine int) {
	o.entry = *e
	text := e.Message
	if o.cut > 0 { // something is missing before it
		o.cut += uint64(len(text)) + e.CutBytes
		return
	}
	if room := maxLine - len(o.text); maxLine > 0 && len(text) > room {
		end := max(room, 0)
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		o.cut, text = uint64(len(text)-end), text[:end]
	}
	o.cut += e.CutBytes
	o.text = append(o.text, text...)
}

// take returns the open line, which is no longer open.
func (j *joiner) take(at int) sdk.Entry {
	o := &j.open[at]
	e := o.entry
	e.Message, e.CutBytes = string(o.text), o.cut
	j.bytes -= len(o.text)
	j.open = slices.Delete(j.open, at, at+1)
	return e
}

// joined reads the newest lines, of which some came in pieces, page by page from the end. Beyond
// what is gathered it only counts, and finds where the lines begin.
func (t *Text) joined(ctx context.Context, of asked) (n newest, err error) {
	s := t.share
	t.reset()
	var pages [][]sdk.Entry // the newest first
	var oldest sdk.Entry
	lines, entries, bytes := 0, 0, 0
	opts := sdk.ReadOptions{App: of.app, Limit: searchPage}
	for left := tries; ; opts.Limit = searchPage {
		if s.few {
			opts.Limit = fewLines + 1
		}
		p, err := s.Read(ctx, opts)
		switch {
		case err != nil:
			return n, err
		case n.end.IsZero() && p.Epoch == 0:
			return n, nil
		case n.end.IsZero():
			n.end, n.version = p.End(), p.Version
			n.begins = n.end.HistoryBegin()
		case p.Epoch != n.end.Epoch: // it began anew meanwhile
			if left--; left == 0 {
				return n, errMoved
			}
			n, pages, opts.Before, lines, entries, bytes = newest{}, nil, sdk.Cursor{}, 0, 0, 0
			continue
		}
		for i := range p.Entries {
			if bytes += lineBytes + len(of.app) + len(p.Entries[i].Message); !p.Entries[i].Partial {
				lines++
			}
		}
		if entries += len(p.Entries); len(p.Entries) > 0 {
			oldest = p.Entries[0]
		}
		if pages = append(pages, p.Entries); bytes > s.reader.gather {
			n.large, pages = true, nil
		}
		all := !p.More && len(p.Entries) < opts.Limit
		over := all || of.lines >= 0 && lines >= of.lines+joinMore
		if s.few && (!over || n.large || entries > fewLines) {
			return n, errLong
		}
		if over {
			n.count = math.MinInt // no other text goes on with this one
			if !all {
				n.begins = begins(n.end, &oldest)
			}
			break
		}
		opts.Before = p.Next
	}
	j := &joiner{maxLine: s.reader.opts.MaxLineBytes}
	if n.large {
		t.rest = &rest{app: of.app, at: n.begins, end: n.end, join: j}
		if of.lines >= 0 {
			t.rest.skip = max(0, lines-of.lines)
		}
		return n, nil
	}
	slices.Reverse(pages)
	whole := append(j.add(slices.Concat(pages...)), j.rest()...)
	if of.lines >= 0 && len(whole) > of.lines {
		whole = whole[len(whole)-of.lines:]
	}
	t.add(t.render(whole))
	return n, nil
}
