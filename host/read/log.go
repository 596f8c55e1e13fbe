package read

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

// pages has the calls of a storage that a Log needs.
type pages interface {
	Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error)
}

// Log reads one app's log from a place on, and tells which entries are missing. It is for one
// goroutine.
type Log struct {
	storage pages
	app     string
	at      Place
	end     sdk.Cursor // of the log, when it was read last
	newest  time.Time  // when the newest entry read so far was published
	last    uint64     // position of the last entry read of a history; 0 if it is known how much is left

	filter sdk.Filter
	of     uint32 // the filter; see Place.Of

	ahead *sdk.Page // the page behind at, if it is read already

	joiner joiner
}

// NewLog returns a log that reads what follows the place. After the zero place, that is all that is
// kept.
func NewLog(storage pages, app string, after Place) *Log {
	if after.IsZero() {
		after.Cursor = sdk.Beginning()
	}
	return &Log{storage: storage, app: app, at: after}
}

// filterID returns a number that tells filters apart, for Place.Of; 0 is no filter.
func filterID(f *sdk.Filter) uint32 {
	if f.IsZero() {
		return 0
	}
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%+v", *f)
	return max(h.Sum32(), 1)
}

func (l *Log) filtered() bool { return l.of != 0 }

// App returns the log's app.
func (l *Log) App() string { return l.app }

// Onward returns a log that goes on where this one is, in the given storage and without the filter.
func (l *Log) Onward(storage pages) *Log {
	onward := NewLog(storage, l.app, l.at)
	onward.newest, onward.joiner = l.newest, l.joiner
	onward.joiner.search = nil
	return onward
}

// At returns the place behind all that was read.
func (l *Log) At() Place { return l.at }

// End returns the cursor behind everything that the log had when it was read last.
func (l *Log) End() sdk.Cursor { return l.end }

// Newest returns when the newest entry read so far was published.
func (l *Log) Newest() time.Time { return l.newest }

// pageLimit is the most entries of one read.
const pageLimit = 1000

// Next reads the next batch, of at most limit entries. At the end of the log the batch is empty.
func (l *Log) Next(ctx context.Context, limit int) (Batch, error) {
	if l.at.Open != "" && len(l.joiner.open) == 0 { // it is a client's place
		if err := l.prime(ctx); err != nil {
			return Batch{}, err
		}
	}
	p, err := l.page(ctx, limit)
	if err != nil {
		return Batch{}, err
	}
	if l.filtered() && p.Gone > 0 && len(p.Entries) > 0 && limit > 1 && !isHistory(&p, l.at.Cursor) {
		// The page does not say between which of its entries others are missing. In a page of one
		// entry, all positions behind the entry, up to the page's end, are missing ones.
		if p, err = l.page(ctx, 1); err != nil {
			return Batch{}, err
		}
	}
	if l.counts() && isHistory(&p, l.at.Cursor) && p.Next.InHistory() && uint64(len(p.Entries)) < l.at.N && len(p.Entries) < limit {
		// Is that the rest of the history? Then it is known how much of it is missing.
		ahead, err := l.storage.Read(ctx, sdk.ReadOptions{App: l.app, Limit: limit, After: p.Next, Filter: l.filter})
		if err != nil {
			return Batch{}, err
		}
		if ahead.Epoch == p.Epoch && !isHistory(&ahead, p.Next) {
			p.Next = p.Next.Plain()
		}
		defer func() { l.ahead = &ahead }()
	}
	at := l.at
	lost, err := l.lost(ctx, &p)
	if err != nil {
		return Batch{}, err
	}
	b := l.take(p)
	if lost {
		b.Gaps = append(b.Gaps, Gap{From: at, To: at, Reason: Evicted})
	}
	return l.join(ctx, b, at), l.joiner.err
}

// lost reports whether entries may be missing between the log's place in a history and the page
// behind it. It looks only where no count tells. None is missing if the entry at the place is still
// kept.
func (l *Log) lost(ctx context.Context, p *sdk.Page) (bool, error) {
	if p.Epoch != l.at.Epoch || l.filtered() || l.last == 0 || l.at.Entry != l.last {
		return false, nil
	}
	again, err := l.storage.Read(ctx, sdk.ReadOptions{App: l.app, Limit: 1, After: begins(l.at.Cursor)})
	return len(again.Entries) == 0 || again.Entries[0].Position != l.last, err
}

// join joins the pieces of lines in a batch that was read behind a place.
func (l *Log) join(ctx context.Context, b Batch, at Place) Batch {
	b.Read = len(b.Entries)
	if b.Read > 0 && !l.joiner.idle(b.Entries) {
		if n := len(b.Gaps); n > 0 {
			at = b.Gaps[n-1].To
		}
		b.take(l.joiner.lines(ctx, b.span, b.first, b.first, at, never), 0)
	}
	l.at = l.joiner.mark(l.at)
	b.End = l.at
	return b
}

