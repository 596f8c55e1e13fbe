package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// pageBytes is about how much a page has, and pageEntries how many if nobody limits it.
	pageBytes, pageEntries = 1 << 20, 8192
	// firstBlocks is how many blocks are fetched at least before anything is known of the log,
	// and firstEntries how many entries a block most likely has.
	firstBlocks, firstEntries = 4, 25
	// looks is how often a read tries to see a log at one moment.
	looks = 20
)

// Read implements [sdk.Storage].
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	var seen state
	for try := 0; try < looks; try++ {
		v := s.view(opts)
		switch {
		case opts.After.IsZero():
			v.log = seen // so that all of it is fetched at once
			page, err = v.newest(ctx)
		case opts.After.InHistory():
			page, err = v.history(ctx)
		default:
			page, err = v.arrived(ctx)
		}
		// The newest of a moment are not those of another, while entries arrive and leave.
		seen = v.log
		again := opts.After.IsZero() && opts.Before.IsZero() && page.Epoch != 0 && page.Version == 0 && !page.More
		if !again && !errors.Is(err, errAnew) {
			break
		}
	}
	if err != nil {
		return sdk.Page{}, fmt.Errorf("read %q: %w", opts.App, s.explain(err))
	}
	return page, nil
}

// newest answers the newest entries, before a place if there is one.
func (v *view) newest(ctx context.Context) (sdk.Page, error) {
	v.back, v.bound = true, last
	for i := range v.spans {
		v.spans[i].from = math.MaxUint64
	}
	if before := v.opts.Before; !before.IsZero() && v.opts.Limit != 0 {
		v.last = before.Position
		if before.InHistory() {
			v.below = place{before.Published, before.Entry}
		}
		err := v.seek(ctx, before.Entry, func(run int, b *kept) (this, previous bool) {
			slip := v.log.runs[run].slip
			return b.tail-slip > v.below.published, b.floor-slip > v.below.published
		})
		if err != nil || before.Epoch != v.epoch {
			return v.page(), err // nothing of another epoch comes before the place
		}
	}
	return v.walk(ctx)
}

// history answers what comes behind a place in the order of publishing, of what had arrived
// by then; if there is nothing left, what arrived after it.
func (v *view) history(ctx context.Context) (sdk.Page, error) {
	after, since := v.opts.After, v.opts.Filter.Since
	v.above, v.last = place{after.Published, after.Entry}, after.Position
	err := v.seek(ctx, after.Entry, func(_ int, b *kept) (this, previous bool) {
		is := func(tail, stated int64) bool {
			return tail >= after.Published && (since.IsZero() || stated >= since.UnixMicro())
		}
		stated := b.stated
		for _, e := range b.decode(nil) {
			stated = max(stated, e.Time.UnixMicro())
		}
		return is(b.tail, stated), is(b.floor, b.stated)
	})
	if err != nil {
		return sdk.Page{}, err
	}
	if v.epoch != 0 && after.Epoch == v.epoch {
		page, err := v.walk(ctx)
		if err != nil || v.opts.Limit == 0 || page.More || len(page.Entries) > 0 {
			return page, err
		}
	}
	return v.storage.view(v.opts).arrived(ctx)
}

// arrived answers what arrived after a position, in that order.
func (v *view) arrived(ctx context.Context) (sdk.Page, error) {
	after := v.opts.After
	if after.Epoch == sdk.Beginning().Epoch {
		after.Position = 0
	}
	v.arrival, v.above = true, place{0, after.Position}
	for i := range v.spans {
		v.spans[i].from = after.Position + 1
	}
	page, err := v.walk(ctx)
	if err == nil && after.Position > 0 && after.Epoch != v.epoch {
		v.opts.After = sdk.Beginning() // all of another log comes after it
		return v.storage.view(v.opts).arrived(ctx)
	}
	return page, err
}

// view is what a read has seen of a log: of each run some blocks in a row.
type view struct {
	*storage
	opts    sdk.ReadOptions
	back    bool // it goes from the newest to the oldest
	arrival bool // the order is that of arrival
	// The entries that are asked for are behind above, before below, and no later than last.
	above, below place
	last         uint64

	known   bool   // the state was read
	log     state  // as it was read last
	epoch   uint64 // of the log when it was read first
	begun   uint64 // its last position then
	version uint64 // 0 if the log has changed since
	spans   [maxRuns]span
	// bound is the place up to which the view has all entries; where it goes back, behind
	// which.
	bound place
}

