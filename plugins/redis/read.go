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
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// pageBytes is about how much a page has.
	pageBytes = 1 << 20
	// pageEntries is the most entries that are fetched for a page if nobody limits it.
	pageEntries = 8192
	// firstBlocks is how many blocks of the first run are fetched before anything is known of
	// the log: enough for what most readers want.
	firstBlocks = 4
	// looks is how often the state has to be seen the same before and after the blocks before
	// an answer is made of what there is.
	looks = 5
)

// Read implements [sdk.Storage].
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	for range looks {
		v := &view{storage: s, app: opts.App}
		switch {
		case opts.After.IsZero():
			page, err = v.newest(ctx, opts)
		case opts.After.InHistory():
			page, err = v.history(ctx, opts)
		default:
			page, err = v.arrived(ctx, opts)
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

// view is what a read has seen of a log: some consecutive blocks of each of its runs.
type view struct {
	*storage
	app   string
	known bool // the state was read
	log   state
	// begun is the log's last position when it was read first: what arrived later is not
	// part of the answer.
	begun   uint64
	epoch   uint64
	version uint64
	spans   [maxRuns]span
}

// span is the blocks of one run, oldest first.
type span struct {
	blocks []kept
	// oldest and newest say that the run has no block before, or after, these.
	oldest, newest bool
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
	for try := 1; ; try++ {
		var before, after *redis.StringCmd
		replies := make([]*redis.Cmd, len(asks))
		_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			key := stateKey(v.app)
			before = p.Get(ctx, key)
			for i, a := range asks {
				from, command, stop := strconv.FormatUint(a.from, 10), "xrange", "+"
				if a.back {
					command, stop = "xrevrange", "-"
				}
				if a.from == math.MaxUint64 {
					from = "+"
				}
				replies[i] = p.Do(ctx, command, runKey(v.app, a.run), from, stop, "count", a.count)
			}
			after = p.Get(ctx, key)
			return nil
		})
		if err != nil && !none(err) {
			return nil, err
		}
		for _, command := range []redis.Cmder{before, after} {
			if err := command.Err(); err != nil && !none(err) {
				return nil, err
			}
		}
		if before.Val() != after.Val() && try < looks {
			continue
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
}

// see takes a state. Another epoch than before is [errAnew].
func (v *view) see(text string) error {
	log, _ := parseState(text)
	log.limit(v.settings.Lines)
	var version uint64
	if log.epoch != 0 {
		version = v.storage.version(text)
	}
	if !v.known {
		v.known, v.begun, v.epoch, v.version = true, log.last, log.epoch, version
	}
	if v.version != version {
		v.version = 0 // what is read is no longer of one moment
	}
	v.log = log
	if log.epoch != v.epoch {
		return errAnew
	}
	return nil
}

// blocksOf takes the reply of XRANGE. What is no block of ours is left out.
func blocksOf(reply *redis.Cmd) ([]kept, error) {
	if err := reply.Err(); err != nil && !none(err) {
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
		fields, _ := pair[1].([]any)
		if len(fields) != 2 {
			continue
		}
		number, _, _ := strings.Cut(id, "-")
		last, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			continue
		}
		numbers, _ := fields[0].(string)
		data, _ := fields[1].(string)
		if b, ok := parseKept(last, numbers, data); ok {
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}

// blocksFor is how many blocks of the run have about so many entries, but not many more bytes
// than a page.
func (v *view) blocksFor(run, entries int, since time.Time) uint64 {
	r := v.log.runs[run]
	var all uint64
	for i := range v.log.runs {
		all += v.log.runs[i].blocks
	}
	if r.blocks == 0 || r.entries == 0 {
		return 1
	}
	if entries < 0 || entries > pageEntries {
		entries = pageEntries
	}
	wanted := uint64(entries)*r.blocks/r.entries + 2
	bytes := max(v.log.bytes/all, 1)
	// More and more, since it may take many until it is sure which come first; few at first where
	// it is not known how many are wanted.
	had := uint64(len(v.spans[run].blocks))
	if !since.IsZero() {
		wanted = min(wanted, max(had, firstBlocks))
	}
	return min(max(wanted, had), pageBytes/bytes+1)
}

// extend fetches more of the runs for which want is not 0, before what there is of them or
// after it. A run of which nothing was fetched begins at the position.
func (v *view) extend(ctx context.Context, back bool, from, want [maxRuns]uint64) error {
	var asks []ask
	for i := range v.spans {
		if want[i] == 0 {
			continue
		}
		a := ask{run: i, back: back, from: from[i], count: int(want[i])}
		if span := &v.spans[i]; len(span.blocks) > 0 && back {
			a.from = span.blocks[0].first - 1 // the last position that a block before it can have
		} else if len(span.blocks) > 0 {
			a.from = span.blocks[len(span.blocks)-1].last() + 1
		}
		asks = append(asks, a)
	}
	fetched, err := v.fetch(ctx, asks...)
	if err != nil {
		return err
	}
	for i, a := range asks {
		span := &v.spans[a.run]
		end := len(fetched[i]) < a.count
		if back {
			span.blocks = append(fetched[i], span.blocks...)
			span.oldest = end
		} else {
			span.blocks = append(span.blocks, fetched[i]...)
			span.newest = end
		}
	}
	return nil
}

// page is what every answer has.
func (v *view) page() sdk.Page {
	return sdk.Page{Epoch: v.epoch, Last: v.begun, Version: v.version}
}

// entries decodes all blocks of the view that are not skipped, in the given order.
func (v *view) entries(order func(a, b *sdk.Entry) int) []sdk.Entry {
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
	sorted := true
	for i := 1; i < len(entries) && sorted; i++ {
		sorted = order(&entries[i-1], &entries[i]) < 0
	}
	if !sorted {
		index := make([]int, len(entries)) // entries are large
		for i := range index {
			index[i] = i
		}
		slices.SortFunc(index, func(a, b int) int { return order(&entries[a], &entries[b]) })
		in := make([]sdk.Entry, len(entries))
		for i, j := range index {
			in[i] = entries[j]
		}
		entries = in
	}
	return entries
}

// place is one in the order of publishing: as in a cursor.
type place struct {
	published int64
	position  uint64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.published, q.published), cmp.Compare(p.position, q.position))
}

func placeOf(e *sdk.Entry) place {
	if e.Published.IsZero() {
		return place{0, e.Position}
	}
	return place{e.Published.UnixNano(), e.Position}
}

func byPublishing(a, b *sdk.Entry) int { return placeOf(a).compare(placeOf(b)) }

func byArrival(a, b *sdk.Entry) int { return cmp.Compare(a.Position, b.Position) }

// skipped is how many of the entries of the view, in the order of publishing, are not kept
// any more: they wait for their blocks to leave. It is negative if there are entries before the
// view that are kept.
func (v *view) skipped() int {
	surplus := int64(v.log.total()) - int64(v.log.kept)
	for i := range v.log.runs {
		r, span := &v.log.runs[i], &v.spans[i]
		if len(span.blocks) > 0 {
			surplus -= int64(span.blocks[0].before) - int64(r.added-r.entries)
		} else if !span.oldest {
			surplus -= int64(r.entries)
		}
	}
	return int(surplus)
}

// cut takes the first entries, or the last: at most limit if that is not negative, and about
// as many bytes as a page has.
func cut(entries []sdk.Entry, limit int, newest bool) []sdk.Entry {
	bytes := 0
	for n := range entries {
		i := n
		if newest {
			i = len(entries) - 1 - n
		}
		bytes += sizeOfEntry(&entries[i])
		if n == limit || n > 0 && bytes > pageBytes {
			if newest {
				return entries[i+1:]
			}
			return entries[:i]
		}
	}
	return entries
}

// newest answers the newest entries, before a place if there is one.
func (v *view) newest(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	before := place{math.MaxInt64, math.MaxUint64}
	want := [maxRuns]uint64{firstBlocks}
	from := [maxRuns]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}
	switch {
	case opts.Limit == 0:
		want = [maxRuns]uint64{}
	case opts.Before.InHistory():
		before = place{opts.Before.Published, opts.Before.Entry}
		var err error
		from, err = v.seek(ctx, before.position, func(i int, b *kept) (this, previous bool) {
			slip := v.log.runs[i].slip
			return b.tail-slip > before.published, b.floor-slip > before.published
		})
		if err != nil {
			return sdk.Page{}, err
		}
		want = v.wanted(opts.Limit, opts.Filter.Since)
	}
	for {
		if err := v.extend(ctx, true, from, want); err != nil {
			return sdk.Page{}, err
		}
		page := v.page()
		if v.epoch == 0 || opts.Limit == 0 || !opts.Before.IsZero() && opts.Before.Epoch != v.epoch {
			return page, nil
		}
		// What was not fetched comes before the latest of these places.
		bound, open := place{math.MinInt64, 0}, false
		for i := range v.log.runs {
			if floor, ok := v.floor(i, opts.Filter.Since); ok {
				open = true
				if floor.compare(bound) > 0 {
					bound = floor
				}
			}
		}
		entries, sure, skipped := v.entries(byPublishing), 0, v.skipped()
		if open {
			sure = behind(entries, bound)
		}
		first := min(max(sure, skipped, 0), len(entries))
		last := sort.Search(len(entries), func(i int) bool { return placeOf(&entries[i]).compare(before) >= 0 })
		found := upTo(entries[first:max(first, last)], opts.Before, v.begun)
		page.Entries = cut(found, opts.Limit, true)
		n := len(page.Entries)
		if n == opts.Limit {
			return page, nil
		}
		page.More = n < len(found) || open && skipped < sure
		if !page.More || n < len(found) || n > 0 && v.fetched() >= pageBytes {
			return page, nil
		}
		// The runs that may have what comes next.
		want = [maxRuns]uint64{}
		for i := range v.log.runs {
			if floor, ok := v.floor(i, opts.Filter.Since); ok && floor.compare(bound) >= 0 {
				want[i] = v.blocksFor(i, rest(opts.Limit, n), opts.Filter.Since)
			}
		}
	}
}

