package memory

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/deis/logger/sdk"
)

// maxPage bounds how much of a log one Read copies; the rest is left to the next. A page is copied,
// decoded and encoded in memory beside the budget, so it is at most this share of the budget.
const (
	maxPage   = 384 << 10
	pageShare = 256
)

const (
	// largeReads bounds the pages of more than smallRead that are made at once. Each takes several
	// times its size, beside the budget. A smaller page never waits.
	largeReads = 2
	smallRead  = 64 << 10
)

// way names one of the three ways to read; see [sdk.ReadOptions].
type way uint8

const (
	newest way = iota
	history
	arrival
)

// query says what a read wants: up to limit entries whose sort keys are after low and before high,
// and whose positions are at most last. The read may leave out entries whose time is before since.
type query struct {
	way       way
	limit     int
	low, high sortKey
	last      uint64
	since     int64
	page      int // about the most bytes
}

// furthest is the sort key after all entries.
var furthest = sortKey{math.MaxInt64, math.MaxUint64}

func (s *storage) newQuery(l *log, opts *sdk.ReadOptions) query {
	q := query{limit: opts.Limit, page: max(smallRead, min(maxPage, int(s.arena.limit)*blockSize/pageShare)), high: furthest, last: math.MaxUint64, since: math.MinInt64}
	if q.limit < 0 {
		q.limit = math.MaxInt
	}
	if since := opts.Filter.Since; !since.IsZero() {
		q.since = timeNanos(since)
	}
	after, before := opts.After, opts.Before
	switch {
	case after.IsZero():
		q.low = sortKey{published: math.MinInt64}
		if before.Epoch == l.epoch {
			q.last = before.Position
			if before.InHistory() {
				q.high = sortKey{before.Published, before.Entry}
			}
		}
	case after.InHistory() && after.Epoch == l.epoch:
		q.way, q.last, q.low = history, after.Position, sortKey{after.Published, after.Entry}
	default:
		q.arrive(l, after)
	}
	return q
}

// arrive makes the query one for what arrived after the cursor.
func (q *query) arrive(l *log, after sdk.Cursor) {
	q.way, q.last, q.low, q.since = arrival, math.MaxUint64, sortKey{}, math.MinInt64
	if after.Epoch == l.epoch {
		q.low.position = after.Position
	}
}

// Read implements [sdk.Storage]. It copies the part of the log under the lock, and decodes it
// afterwards.
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Page{}, err
	}
	if s.isLarge(&opts) {
		select {
		case s.reads <- struct{}{}:
			defer func() { <-s.reads }()
		case <-ctx.Done():
			return sdk.Page{}, ctx.Err()
		}
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return sdk.Page{}, errClosed
	}
	l := s.logs[opts.App]
	if l == nil || l.epoch == 0 {
		s.mu.RUnlock()
		return sdk.Page{}, nil
	}
	page := sdk.Page{Epoch: l.epoch, Last: l.last, Version: l.version}
	var c copied
	if opts.Limit != 0 {
		q := s.newQuery(l, &opts)
		sel := s.look(l, &q)
		if q.way == history && len(sel.found) == 0 {
			q.arrive(l, opts.After)
			sel = s.look(l, &q)
		}
		page.More = sel.more
		c = s.copyParts(l, &q, &sel)
	}
	s.mu.RUnlock()

	var err error
	if page.Entries, err = c.decode(); err != nil {
		return sdk.Page{}, fmt.Errorf("read %q: %w", opts.App, err)
	}
	return page, nil
}

// isLarge estimates whether the read will copy more than smallRead.
func (s *storage) isLarge(opts *sdk.ReadOptions) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.logs[opts.App]
	if s.closed || l == nil || l.held <= smallRead/payloadSize {
		return false
	}
	n := uint64(l.kept)
	if opts.Limit >= 0 {
		n = min(n, uint64(opts.Limit))
	}
	if after := opts.After; after.Epoch == l.epoch && !after.InHistory() {
		n = min(n, l.last-min(l.last, after.Position))
	}
	return n*uint64(l.held)/uint64(l.kept) > smallRead/payloadSize
}

// span holds the range of a run's blocks that a read still has to look at.
type span struct {
	run    *run
	lo, hi int
}

// below returns an upper bound of the sort keys of all entries that begin before the run's block k.
func (s *storage) below(q *query, r *run, k int) sortKey {
	p := sortKey{position: s.arena.position(r.blocks[k]) - 1}
	if q.way != arrival {
		p.published = s.arena.top(r.blocks[k])
	}
	return p
}

// above returns a lower bound of the sort keys of all entries that begin in the run's block k or in
// a later one.
func (s *storage) above(q *query, r *run, k int) sortKey {
	if q.way == arrival {
		return sortKey{position: s.arena.position(r.blocks[k])}
	}
	return sortKey{published: minus(s.arena.top(r.blocks[k]))}
}