func (s *storage) view(opts sdk.ReadOptions) *view {
	return &view{storage: s, opts: opts, last: math.MaxUint64, above: first, below: last, bound: first}
}

// span is the blocks of one run, oldest first.
type span struct {
	blocks []kept
	end    bool // the run has no more of them
	// from is a position in the first block to fetch, and want how many blocks.
	from uint64
	want int
}

// place is one in an order of entries: as in a cursor, or of arrival, without the time.
type place struct {
	published int64
	position  uint64
}

var first, last = place{math.MinInt64, 0}, place{math.MaxInt64, math.MaxUint64}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.published, q.published), cmp.Compare(p.position, q.position))
}

func (v *view) placeOf(e *sdk.Entry) place {
	if v.arrival || e.Published.IsZero() {
		return place{0, e.Position}
	}
	return place{e.Published.UnixNano(), e.Position}
}

// page is what every answer has.
func (v *view) page() sdk.Page {
	return sdk.Page{Epoch: v.epoch, Last: v.begun, Version: v.version}
}

// walk fetches blocks until a page is full, or there are no more.
func (v *view) walk(ctx context.Context) (sdk.Page, error) {
	for {
		if err := v.extend(ctx); err != nil || v.epoch == 0 || v.opts.Limit == 0 {
			return v.page(), err
		}
		open := v.reach()
		entries, full := v.entries()
		behind := func(p place, least int) int {
			return sort.Search(len(entries), func(i int) bool { return v.placeOf(&entries[i]).compare(p) >= least })
		}
		from, to, sure, skipped := behind(v.above, 1), behind(v.below, 0), len(entries), v.skipped()
		if open {
			sure = behind(v.bound, 1)
		}
		if !v.arrival {
			from = max(from, skipped)
		}
		if !v.back {
			to = min(to, sure)
		} else if open = open && skipped < sure; open { // else none of the others is kept
			from = max(from, sure)
		}
		found := slices.DeleteFunc(entries[min(from, to):to], func(e sdk.Entry) bool { return e.Position > v.last })
		page := v.page()
		page.Entries = cut(found, v.opts.Limit, v.back)
		n := len(page.Entries)
		more := open || n < len(found)
		switch {
		case n == v.opts.Limit:
			page.More = more && !v.back
			return page, nil
		case !open || n < len(found) || n > 0 && full:
			page.More = more
			return page, nil
		case full && sure > 0 && !v.back && !v.arrival: // none of the history that is kept
			page.More, page.Next = true, v.opts.After.At(&entries[sure-1])
			return page, nil
		}
	}
}

// edge is the place up to which the view has all entries of the run (see bound); not open if
// it needs no more of them.
func (v *view) edge(run int) (at place, open bool) {
	span := &v.spans[run]
	switch {
	case run >= len(v.log.runs) || v.log.runs[run].entries == 0 || span.end:
		return place{}, false
	case len(span.blocks) == 0 && v.back:
		return last, true
	case len(span.blocks) == 0:
		return first, true
	case v.back:
		b, since := &span.blocks[0], v.opts.Filter.Since
		return place{b.floor, b.first - 1}, since.IsZero() || b.stated >= since.UnixMicro()
	}
	b := &span.blocks[len(span.blocks)-1]
	if v.arrival {
		return place{0, b.last()}, b.last() < v.last
	}
	// How many have to be skipped depends on those that arrived later, too.
	return place{b.tail - v.log.runs[run].slip, b.last()}, b.last() < v.last || v.skipped() > 0
}

// reach sets the bound. It reports whether there is anything beyond.
func (v *view) reach() (open bool) {
	for i := range v.log.runs {
		at, more := v.edge(i)
		if more && (!open || v.back == (at.compare(v.bound) > 0)) {
			v.bound = at
		}
		open = open || more
	}
	return open
}