// history answers what comes behind a place in the order of publishing, of what had arrived
// by then; if there is nothing left, what arrived after it.
func (v *view) history(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	at, since := place{opts.After.Published, opts.After.Entry}, opts.Filter.Since
	from, err := v.seek(ctx, at.position, func(_ int, b *kept) (this, previous bool) {
		after := func(tail, stated int64) bool {
			return tail >= at.published && (since.IsZero() || stated >= since.UnixMicro())
		}
		return after(b.tail, b.latest(since)), after(b.floor, b.stated)
	})
	if err != nil {
		return sdk.Page{}, err
	}
	if v.epoch == 0 || opts.After.Epoch != v.epoch {
		return v.arrived(ctx, opts)
	}
	for i := range v.log.runs {
		v.spans[i].newest = from[i] == math.MaxUint64
	}
	extra := 0
	if at.position == 0 { // at the beginning are those that are not kept any more
		extra = int(v.log.total() - v.log.kept)
	}
	want := v.wanted(rest(opts.Limit, -extra), time.Time{})
	for opts.Limit != 0 {
		for i := range v.log.runs {
			if v.spans[i].newest {
				want[i] = 0
			}
		}
		if err := v.extend(ctx, false, from, want); err != nil {
			return sdk.Page{}, err
		}
		// What was not fetched comes behind the earliest of these places.
		bound, open := place{math.MaxInt64, math.MaxUint64}, false
		for i := range v.log.runs {
			if ceiling, ok := v.ceiling(i, opts.After.Position); ok {
				open = true
				if ceiling.compare(bound) < 0 {
					bound = ceiling
				}
			}
		}
		entries := v.entries(byPublishing)
		sure := behind(entries, bound)
		first := min(max(behind(entries, at), v.skipped()), sure)
		found := upTo(entries[first:sure], opts.After, v.begun)
		page := v.page()
		page.Entries = cut(found, opts.Limit, false)
		n := len(page.Entries)
		switch {
		case n == 0 && !open:
			v.spans = [maxRuns]span{}
			return v.arrived(ctx, opts)
		case n == 0 && v.fetched() >= pageBytes && sure > 0:
			page.More, page.Next = true, opts.After.At(&entries[sure-1])
			return page, nil
		case n > 0 && (n == opts.Limit || n < len(found) || !open || v.fetched() >= pageBytes):
			page.More = true
			return page, nil
		}
		want = [maxRuns]uint64{}
		for i := range v.log.runs {
			if ceiling, ok := v.ceiling(i, opts.After.Position); ok && ceiling.compare(bound) <= 0 {
				want[i] = v.blocksFor(i, rest(opts.Limit, n), opts.Filter.Since)
			}
		}
	}
	return v.page(), nil
}