// rest ends the open lines of which over returns true.
func (l *Log) rest(ctx context.Context, over func(*openLine) bool) (Batch, error) {
	b := Batch{Filtered: l.filtered()}
	b.take(l.joiner.lines(ctx, &Span{end: l.at.Plain()}, 0, 0, l.at, over), 0)
	l.at = l.joiner.mark(l.at)
	b.End = l.at
	return b, l.joiner.err
}

// Rest ends all open lines.
func (l *Log) Rest() Batch {
	b, _ := l.rest(context.Background(), always) // only searches fail
	return b
}

// Overdue returns a channel that has a value when it is time to call Rest; nil if no line is open.
func (l *Log) Overdue() <-chan time.Time {
	if len(l.joiner.open) == 0 {
		return nil
	}
	wait := time.Duration(0)
	for i := range l.joiner.open {
		wait = max(wait, l.joiner.open[i].patience())
	}
	return time.After(time.Until(l.joiner.came.Add(wait)))
}

// prime opens the lines that are open at a client's place: it reads back to their first pieces.
func (l *Log) prime(ctx context.Context) error {
	opts := sdk.ReadOptions{App: l.app, Limit: joinMore, Before: l.at.Cursor, Filter: ofPieces(l.filter)}
	if l.at.InHistory() { // behind the entry at the place
		opts.Before.Published, opts.Before.Entry = opts.Before.Published+1, 0
	}
	var entries []sdk.Entry
	first := l.at.open()
	for missing, left := len(first), primeReads; missing > 0 && left > 0; left-- {
		p, err := l.storage.Read(ctx, opts)
		if err != nil {
			return err
		}
		if p.Epoch != l.at.Epoch || len(p.Entries) == 0 {
			break
		}
		for i := range p.Entries {
			if slices.Contains(first, p.Entries[i].Position) {
				missing--
			}
		}
		entries, opts.Before = append(p.Entries, entries...), p.Next
	}
	for i := range entries {
		if e := &entries[i]; slices.Contains(first, e.Position) || l.joiner.find(e) >= 0 {
			l.joiner.add(e, func(sdk.Entry) {}) // a line that ends here is none of them
		}
	}
	l.at = l.joiner.mark(l.at)
	return nil
}

// primeReads bounds how many pages prime reads.
const primeReads = 8

func (l *Log) page(ctx context.Context, limit int) (sdk.Page, error) {
	p := l.ahead
	if l.ahead = nil; p != nil && limit > 1 { // with a limit of 1, Next wants a page of one
		return *p, nil
	}
	return l.storage.Read(ctx, sdk.ReadOptions{App: l.app, Limit: limit, After: l.at.Cursor, Filter: l.filter})
}

// counts reports whether it is known how many entries that pass the filter are left of the history.
func (l *Log) counts() bool {
	return l.at.InHistory() && l.at.N > 0 && l.at.Of == l.of && (l.joiner.search == nil || !l.joiner.search.apart)
}

// isHistory reports whether a page that was read after the cursor is part of the cursor's history.
func isHistory(p *sdk.Page, after sdk.Cursor) bool {
	switch {
	case !after.InHistory() || p.Epoch != after.Epoch:
		return false
	case len(p.Entries) > 0:
		return p.Entries[0].Position <= after.Position
	default:
		return p.Next.InHistory()
	}
}

// take makes a batch of a page that was read after the log's place.
func (l *Log) take(p sdk.Page) Batch {
	b := Batch{More: p.More, Filtered: l.filtered(), End: l.at}
	l.end = p.End()
	same := p.Epoch == l.at.Epoch
	if p.Epoch == 0 || !same && p.Last == 0 {
		return b // there is no log, or nothing in it yet
	}
	if same && p.Last < l.at.Position { // the storage lost its newest entries
		to := l.at.Cursor
		to.Position = p.Last
		b.gap(l, Gap{To: Place{Cursor: to}, Reason: Lost})
	}
	switch {
	case isHistory(&p, l.at.Cursor):
		l.takeHistory(&b, &p)
	case same && l.at.InHistory(): // the history is over
		if l.counts() {
			b.gap(l, Gap{To: Place{Cursor: l.at.Plain()}, Count: l.at.N, Exact: true, Reason: Evicted})
		}
		l.at = Place{Cursor: l.at.Plain()}
		// The page is of what arrived since: it comes in a batch of its own.
		if b.More = len(p.Entries) > 0 || p.More || p.Next.Position > l.at.Position; b.More {
			l.ahead = &p
		}
	default:
		s := NewSpan(&p, &l.newest)
		first, gone := l.behind(s)
		if s.filtered = b.Filtered; s.filtered { // what did not pass is not missing
			gone = p.Gone
		}
		l.arrived(&b, s, first, gone, Lost)
		if l.at.Position >= p.Last {
			l.at.N = 0
		}
	}
	b.End = l.at
	return b
}