// extend fetches more of the runs that keep the bound where it is.
func (v *view) extend(ctx context.Context) error {
	for i := range v.spans {
		span := &v.spans[i]
		at, open := v.edge(i)
		switch {
		case v.opts.Limit == 0:
		case v.known && open && at == v.bound:
			span.want = v.blocksFor(i)
		case !v.known && i < len(v.log.runs) && v.log.runs[i].entries > 0:
			span.want = 2 * v.blocksFor(i)
		case !v.known && i == 0: // nearly always there is one run
			span.want = max(firstBlocks, min(v.opts.Limit, 1000)/firstEntries)
		}
		if len(span.blocks) > 0 && v.back {
			span.from = span.blocks[0].first - 1
		} else if len(span.blocks) > 0 {
			span.from = span.blocks[len(span.blocks)-1].last() + 1
		}
	}
	wanted := v.spans
	fetched, err := v.fetch(ctx, v.back)
	for i := range v.spans {
		if span := &v.spans[i]; wanted[i].want > 0 {
			span.end = len(fetched[i]) < wanted[i].want
			if v.back {
				fetched[i], span.blocks = span.blocks, fetched[i]
			}
			span.blocks = append(span.blocks, fetched[i]...)
		}
	}
	return err
}

// blocksFor is how many blocks of the run have about as many entries as are wanted, but not
// many more bytes than a page.
func (v *view) blocksFor(run int) int {
	r, had, all := v.log.runs[run], uint64(len(v.spans[run].blocks)), uint64(1)
	for i := range v.log.runs {
		all += v.log.runs[i].blocks
	}
	wanted := min(uint64(max(v.opts.Limit, 0)), pageEntries)
	if v.opts.Limit < 0 {
		wanted = pageEntries
	}
	wanted = wanted*r.blocks/r.entries + 2
	if v.back && !v.opts.Filter.Since.IsZero() { // most likely there are few
		wanted = firstBlocks
	}
	// More and more, since it may take many until it is sure which come first.
	return int(min(max(wanted, had), pageBytes*all/(v.log.bytes+1)+1))
}

// entries decodes all blocks of the view, and puts the entries in order. The view is full if
// that is enough for a page.
func (v *view) entries() (entries []sdk.Entry, full bool) {
	n, bytes := 0, 0
	for _, span := range v.spans {
		for i := range span.blocks {
			n, bytes = n+span.blocks[i].entries, bytes+len(span.blocks[i].data)
		}
	}
	entries = make([]sdk.Entry, 0, n)
	for _, span := range v.spans {
		for i := range span.blocks {
			entries = span.blocks[i].decode(entries)
		}
	}
	slices.SortFunc(entries, func(a, b sdk.Entry) int { return v.placeOf(&a).compare(v.placeOf(&b)) })
	return entries, bytes >= pageBytes
}

// skipped is how many of the entries of the view, in the order of publishing, are not kept
// any more: they wait for their blocks to leave. It is negative if there are entries before the
// view that are kept.
func (v *view) skipped() int {
	surplus := -int64(v.log.kept)
	for i := range v.log.runs {
		r, span := &v.log.runs[i], &v.spans[i]
		switch {
		case len(span.blocks) > 0: // without those before it
			surplus += int64(r.added) - int64(span.blocks[0].before)
		case v.back && span.end: // all of it is behind the view
			surplus += int64(r.entries)
		}
	}
	return int(surplus)
}

// cut takes the first entries, or the last: at most limit if that is not negative, and about
// as many bytes as a page has.
func cut(entries []sdk.Entry, limit int, newest bool) []sdk.Entry {
	bytes, n := 0, 0
	for ; n < len(entries) && n != limit; n++ {
		e := &entries[n]
		if newest {
			e = &entries[len(entries)-1-n]
		}
		bytes += 48 + len(e.Message) // and its numbers
		for _, text := range labels(e) {
			bytes += len(*text)
		}
		if n > 0 && bytes > pageBytes {
			break
		}
	}
	if newest {
		return entries[len(entries)-n:]
	}
	return entries[:n]
}