// arrived answers what arrived after a position, in that order.
func (v *view) arrived(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	after, epoch := opts.After.Position, opts.After.Epoch
	if v.known && epoch != v.epoch || epoch == sdk.Beginning().Epoch {
		after, epoch = 0, v.epoch
	}
	var want [maxRuns]uint64
	if opts.Limit != 0 {
		want[0] = firstBlocks
	}
	for {
		from := [maxRuns]uint64{after + 1, after + 1, after + 1, after + 1}
		if err := v.extend(ctx, false, from, want); err != nil {
			return sdk.Page{}, err
		}
		if after > 0 && epoch != v.epoch { // another log: all of it comes after the cursor
			after, v.spans = 0, [maxRuns]span{}
			continue
		}
		page := v.page()
		if v.epoch == 0 || opts.Limit == 0 {
			return page, nil
		}
		// What was not fetched arrived after this position.
		bound, open := v.begun, false
		for i := range v.log.runs {
			if last, ok := v.reached(i, after); ok {
				open, bound = true, min(bound, last)
			}
		}
		entries := v.entries(byArrival)
		position := func(p uint64) int {
			return sort.Search(len(entries), func(i int) bool { return entries[i].Position > p })
		}
		found := entries[position(after):max(position(after), position(bound))]
		page.Entries = cut(found, opts.Limit, false)
		n := len(page.Entries)
		page.More = open || n < len(found)
		if !open || n == opts.Limit || n < len(found) || n > 0 && v.fetched() >= pageBytes {
			return page, nil
		}
		want = [maxRuns]uint64{}
		for i := range v.log.runs {
			if last, ok := v.reached(i, after); ok && last <= bound {
				want[i] = v.blocksFor(i, rest(opts.Limit, n), opts.Filter.Since)
			}
		}
	}
}