// span finds the blocks in which entries begin that the query may want. It uses binary search,
// since the bounds rise from block to block.
func (s *storage) span(q *query, r *run) span {
	// No entry is wanted that begins before block past-1, or in block ahead or later.
	past := sort.Search(len(r.blocks), func(k int) bool {
		return s.below(q, r, k).compare(q.low) > 0 && s.arena.time(r.blocks[k]) >= q.since
	})
	ahead := sort.Search(len(r.blocks), func(k int) bool {
		return s.arena.position(r.blocks[k]) > q.last || s.above(q, r, k).compare(q.high) >= 0
	})
	lo := max(0, past-1)
	return span{run: r, lo: lo, hi: max(lo, ahead)}
}

// selection holds what a query finds. The newest entries come in reverse order.
type selection struct {
	found []found
	more  bool // the limit is not reached, and there are more such entries
}

// look finds what the query wants, up to its limit and up to about a page. It walks the runs
// block by block. An entry that it found is sure once no block that is left can have an
// entry that comes before it; look ends when enough entries are sure.
func (s *storage) look(l *log, q *query) (sel selection) {
	var spans [maxRuns]span
	for i := range l.runs {
		spans[i] = s.span(q, &l.runs[i])
	}
	// Room for about a page's entries: the caller's number alone could be anything.
	sel.found = make([]found, 0, min(q.limit, l.kept, 1+q.page*l.kept/max(1, l.held*payloadSize))+64)
	sure, bytes, check := 0, 0, 0
	for {
		i, bound := s.nearest(l, q, &spans)
		if i < 0 || len(sel.found) >= check {
			sel.found = q.sort(sel.found, sure)
			for ; sure < len(sel.found) && sure < q.limit && (sure == 0 || bytes < q.page); sure++ {
				if i >= 0 && q.order(sel.found[sure].sortKey, bound) >= 0 {
					break
				}
				bytes += int(sel.found[sure].size)
			}
			if i < 0 || sure == q.limit || sure > 0 && bytes >= q.page {
				break
			}
			check = sure + 1 + (len(sel.found)-sure)*5/4
		}
		k := spans[i].lo
		if q.way == newest {
			spans[i].hi--
			k = spans[i].hi
		} else {
			spans[i].lo++
		}
		sel.found = s.collect(l, q, i, k, sel.found)
	}
	i, _ := s.nearest(l, q, &spans)
	sel.more = sure < q.limit && (i >= 0 || sure < len(sel.found))
	sel.found = sel.found[:sure]
	return sel
}

// nearest returns the run whose next block has to be walked next, and a bound: no entry of
// any block that is left comes before it. The run is -1 if no block is left.
func (s *storage) nearest(l *log, q *query, spans *[maxRuns]span) (i int, bound sortKey) {
	i = -1
	for k := range l.runs {
		sp := &spans[k]
		if sp.lo == sp.hi {
			continue
		}
		var p sortKey
		switch {
		case q.way != newest:
			p = s.above(q, sp.run, sp.lo)
		case sp.hi == len(sp.run.blocks):
			p = sortKey{sp.run.top, sp.run.last}
		default:
			p = s.below(q, sp.run, sp.hi)
		}
		if i < 0 || q.order(p, bound) < 0 {
			i, bound = k, p
		}
	}
	return i, bound
}

// order compares two sort keys by which of them the query reads first.
func (q *query) order(a, b sortKey) int {
	if q.way == newest {
		return b.compare(a)
	}
	return a.compare(b)
}

// sort sorts the entries that are not sure yet. They come after all that are sure.
func (q *query) sort(all []found, sure int) []found {
	compare := func(a, b found) int { return q.order(a.sortKey, b.sortKey) }
	if rest := all[sure:]; !slices.IsSortedFunc(rest, compare) {
		slices.SortFunc(rest, compare)
	}
	return all
}

// collect adds what the query wants of the entries that begin in the run's block.
func (s *storage) collect(l *log, q *query, i, k int, all []found) []found {
	r := &l.runs[i]
	b := r.blocks[k]
	if s.arena.offset(b) == payloadSize {
		return all
	}
	w := s.walk(l, r, k)
	w.scratch[0] = s.arena.touch(b) // a quarter of a search
	begin := len(all)
	f := found{run: uint8(i)}
	for stop := (s.arena.order(b) + 1) * payloadSize; w.at < stop && w.next(&f); {
		p := f.sortKey
		if q.way == arrival {
			p.published = 0
		}
		if w.ordinal <= r.head || f.position > q.last || p.compare(q.low) <= 0 || p.compare(q.high) >= 0 {
			continue
		}
		all = append(all, found{sortKey: p, at: f.at, size: f.size, run: f.run})
	}
	if q.way == newest {
		slices.Reverse(all[begin:])
	}
	return all
}