// seek finds, for each run, the first block for which is says so, as it does for all later
// ones: the span begins there. Is also says that of the block before. The hint is a position
// that is most likely near.
func (v *view) seek(ctx context.Context, hint uint64, is func(run int, b *kept) (this, previous bool)) error {
	var at, low, high [maxRuns]uint64 // it is at, or else between low and high
	v.spans[0].from, v.spans[0].want = max(hint, 1), 1
	for more := true; more; {
		asked, known := v.spans, v.known
		fetched, err := v.fetch(ctx, false)
		if err != nil {
			return err
		}
		more = false
		for i := range v.log.runs {
			from, r := asked[i].from, &v.log.runs[i]
			if !known {
				high[i] = v.begun
			}
			switch {
			case asked[i].want == 0:
			case len(fetched[i]) == 0:
				high[i] = from - 1
			default:
				b := &fetched[i][0]
				switch this, previous := is(i, b); {
				case !this:
					low[i] = b.last()
				case !previous || b.before <= r.added-r.entries: // or there is none
					at[i], high[i] = b.last(), 0
				default:
					at[i], high[i] = b.last(), min(b.first, from)-1
				}
			}
			if low[i] >= high[i] || r.entries == 0 {
				continue
			}
			v.spans[i].from, v.spans[i].want, more = low[i]+(high[i]-low[i]+1)/2, 1, true
			if i == 0 && !known { // the next one, most likely
				v.spans[i].from = low[i] + 1
			}
		}
	}
	for i := range v.spans {
		if v.spans[i].from = at[i]; at[i] == 0 && v.back {
			v.spans[i].from = math.MaxUint64
		} else if at[i] == 0 {
			v.spans[i].end = true
		}
	}
	return nil
}

// errAnew says that the log was deleted, or begun anew, while it was read.
var errAnew = errors.New("the log began anew while it was read")

// fetch asks for the state and for the blocks that the spans want, all as they are at one
// moment: Redis serves nobody else between the commands that it gets in one write, and where
// it does (it got them in two), the state after the blocks may differ from that before. An app
// that changes so often that this never succeeds is answered with what there is, up to the
// first state.
func (v *view) fetch(ctx context.Context, back bool) (blocks [maxRuns][]kept, err error) {
	var before, after *redis.StringCmd
	var replies [maxRuns]*redis.Cmd
	for try := 0; try == 0 || before.Val() != after.Val() && try < looks; try++ {
		_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			key := stateKey(v.opts.App)
			before = p.Get(ctx, key)
			for i := range v.spans {
				from, command, stop := strconv.FormatUint(v.spans[i].from, 10), "xrange", "+"
				if back {
					command, stop = "xrevrange", "-"
				}
				if v.spans[i].from == math.MaxUint64 {
					from = "+"
				}
				if v.spans[i].want > 0 {
					replies[i] = p.Do(ctx, command, runKey(v.opts.App, i), from, stop, "count", v.spans[i].want)
				}
			}
			after = p.Get(ctx, key)
			return nil
		})
		if err := cmp.Or(some(err), some(before.Err()), some(after.Err())); err != nil {
			return blocks, err
		}
	}
	for i, reply := range replies {
		v.spans[i].want = 0
		if reply == nil {
			continue
		}
		if err := some(reply.Err()); err != nil {
			return blocks, err
		}
		if blocks[i] = blocksOf(reply.Val()); back {
			slices.Reverse(blocks[i])
		}
	}
	var version uint64
	log, ok := parseState(before.Val())
	log.kept = min(log.kept, uint64(v.settings.Lines)) // the scripts do so at the next append
	if ok {
		version = v.storage.version(before.Val())
	}
	if !v.known {
		v.known, v.begun, v.epoch, v.version = true, log.last, log.epoch, version
		v.last = min(v.last, log.last)
	}
	if v.version != version {
		v.version = 0
	}
	if v.log = log; log.epoch != v.epoch {
		return blocks, errAnew
	}
	return blocks, nil
}

// blocksOf takes the reply of XRANGE. What is no block of ours is left out.
func blocksOf(reply any) []kept {
	elements, _ := reply.([]any)
	blocks := make([]kept, 0, len(elements))
	for _, element := range elements {
		if pair, _ := element.([]any); len(pair) == 2 {
			id, _ := pair[0].(string)
			number, _, _ := strings.Cut(id, "-")
			last, _ := strconv.ParseUint(number, 10, 64)
			if fields, _ := pair[1].([]any); len(fields) == 2 {
				numbers, _ := fields[0].(string)
				data, _ := fields[1].(string)
				if b, ok := parseKept(last, numbers, data); ok {
					blocks = append(blocks, b)
				}
			}
		}
	}
	return blocks
}