// gap adds a gap to the batch, and moves the log behind it.
func (b *Batch) gap(l *Log, g Gap) {
	if g.From = l.at; g.Reason == Deleted || g.Reason == Lost {
		l.joiner.open, l.joiner.bytes = nil, 0
	}
	g.To = l.joiner.mark(g.To)
	b.Gaps = append(b.Gaps, g)
	l.at = g.To
}

func (l *Log) takeHistory(b *Batch, p *sdk.Page) {
	n := uint64(len(p.Entries))
	s := &Span{
		Entries: p.Entries, end: l.at.Plain(), history: true, filter: l.of,
		known: l.counts(), whole: !p.Next.InHistory(),
	}
	if s.known {
		s.left = l.at.N - min(n, l.at.N)
	}
	if s.whole && s.left > 0 {
		b.gap(l, Gap{To: Place{Cursor: l.at.Cursor, N: n, Of: l.of}, Count: s.left, Exact: true, Reason: Evicted})
		s.left = 0
	}
	l.at = Place{Cursor: p.Next}
	switch {
	case s.whole:
		s.known = true
	case s.left > 0:
		l.at.N, l.at.Of = s.left, l.of
	}
	b.take(s, 0)
	if n > 0 {
		last := &p.Entries[n-1]
		if l.last = last.Position; s.known {
			l.last = 0
		}
		if last.Published.After(l.newest) {
			l.newest = last.Published
		}
	}
}

func (b *Batch) take(s *Span, first int) { b.span, b.first, b.Entries = s, first, s.Entries[first:] }

// behind returns the index of the span's first entry behind the log's place, and how many entries
// are missing between that place and the span's end.
func (l *Log) behind(s *Span) (first int, gone uint64) {
	from := uint64(0)
	if l.at.Epoch == s.end.Epoch {
		from = l.at.Position
	}
	first, _ = slices.BinarySearchFunc(s.Entries, from+1, func(e sdk.Entry, position uint64) int { return cmp.Compare(e.Position, position) })
	if n := uint64(len(s.Entries) - first); s.end.Position > from+n {
		gone = s.end.Position - from - n
	}
	return first, gone
}

// arrived takes the entries of a span, in the order of arrival, from index first on. gone is how
// many entries are missing up to the span's end. reason says why the log is over if the span is of
// another epoch.
func (l *Log) arrived(b *Batch, s *Span, first int, gone uint64, reason Reason) {
	b.take(s, first)
	from := Place{Cursor: sdk.Cursor{Epoch: s.end.Epoch}}
	same := l.at.Epoch == s.end.Epoch
	if same {
		from = l.at
	}
	told := min(gone, from.N)
	count, left := gone-told, from.N-told
	to := Place{Cursor: from.Cursor, N: from.N + count}
	switch {
	case len(b.Entries) == 0:
		to = Place{Cursor: s.end, N: left}
	case !s.filtered:
		to.Position = b.Entries[0].Position - 1
		to.N -= to.Position - from.Position
	}
	gap := Gap{To: to, Count: count, Exact: true, Reason: Evicted}
	switch {
	case !same && l.at.Cursor != sdk.Beginning():
		if gap.Exact, gap.Reason = false, reason; l.at.InHistory() {
			gap.Count += l.at.N
		}
		b.gap(l, gap)
	case count > 0:
		b.gap(l, gap)
	}
	l.at = Place{Cursor: s.end, N: left}
	if left > 0 { // otherwise other readers may share the span
		s.left = left
	}
	if s.filtered && gone > 0 && len(b.Entries) == 1 { // see Next
		s.left += s.end.Position - b.Entries[0].Position
	}
}

// Pass takes the entries of a span that are behind the log's place. before is where the stream was
// before the span: this reader did not take in time what is missing up to there. reason says why
// the log is over if the span is of another epoch.
func (l *Log) Pass(ctx context.Context, s *Span, before sdk.Cursor, reason Reason) (b Batch) {
	if s.end.Epoch == l.at.Epoch && s.end.Position <= l.at.Position {
		return Batch{End: l.at} // all of it was read
	}
	if before.Epoch == l.at.Epoch && before.Position > l.at.Position {
		count := before.Position - l.at.Position
		b.gap(l, Gap{To: Place{Cursor: before}, Count: count - min(count, l.at.N), Exact: true, Reason: Slow})
	}
	first, gone := l.behind(s)
	l.at.N = 0 // nothing is told in advance of what is live
	at := l.at
	l.arrived(&b, s, first, gone, reason)
	return l.join(ctx, b, at)
}

// FallBack returns the batch that tells a reader that its log came back at an earlier end, or is
// gone.
func (l *Log) FallBack(to sdk.Cursor, reason Reason) (b Batch) {
	gap := Gap{To: Place{Cursor: to}, Reason: reason}
	if to.Position > l.at.Position {
		gap.Count = to.Position - l.at.Position
	}
	b.gap(l, gap)
	b.End = l.at
	return b
}