// seek finds, for each run, the first block for which is says so, as it does for all later
// ones: a position in it, or the greatest if there is none. Is also says that of the block
// before. The hint is a position that is most likely near.
func (v *view) seek(ctx context.Context, hint uint64, is func(run int, b *kept) (this, previous bool)) (at [maxRuns]uint64, err error) {
	// The block is behind low, and if it is not at, it is not above high.
	var low, high [maxRuns]uint64
	for i := range at {
		at[i] = math.MaxUint64
	}
	for asks := []ask{{from: max(hint, 1), count: 1}}; len(asks) > 0; {
		first := !v.known
		fetched, err := v.fetch(ctx, asks...)
		if err != nil {
			return at, err
		}
		if first {
			for i := range high {
				high[i] = v.begun
			}
		}
		for j, a := range asks {
			if a.run >= len(v.log.runs) {
				high[a.run] = 0
				continue
			}
			if len(fetched[j]) == 0 {
				high[a.run] = a.from - 1
				continue
			}
			b, r := &fetched[j][0], &v.log.runs[a.run]
			switch this, previous := is(a.run, b); {
			case !this:
				low[a.run] = b.last()
			case !previous || b.before <= r.added-r.entries: // or there is none
				at[a.run], high[a.run] = b.last(), 0
			default:
				at[a.run], high[a.run] = b.last(), min(b.first, a.from)-1
			}
		}
		near := first && low[0] > 0
		asks = asks[:0]
		for i := range v.log.runs {
			if low[i] >= high[i] || v.log.runs[i].entries == 0 {
				continue
			}
			from := low[i] + (high[i]-low[i]+1)/2
			if near && i == 0 { // the next one, most likely
				from = low[0] + 1
			}
			asks = append(asks, ask{run: i, from: from, count: 1})
		}
	}
	return at, nil
}