// part holds a stretch of a run's stream. It begins with the first entry that begins in its block.
type part struct {
	stream   string
	position uint64 // of its first entry, if none is left out before it
	skip     uint64 // how many of its entries left already
}

// copied holds what a read decodes after it has released the lock. Wanted are the n entries whose
// sort keys are from first to last, and whose positions are at most limit.
type copied struct {
	parts       []part
	n           int
	way         way
	first, last sortKey
	limit       uint64
}

// copyParts copies what was selected from the arena.
func (s *storage) copyParts(l *log, q *query, sel *selection) copied {
	c := copied{n: len(sel.found), way: q.way, limit: q.last}
	if c.n == 0 {
		return c
	}
	c.first, c.last = sel.found[0].sortKey, sel.found[c.n-1].sortKey
	if q.way == newest {
		c.first, c.last = c.last, c.first
	}
	var begin, end [maxRuns]uint64
	for i := range sel.found {
		f := &sel.found[i]
		if end[f.run] == 0 || f.at < begin[f.run] {
			begin[f.run] = f.at
		}
		end[f.run] = max(end[f.run], f.at+uint64(f.size))
	}
	for i := range l.runs {
		if end[i] > 0 {
			c.parts = append(c.parts, s.copyPart(l, &l.runs[i], begin[i], end[i]))
		}
	}
	return c
}

// copyPart copies from the block in which begin is.
func (s *storage) copyPart(l *log, r *run, begin, end uint64) part {
	w := s.walk(l, r, int(begin/payloadSize-s.arena.order(r.blocks[0])))
	var b strings.Builder
	b.Grow(int(end - w.at))
	for at := w.at; at < end; {
		rest := s.arena.payload(r.blocks[at/payloadSize-w.first])[at%payloadSize:]
		rest = rest[:min(uint64(len(rest)), end-at)]
		b.Write(rest)
		at += uint64(len(rest))
	}
	return part{stream: b.String(), position: w.position, skip: r.head - min(r.head, w.ordinal)}
}

// decode returns the entries in the order in which they are answered.
func (c *copied) decode() ([]sdk.Entry, error) {
	if c.n == 0 {
		return nil, nil
	}
	entries := make([]sdk.Entry, 0, c.n)
	for i := range c.parts {
		var err error
		if entries, err = c.decodePart(&c.parts[i], entries); err != nil {
			return nil, err
		}
	}
	if len(entries) != c.n {
		return nil, fmt.Errorf("%d entries are damaged: %w", c.n-len(entries), sdk.ErrUnavailable)
	}
	return c.sort(entries), nil
}

// sort returns the entries in order. It sorts their keys, since an entry is large.
func (c *copied) sort(entries []sdk.Entry) []sdk.Entry {
	if c.inOrder(entries) {
		return entries
	}
	keys := make([]sortable, len(entries))
	for i := range entries {
		keys[i] = sortable{c.sortKey(&entries[i]), i}
	}
	slices.SortFunc(keys, func(a, b sortable) int { return a.compare(b.sortKey) })
	sorted := make([]sdk.Entry, len(entries))
	for i, p := range keys {
		sorted[i] = entries[p.entry]
	}
	return sorted
}

// inOrder reports whether the entries are in order, as they are in a log of one run.
func (c *copied) inOrder(entries []sdk.Entry) bool {
	for i := 1; i < len(entries); i++ {
		if c.sortKey(&entries[i]).compare(c.sortKey(&entries[i-1])) < 0 {
			return false
		}
	}
	return true
}

// sortable holds the sort key of an entry, and its index.
type sortable struct {
	sortKey
	entry int
}

func (c *copied) sortKey(e *sdk.Entry) sortKey {
	p := sortKey{position: e.Position}
	if c.way != arrival {
		p.published = nanos(e.Published)
	}
	return p
}

func (c *copied) decodePart(p *part, entries []sdk.Entry) ([]sdk.Entry, error) {
	var other sdk.Entry
	var prev *sdk.Entry
	position := p.position
	for rest, n := p.stream, uint64(0); rest != ""; n++ {
		body, after, whole := cutEntry(rest)
		rest = after
		e := &other
		if len(entries) < cap(entries) {
			e = &entries[:len(entries)+1][len(entries)]
		}
		if !whole || !decodeEntry(body, prev, e) {
			return nil, fmt.Errorf("an entry from position %d on is damaged: %w", position, sdk.ErrUnavailable)
		}
		e.Position += position
		position, prev = e.Position+1, e
		at := c.sortKey(e)
		switch wanted := n >= p.skip && e.Position <= c.limit && at.compare(c.first) >= 0 && at.compare(c.last) <= 0; {
		case !wanted && e != &other:
			other = *e
			prev = &other
		case wanted && e == &other:
			return nil, fmt.Errorf("entry %d is one too many: %w", e.Position, sdk.ErrUnavailable)
		case wanted:
			entries = entries[:len(entries)+1]
		}
	}
	return entries, nil
}
