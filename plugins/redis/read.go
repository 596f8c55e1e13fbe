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
	// pageBytes is about how much a page has.
	pageBytes = 1 << 20
	// pageEntries is the most entries that are fetched for a page if nobody limits it.
	pageEntries = 8192
	// firstBlocks is how many blocks are fetched before anything is known of the log: enough
	// for what most readers want.
	firstBlocks = 4
	// looks is how often a read tries to see a log at one moment.
	looks = 5
)

// Read implements [sdk.Storage].
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	for range 20 * looks {
		v := s.view(opts)
		switch {
		case opts.After.IsZero():
			page, err = v.newest(ctx)
		case opts.After.InHistory():
			page, err = v.history(ctx)
		default:
			page, err = v.arrived(ctx)
		}
		if !errors.Is(err, errAnew) {
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
	v.back, v.above, v.below, v.bound = true, first, last, last
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
	v.above, v.below, v.bound = place{after.Published, after.Entry}, last, first
	v.last = after.Position
	err := v.seek(ctx, after.Entry, func(_ int, b *kept) (this, previous bool) {
		is := func(tail, stated int64) bool {
			return tail >= after.Published && (since.IsZero() || stated >= since.UnixMicro())
		}
		return is(b.tail, b.latest(since)), is(b.floor, b.stated)
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
	after := v.opts.After.Position
	if v.opts.After.Epoch == sdk.Beginning().Epoch {
		after = 0
	}
	v.arrival, v.above, v.below, v.bound = true, place{0, after}, last, first
	for i := range v.spans {
		v.spans[i].from = after + 1
	}
	page, err := v.walk(ctx)
	if after > 0 && v.epoch != 0 && v.epoch != v.opts.After.Epoch {
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

	known   bool // the state was read
	log     state
	epoch   uint64
	begun   uint64 // the log's last position when it was read first
	version uint64
	spans   [maxRuns]span
	// bound is the place up to which the view has all entries; where it goes back, behind
	// which.
	bound place
}

func (s *storage) view(opts sdk.ReadOptions) *view {
	return &view{storage: s, opts: opts, last: math.MaxUint64}
}

// span is the blocks of one run, oldest first.
type span struct {
	from   uint64 // a position in the first block to fetch
	blocks []kept
	end    bool // the run has no more of them
}

// place is one in an order of entries: as in a cursor, or of arrival, without the time.
type place struct {
	published int64
	position  uint64
}

var (
	first = place{math.MinInt64, 0}
	last  = place{math.MaxInt64, math.MaxUint64}
)

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.published, q.published), cmp.Compare(p.position, q.position))
}

func (v *view) placeOf(e *sdk.Entry) place {
	if v.arrival || e.Published.IsZero() {
		return place{0, e.Position}
	}
	return place{e.Published.UnixNano(), e.Position}
}

// walk fetches blocks until a page is full, or there are no more.
func (v *view) walk(ctx context.Context) (sdk.Page, error) {
	for {
		if err := v.extend(ctx); err != nil || v.epoch == 0 || v.opts.Limit == 0 {
			return v.page(), err
		}
		open := v.reach()
		entries := v.entries()
		behind := func(p place) int {
			return sort.Search(len(entries), func(i int) bool { return v.placeOf(&entries[i]).compare(p) > 0 })
		}
		from := behind(v.above)
		to := max(from, sort.Search(len(entries), func(i int) bool { return v.placeOf(&entries[i]).compare(v.below) >= 0 }))
		sure := len(entries)
		if open {
			sure = behind(v.bound)
		}
		if !v.arrival {
			from = max(from, v.skipped())
		}
		if v.back {
			open = open && v.skipped() < sure // else none of the others is kept
			if open {
				from = max(from, sure)
			}
		} else {
			to = min(to, sure)
		}
		found := slices.DeleteFunc(entries[min(from, to):to], func(e sdk.Entry) bool { return e.Position > v.last })
		page := v.page()
		page.Entries = cut(found, v.opts.Limit, v.back)
		n, full := len(page.Entries), v.fetched() >= pageBytes
		switch {
		case n == v.opts.Limit:
			page.More = !v.back && (open || n < len(found))
			return page, nil
		case !open || n < len(found) || n > 0 && full:
			page.More = open || n < len(found)
			return page, nil
		case full && sure > 0 && !v.back && !v.arrival: // none of the history that is kept
			page.More, page.Next = true, v.opts.After.At(&entries[sure-1])
			return page, nil
		}
	}
}

// page is what every answer has.
func (v *view) page() sdk.Page {
	return sdk.Page{Epoch: v.epoch, Last: v.begun, Version: v.version}
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
	at = place{b.tail - v.log.runs[run].slip, b.last()}
	if v.arrival {
		at.published = 0
	}
	return at, b.last() < v.last
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
	var asks []ask
	for i := range v.spans {
		a := ask{run: i, back: v.back, from: v.spans[i].from, count: firstBlocks}
		if v.known {
			if at, open := v.edge(i); !open || at != v.bound {
				continue
			}
			a.count = v.blocksFor(i)
		} else if i > 0 { // nearly always there is one
			break
		}
		if blocks := v.spans[i].blocks; len(blocks) > 0 && v.back {
			a.from = blocks[0].first - 1
		} else if len(blocks) > 0 {
			a.from = blocks[len(blocks)-1].last() + 1
		}
		asks = append(asks, a)
	}
	if v.opts.Limit == 0 {
		asks = nil
	}
	fetched, err := v.fetch(ctx, asks...)
	for i, blocks := range fetched {
		span := &v.spans[asks[i].run]
		span.end = len(blocks) < asks[i].count
		if v.back {
			blocks, span.blocks = span.blocks, blocks
		}
		span.blocks = append(span.blocks, blocks...)
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
	entries := uint64(pageEntries)
	if v.opts.Limit >= 0 {
		entries = min(entries, uint64(v.opts.Limit))
	}
	wanted := entries*r.blocks/r.entries + 2
	if v.back && !v.opts.Filter.Since.IsZero() { // most likely there are few
		wanted = firstBlocks
	}
	// More and more, since it may take many until it is sure which come first.
	return int(min(max(wanted, had), pageBytes*all/(v.log.bytes+1)+1))
}

// entries decodes all blocks of the view, and puts the entries in order.
func (v *view) entries() []sdk.Entry {
	n := 0
	for i := range v.spans {
		for j := range v.spans[i].blocks {
			n += v.spans[i].blocks[j].entries
		}
	}
	entries := make([]sdk.Entry, 0, n)
	for i := range v.spans {
		for j := range v.spans[i].blocks {
			entries = v.spans[i].blocks[j].decode(entries)
		}
	}
	order := func(a, b *sdk.Entry) int { return v.placeOf(a).compare(v.placeOf(b)) }
	sorted := true
	for i := 1; i < len(entries) && sorted; i++ {
		sorted = order(&entries[i-1], &entries[i]) < 0
	}
	if sorted {
		return entries
	}
	pointers := make([]*sdk.Entry, len(entries)) // entries are large
	for i := range entries {
		pointers[i] = &entries[i]
	}
	slices.SortFunc(pointers, order)
	in := make([]sdk.Entry, len(entries))
	for i, e := range pointers {
		in[i] = *e
	}
	return in
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

// fetched is how many bytes the view has.
func (v *view) fetched() (bytes int) {
	for i := range v.spans {
		for j := range v.spans[i].blocks {
			bytes += len(v.spans[i].blocks[j].data)
		}
	}
	return bytes
}

// cut takes the first entries, or the last: at most limit if that is not negative, and about
// as many bytes as a page has.
func cut(entries []sdk.Entry, limit int, newest bool) []sdk.Entry {
	bytes, n := 0, 0
	for ; n < len(entries) && n != limit; n++ {
		i := n
		if newest {
			i = len(entries) - 1 - n
		}
		if bytes += sizeOfEntry(&entries[i]); n > 0 && bytes > pageBytes {
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
	for asks := []ask{{from: max(hint, 1), count: 1}}; len(asks) > 0; {
		known := v.known
		fetched, err := v.fetch(ctx, asks...)
		if err != nil {
			return err
		}
		if !known {
			high = [maxRuns]uint64{v.begun, v.begun, v.begun, v.begun}
		}
		for j, a := range asks {
			run := a.run
			if len(fetched[j]) == 0 || run >= len(v.log.runs) {
				high[run] = a.from - 1
				continue
			}
			b, r := &fetched[j][0], &v.log.runs[run]
			switch this, previous := is(run, b); {
			case !this:
				low[run] = b.last()
			case !previous || b.before <= r.added-r.entries: // or there is none
				at[run], high[run] = b.last(), 0
			default:
				at[run], high[run] = b.last(), min(b.first, a.from)-1
			}
		}
		asks = asks[:0]
		for i := range v.log.runs {
			if low[i] >= high[i] || v.log.runs[i].entries == 0 {
				continue
			}
			a := ask{run: i, from: low[i] + (high[i]-low[i]+1)/2, count: 1}
			if i == 0 && !known { // the next one, most likely
				a.from = low[i] + 1
			}
			asks = append(asks, a)
		}
	}
	for i := range v.spans {
		if at[i] > 0 {
			v.spans[i].from = at[i]
		} else if !v.back {
			v.spans[i].end = true
		}
	}
	return nil
}

// ask is what to fetch of a run: so many blocks from that position on, or back.
type ask struct {
	run   int
	back  bool
	from  uint64
	count int
}

// errAnew says that the log was deleted, or begun anew, while it was read.
var errAnew = errors.New("the log began anew while it was read")

// fetch asks for the state and for blocks, all as they are at one moment: Redis serves nobody
// else between the commands that it gets in one write, and where it does (it got them in
// two), the state after the blocks may differ from that before. An app that changes so often
// that this never succeeds is answered with what there is, up to the first state.
func (v *view) fetch(ctx context.Context, asks ...ask) (blocks [][]kept, err error) {
	var before, after *redis.StringCmd
	replies := make([]*redis.Cmd, len(asks))
	for try := 0; try == 0 || before.Val() != after.Val() && try < looks; try++ {
		_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			key := stateKey(v.opts.App)
			before = p.Get(ctx, key)
			for i, a := range asks {
				from, command, stop := strconv.FormatUint(a.from, 10), "xrange", "+"
				if a.back {
					command, stop = "xrevrange", "-"
				}
				if a.from == math.MaxUint64 {
					from = "+"
				}
				replies[i] = p.Do(ctx, command, runKey(v.opts.App, a.run), from, stop, "count", a.count)
			}
			after = p.Get(ctx, key)
			return nil
		})
		if err := cmp.Or(some(err), some(before.Err()), some(after.Err())); err != nil {
			return nil, err
		}
	}
	if err := v.see(before.Val()); err != nil {
		return nil, err
	}
	blocks = make([][]kept, len(asks))
	for i, a := range asks {
		if blocks[i], err = blocksOf(replies[i]); err != nil {
			return nil, err
		}
		if a.back {
			slices.Reverse(blocks[i])
		}
	}
	return blocks, nil
}

// see takes a state. Another epoch than before is [errAnew].
func (v *view) see(text string) error {
	log, ok := parseState(text)
	log.kept = min(log.kept, uint64(v.settings.Lines)) // the scripts do so at the next append
	var version uint64
	if ok {
		version = v.storage.version(text)
	}
	if !v.known {
		v.known, v.begun, v.epoch, v.version = true, log.last, log.epoch, version
		v.last = min(v.last, log.last)
	}
	if v.version != version {
		v.version = 0 // what is read is no longer of one moment
	}
	if v.log = log; log.epoch != v.epoch {
		return errAnew
	}
	return nil
}

// blocksOf takes the reply of XRANGE. What is no block of ours is left out.
func blocksOf(reply *redis.Cmd) ([]kept, error) {
	if err := some(reply.Err()); err != nil {
		return nil, err
	}
	elements, _ := reply.Val().([]any)
	blocks := make([]kept, 0, len(elements))
	for _, element := range elements {
		pair, _ := element.([]any)
		if len(pair) != 2 {
			return nil, errReply
		}
		id, _ := pair[0].(string)
		if fields, _ := pair[1].([]any); len(fields) == 2 {
			number, _, _ := strings.Cut(id, "-")
			last, _ := strconv.ParseUint(number, 10, 64)
			numbers, _ := fields[0].(string)
			data, _ := fields[1].(string)
			if b, ok := parseKept(last, numbers, data); ok {
				blocks = append(blocks, b)
			}
		}
	}
	return blocks, nil
}