// wanted is how many blocks of each run have about so many entries.
func (v *view) wanted(entries int, since time.Time) (want [maxRuns]uint64) {
	for i := range v.log.runs {
		if v.log.runs[i].entries > 0 {
			want[i] = v.blocksFor(i, entries, since)
		}
	}
	return want
}

// rest is what is left of a limit.
func rest(limit, n int) int {
	if limit < 0 {
		return limit
	}
	return limit - n
}

// behind is how many of the entries are not behind the place.
func behind(entries []sdk.Entry, p place) int {
	return sort.Search(len(entries), func(i int) bool { return placeOf(&entries[i]).compare(p) > 0 })
}

// upTo leaves out what arrived after the cursor, if there is one, or after the last position.
func upTo(entries []sdk.Entry, c sdk.Cursor, last uint64) []sdk.Entry {
	if !c.IsZero() {
		last = min(last, c.Position)
	}
	return slices.DeleteFunc(entries, func(e sdk.Entry) bool { return e.Position > last })
}

// floor is the place up to which all entries of the run are that were not fetched; not ok if
// there are none, or none that state a time since then.
func (v *view) floor(run int, since time.Time) (place, bool) {
	span := &v.spans[run]
	switch {
	case v.log.runs[run].entries == 0 || span.oldest:
		return place{}, false
	case len(span.blocks) == 0:
		return place{math.MaxInt64, math.MaxUint64}, true
	}
	b := &span.blocks[0]
	if !since.IsZero() && b.stated < since.UnixMicro() {
		return place{}, false
	}
	return place{b.floor, b.first - 1}, true
}

// ceiling is the place behind which all entries of the run are that were not fetched; not ok if
// there are none of those that arrived up to the position.
func (v *view) ceiling(run int, position uint64) (place, bool) {
	r, span := &v.log.runs[run], &v.spans[run]
	switch {
	case r.entries == 0 || span.newest:
		return place{}, false
	case len(span.blocks) == 0:
		return place{math.MinInt64, 0}, true
	}
	b := &span.blocks[len(span.blocks)-1]
	return place{b.tail - r.slip, b.last()}, b.last() < min(position, v.begun)
}

// reached is the position up to which all entries of the run were fetched that come after the
// given one; not ok if that is all.
func (v *view) reached(run int, after uint64) (uint64, bool) {
	span := &v.spans[run]
	switch {
	case v.log.runs[run].entries == 0 || span.newest:
		return 0, false
	case len(span.blocks) == 0:
		return after, true
	}
	last := span.blocks[len(span.blocks)-1].last()
	return last, last < v.begun
}

// oldest is the log and its oldest entry.
func (s *storage) oldest(ctx context.Context, app string) (log state, oldest []sdk.Entry, err error) {
	v := &view{storage: s, app: app}
	if _, err := v.fetch(ctx); err != nil || v.epoch == 0 {
		return state{}, nil, err
	}
	page, err := v.history(ctx, sdk.ReadOptions{App: app, Limit: 1, After: sdk.Cursor{Epoch: v.epoch, Position: v.begun}.HistoryBegin()})
	if errors.Is(err, errAnew) {
		return s.oldest(ctx, app)
	}
	return v.log, page.Entries, err
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
