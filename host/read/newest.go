package read

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// searchPage is the most entries of one read.
	searchPage = 4000
	// joinEdge is the number of entries before the oldest line that are searched for pieces of
	// lines. If there are pieces, joinMore entries are searched.
	joinEdge, joinMore = 16, 500
)

// newestLines holds what was found of an app's newest lines.
type newestLines struct {
	end       sdk.Cursor // the plain cursor behind them; zero without a log
	version   uint64     // of the log, when the first page was read
	last      sdk.Entry  // the one that arrived last
	published time.Time  // when the newest of them was published
	spans     []*Span    // of the lines, the newest first; none if they are large
	text      []part     // of the lines, instead of the spans, if text was asked for
	bytes     int        // about what the lines take
	count     int        // of the lines
	entries   int        // that were read to find them
	// begins is the place just before the oldest line, and from a place before its first piece.
	// behind counts the entries after from.
	begins, from sdk.Cursor
	behind       uint64
	// pieces says that there are pieces of lines among the entries.
	pieces bool
	// large says that the lines are more than an answer gathers in memory.
	large bool
}

// newest reads the newest lines that pass the filter, page by page from the end. Once they are more
// than an answer gathers, it only counts them. If all lines are wanted, without a filter, it does
// not even count.
//
// If it may begin again, it fails with errMoved when newer lines have come that it could not add.
//
// The oldest entries of a page are its edge: a line that ends there may have begun before the page.
// So the edge is looked at again with the page before.
func (a *Answer) newest(ctx context.Context, again bool) (held int, err error) {
	q, s := &a.q, a.share
	if q.Lines == 0 || q.Groups {
		p, err := s.Read(ctx, sdk.ReadOptions{App: q.App})
		a.Exists, a.Version, a.over = p.Epoch != 0, p.Version, true
		if a.from(p.End()); q.Groups && q.Lines != 0 && a.Exists && err == nil {
			begin := p.End().HistoryBegin()
			a.Begins, a.history, a.over = begin, true, false
			a.Version = 0 // a group that is open is not in the answer yet, which changes with time
			a.found = &newestLines{end: p.End(), begins: begin, from: begin}
			return heldPages, a.forward(ctx)
		}
		return 0, err
	}
	var n newestLines
	opts := sdk.ReadOptions{App: q.App, Filter: q.Filter}
	var edge []sdk.Entry
	for {
		opts.Limit = searchPage
		if q.Lines >= 0 && !n.pieces && !s.apart {
			opts.Limit = joinEdge + min(searchPage-joinEdge, q.Lines-n.count-len(edge))
		}
		if s.few {
			opts.Limit = min(opts.Limit, fewLines+joinEdge+1)
		}
		apart := s.apart
		p, err := s.Read(ctx, opts)
		switch {
		case err != nil:
			return 0, err
		case s.apart != apart && n.entries > 0:
			return 0, errPieces
		case n.end.IsZero() && p.Epoch == 0:
			return a.take(ctx, &n)
		case n.end.IsZero():
			n.end, n.version = p.End(), p.Version
			if i := slices.IndexFunc(p.Entries, func(e sdk.Entry) bool { return e.Position == p.Last }); i >= 0 {
				n.last = p.Entries[i]
			}
			if len(p.Entries) > 0 {
				n.published = p.Entries[len(p.Entries)-1].Published
			}
		case p.Epoch != n.end.Epoch: // it began anew meanwhile
			return 0, errMoved
		}
		all := !p.More && len(p.Entries) < opts.Limit
		window := &Span{
			Entries: append(p.Entries, edge...), end: n.end, left: uint64(n.entries - len(edge)),
			history: true, known: !s.apart, whole: n.entries == len(edge), filter: filterID(&q.Filter),
		}
		n.entries, n.pieces = n.entries+len(p.Entries), n.pieces || hasPieces(p.Entries)
		lines, rest, err := a.linesOf(ctx, window, edge, all, n.pieces)
		if err != nil {
			return 0, err
		}
		if edge = rest; q.Lines >= 0 {
			lines.from(max(0, n.count+len(lines.Entries)-q.Lines))
		}
		n.count += len(lines.Entries)
		if n.keep(lines, q.show); n.bytes > s.logs.gather {
			n.large, n.spans, n.text = true, nil, nil
		}
		n.behind = window.left + uint64(len(window.Entries))
		over := all || n.count == q.Lines || n.large && q.Lines < 0 && q.Filter.IsZero()
		switch {
		case s.few && (!over || n.count > fewLines || n.large):
			return 0, errLong
		case over && n.count == q.Lines:
			n.begins, n.from = begins(n.end.At(&lines.Entries[0])), begins(n.end.At(&window.Entries[0]))
			return a.take(ctx, &n)
		case over && all && q.Lines >= 0 && !n.large && p.Last > n.end.Position && again && !a.topUp(ctx, &n):
			return 0, errMoved
		case over:
			n.begins, n.from = n.end.HistoryBegin(), n.end.HistoryBegin()
			return a.take(ctx, &n)
		}
		opts.Before = p.Next
	}
}

// topUp adds the lines that arrived meanwhile, which may have pushed out others. It returns false,
// and changes nothing, if the result might not be the newest lines.
func (a *Answer) topUp(ctx context.Context, n *newestLines) bool {
	found := *n
	if !a.q.Filter.IsZero() {
		return false
	}
	entries, ok := a.share.arrived(ctx, a.q.App, a.q.Lines-n.count, &found)
	if !ok || !slices.IsSortedFunc(entries, func(a, b sdk.Entry) int { return cmp.Compare(a.Position, b.Position) }) {
		return false
	}
	newer := newestLines{}
	newer.keep(&Span{Entries: entries, end: found.end}, a.q.show)
	found.spans, found.text = slices.Concat(newer.spans, n.spans), slices.Concat(newer.text, n.text)
	found.bytes, found.count = n.bytes+newer.bytes, n.count+len(entries)
	*n = found
	return true
}

func (n *newestLines) keep(lines *Span, show *Renderer) {
	if show == nil {
		n.spans, n.bytes = append(n.spans, lines), n.bytes+entryBytes(lines.Entries)
		return
	}
	p := show.part(lines.Entries)
	n.text, n.bytes = append(n.text, p), n.bytes+len(p.bytes)
}

// linesOf returns the lines of a window, which is a page and the edge of the page behind it. Unless
// all was read, it leaves out the lines that end at the window's own edge.
func (a *Answer) linesOf(ctx context.Context, window *Span, behind []sdk.Entry, all, pieces bool) (lines *Span, edge []sdk.Entry, err error) {
	if !all {
		n := joinEdge
		if pieces {
			n = joinMore
		}
		edge = window.Entries[:min(n, len(window.Entries))]
	}
	j := a.joiner()
	if window.whole {
		a.log.joiner = j
	}
	if len(edge) == len(window.Entries) || j.idle(window.Entries) {
		return window.from(len(edge)), edge, nil
	}
	over := overdue(time.Now())
	if !window.whole {
		// A line that is open within the edge behind came with the lines of the page behind.
		over = func(o *openLine) bool { return len(behind) == 0 || window.end.At(&o.newest).Precedes(&behind[0]) }
	}
	if lines = j.lines(ctx, window, 0, len(edge), Place{}, over); window.whole {
		a.log.joiner = j
	}
	return lines, edge, j.err
}
