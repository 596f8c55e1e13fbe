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

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// pageBytes is about how much a page has, and pageEntries how many if nobody limits it.
	pageBytes, pageEntries = 1 << 20, 8192
	// firstBlocks is how many blocks are asked for at least before anything is known of the log,
	// and firstEntries how many entries a block most likely has.
	firstBlocks, firstEntries = 2, 25
	// fewEntries are fetched at least at once.
	fewEntries = 256
	// looks is how often a read begins anew when the log changes too much meanwhile.
	looks = 20
)

// errAnew says that the log was deleted, or begun anew, or lost what was looked for, while it
// was read.
var errAnew = errors.New("the log changed while it was read")

// Read implements [sdk.Storage].
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	var log state
	for try := 1; try <= looks; try++ {
		v := s.view(opts)
		v.log, v.lenient = log, try == looks
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
		log = v.log // so that all of it is fetched at once
	}
	if err != nil {
		return sdk.Page{}, fmt.Errorf("read %q: %w", opts.App, s.explain(err))
	}
	return page, nil
}

// newest answers the newest entries, before a place if there is one.
func (v *view) newest(ctx context.Context) (sdk.Page, error) {
	v.back, v.from = true, "+"
	if before := v.opts.Before; !before.IsZero() {
		if err := v.floor(ctx); err != nil || before.Epoch != v.page.Epoch {
			return v.page, err // nothing of another epoch comes before the place
		}
		v.last = before.Position
		if before.InHistory() {
			v.below = place{before.Published, before.Entry}
			if before.Published < math.MaxInt64-v.log.span {
				v.from = "(" + bytesOf(before.Published+v.log.span+1)
			}
		}
	}
	return v.walk(ctx)
}

// history answers what comes behind a place in the order of publishing, of what had arrived
// by then; if there is nothing left, what arrived after it.
func (v *view) history(ctx context.Context) (sdk.Page, error) {
	after := v.opts.After
	if err := v.floor(ctx); err != nil {
		return sdk.Page{}, err
	}
	if v.page.Epoch != 0 && after.Epoch == v.page.Epoch {
		v.above, v.last = v.above.later(place{after.Published, after.Entry}), after.Position
		v.from = "[" + bytesOf(max(v.above.published, v.since()))
		page, err := v.walk(ctx)
		if err != nil || v.opts.Limit == 0 || page.More || len(page.Entries) > 0 {
			return page, err
		}
	}
	return v.view(v.opts).arrived(ctx)
}

// floor finds the place of the newest entry that is stored and not kept: such entries wait
// for their blocks to leave.
func (v *view) floor(ctx context.Context) error {
	low := v.view(sdk.ReadOptions{App: v.opts.App})
	if err := low.look(ctx, firstBlocks); err != nil {
		return err
	}
	v.page, v.log = low.page, low.log
	for low.opts.Limit = int(v.log.entries - v.log.kept); low.opts.Limit > 0; {
		page, err := low.walk(ctx)
		if err != nil || len(page.Entries) == 0 {
			return err
		}
		v.above = placeOf(&page.Entries[len(page.Entries)-1])
		left := low.opts.Limit - len(page.Entries)
		low = v.view(sdk.ReadOptions{App: v.opts.App, Limit: left})
		low.above, low.from = v.above, "["+bytesOf(v.above.published)
	}
	return nil
}

// view is what a read has seen of a log.
type view struct {
	*storage
	opts    sdk.ReadOptions
	lenient bool // it takes what it gets
	back    bool // it goes from the newest to the oldest
	// The entries that are asked for are behind above, before below, and no later than last.
	above, below place
	last         uint64

	page sdk.Page // what the log was when it was looked at first, without entries
	log  state    // the same
	// from is where the order of blocks is looked at next, as a bound of ZRANGEBYLEX. The blocks
	// in index were seen there, seen is the last of them, and ended says that there are no more.
	from  string
	index []kept
	seen  kept
	ended bool
	near  []kept // the blocks that arrived last, where the newest are looked for

	entries []sdk.Entry // of the blocks that were fetched, in order
	bytes   int         // of their blocks
}

func (s *storage) view(opts sdk.ReadOptions) *view {
	return &view{storage: s, opts: opts, last: math.MaxUint64, above: first, below: last, from: "-"}
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

func (p place) later(q place) place {
	if p.compare(q) < 0 {
		return q
	}
	return p
}

func placeOf(e *sdk.Entry) place { return place{published(e), e.Position} }

// bytesOf is a time as members of the order begin with it.
func bytesOf(t int64) string {
	var b [8]byte
	putTime(b[:], t)
	return string(b[:])
}

// walk reads in the order of publishing until a page is full, or there are no more entries.
func (v *view) walk(ctx context.Context) (sdk.Page, error) {
	limit, wanted := v.opts.Limit, v.opts.Limit
	if wanted < 0 {
		wanted = pageEntries
	}
	for looked := v.blocksFor(wanted); ; {
		if len(v.index) < 2 && !v.ended {
			if err := v.look(ctx, looked); err != nil {
				return v.page, err
			}
			looked = min(2*looked, pageEntries)
		}
		newest := v.back && v.opts.Before.IsZero()
		if kept := int(v.log.kept); newest && (limit < 0 || limit > kept) {
			limit = kept
		}
		if v.page.Epoch == 0 || limit == 0 {
			return v.page, nil
		}
		if err := v.fetch(ctx, max(wanted-len(v.entries), fewEntries)); err != nil {
			return v.page, err
		}
		found := v.sure()
		page := v.page
		page.Entries = cut(found, limit, v.back)
		n := len(page.Entries)
		switch ended := v.ended && len(v.index) == 0; {
		case n == limit:
			page.More = !v.back && (!ended || n < len(found))
			return page, nil
		case ended && n == len(found) && newest && v.opts.Filter.Since.IsZero() && !v.lenient:
			return page, errAnew // some left meanwhile
		case ended || n < len(found) || n > 0 && v.bytes >= pageBytes:
			page.More = !ended || n < len(found)
			return page, nil
		}
	}
}

// look reads the state, and what is next in the order of blocks, as they are at one moment.
func (v *view) look(ctx context.Context, n int) error {
	var state asked
	var members *redis.StringSliceCmd
	var near *redis.XMessageSliceCmd
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		state = v.ask(ctx, p, v.opts.App)
		if order := orderKey(v.opts.App); v.back {
			members = p.ZRevRangeByLex(ctx, order, &redis.ZRangeBy{Max: v.from, Min: "-", Count: int64(2 * n)})
			if v.from == "+" && v.opts.Limit != 0 {
				near = p.XRevRangeN(ctx, blocksKey(v.opts.App), "+", "-", int64(n))
			}
		} else {
			members = p.ZRangeByLex(ctx, order, &redis.ZRangeBy{Min: v.from, Max: "+", Count: int64(2 * n)})
		}
		return nil
	})
	if near != nil {
		v.near, err = blocksOf(near.Val()), cmp.Or(err, near.Err())
	}
	if err := cmp.Or(some(err), some(members.Err()), v.know(ctx, state)); err != nil {
		return err
	}
	v.ended = len(members.Val()) < 2*n
	least := int64(math.MinInt64) // no block before that has an entry that is wanted
	if v.back {
		least = max(v.above.published, v.since())
	}
	for _, member := range members.Val() {
		v.from = "(" + member
		b, ok := parseMember(member)
		switch {
		case !ok:
		case b.at < least:
			v.ended = true
			return nil
		case b.first() <= v.last:
			v.index, v.seen = append(v.index, b), b
		default:
			v.seen = b
		}
	}
	return nil
}

// since is the publish time before which no block has an entry that the filter wants. Lua rounds
// what is far ahead, by less than a millisecond.
func (v *view) since() int64 {
	if v.opts.Filter.Since.IsZero() {
		return math.MinInt64
	}
	micros := v.opts.Filter.Since.UnixMicro() - v.log.lead - 1000
	return max(min(micros, math.MaxInt64/1000), math.MinInt64/1000) * 1000
}

// blocksFor is how many blocks have about as many entries as are wanted, but not many more bytes
// than a page.
func (v *view) blocksFor(wanted int) int {
	log := &v.log
	if log.blocks == 0 {
		return firstBlocks + min(wanted, 1000)/firstEntries
	}
	return int(min(uint64(wanted)*log.blocks/max(log.entries, 1)+2, pageBytes*log.blocks/max(log.bytes, 1)+1))
}

// asked is what is asked of each log: its state, and how many blocks its other keys have.
type asked struct {
	state         *redis.StringCmd
	blocks, order *redis.IntCmd
}

// ask asks for it. A cluster that moves a slot answers only for keys one by one.
func (s *storage) ask(ctx context.Context, p redis.Pipeliner, app string) asked {
	return asked{p.Get(ctx, stateKey(app)), p.XLen(ctx, blocksKey(app)), p.ZCard(ctx, orderKey(app))}
}

// answer takes the replies. They are whole unless Redis evicted one of the keys, or another
// program wrote to it; else the version is 0, and the log has to be mended.
func (s *storage) answer(a asked) (log state, version uint64, whole bool, err error) {
	if err := cmp.Or(some(a.state.Err()), some(a.blocks.Err()), some(a.order.Err())); err != nil {
		return state{}, 0, false, err
	}
	log, ok := parseState(a.state.Val())
	whole = (ok || errors.Is(a.state.Err(), redis.Nil)) && a.blocks.Err() == nil && a.order.Err() == nil &&
		uint64(a.blocks.Val()) == log.blocks && uint64(a.order.Val()) == log.blocks
	if whole && ok {
		version = s.version(a.state.Val())
	}
	log.kept = min(log.kept, uint64(s.settings.Lines)) // the script does so at the next append
	return log, version, whole, nil
}

// know takes note of the log when it is looked at first, and sees to it that it is the same
// afterwards.
func (v *view) know(ctx context.Context, a asked) error {
	log, version, whole, err := v.answer(a)
	switch {
	case err != nil:
		return err
	case !whole:
		return cmp.Or(v.mend(ctx, v.opts.App), errAnew)
	case v.page.Epoch == 0:
		v.log, v.page = log, sdk.Page{Epoch: log.epoch, Last: log.last, Version: version}
	case log.epoch != v.page.Epoch:
		return errAnew
	}
	v.last = min(v.last, v.page.Last)
	return nil
}

// fetch reads the next blocks of the index: about as many entries as are wanted, but not more
// bytes than a page. It keeps the entries that are asked for.
func (v *view) fetch(ctx context.Context, wanted int) error {
	n, had, bytes := 0, 0, 0
	for n < len(v.index) && (n == 0 || had < wanted && bytes < pageBytes) {
		had, bytes, n = had+v.index[n].entries, bytes+v.index[n].bytes, n+1
	}
	var blocks, next []kept
	byPosition := func(a, b kept) int { return cmp.Compare(a.last, b.last) }
	slices.Reverse(v.near)
	for _, b := range v.index[:n] {
		if i, ok := slices.BinarySearchFunc(v.near, b, byPosition); ok {
			blocks = append(blocks, v.near[i])
		} else {
			next = append(next, b)
		}
	}
	slices.SortFunc(next, byPosition)
	v.index, v.near = v.index[n:], nil
	var replies []*redis.XMessageSliceCmd
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for from := 0; from < len(next); {
			to := from + 1 // what arrived in a row is read in a row
			for to < len(next) && next[to].first() == next[to-1].last+1 {
				to++
			}
			low, high := strconv.FormatUint(next[from].last, 10), strconv.FormatUint(next[to-1].last, 10)
			replies = append(replies, p.XRange(ctx, blocksKey(v.opts.App), low, high))
			from = to
		}
		return nil
	})
	if err := some(err); err != nil {
		return err
	}
	for _, reply := range replies {
		blocks = append(blocks, blocksOf(reply.Val())...)
	}
	slices.SortFunc(blocks, byPosition)
	fetched := make([]sdk.Entry, 0, had+len(v.entries))
	for i := range blocks {
		before := len(fetched)
		fetched = blocks[i].decode(fetched)
		kept := slices.DeleteFunc(fetched[before:], func(e sdk.Entry) bool {
			at := placeOf(&e)
			return e.Position > v.last || at.compare(v.above) <= 0 || at.compare(v.below) >= 0
		})
		if fetched = fetched[:before+len(kept)]; len(kept) > 0 {
			v.bytes += blocks[i].bytes
		}
	}
	if v.back { // nearly in order, which is fast to sort
		v.entries = append(fetched, v.entries...)
	} else {
		v.entries = append(v.entries, fetched...)
	}
	slices.SortFunc(v.entries, func(a, b sdk.Entry) int { return placeOf(&a).compare(placeOf(&b)) })
	return nil
}

// sure is the entries that no block can precede that was not fetched.
func (v *view) sure() []sdk.Entry {
	next := v.seen
	if len(v.index) > 0 {
		next = v.index[0]
	} else if v.ended {
		return v.entries
	}
	bound, least := place{next.at, next.last}, 1
	if !v.back {
		if bound, least = (place{next.at - v.log.span, 0}), 0; v.log.span == 0 {
			bound.position = next.first()
		}
	}
	i := sort.Search(len(v.entries), func(i int) bool { return placeOf(&v.entries[i]).compare(bound) >= least })
	if v.back {
		return v.entries[i:]
	}
	return v.entries[:i]
}

// arrived answers what arrived after a position, in that order.
func (v *view) arrived(ctx context.Context) (sdk.Page, error) {
	after, from, limit := v.opts.After, v.opts.After.Position, v.opts.Limit
	if after.Epoch == sdk.Beginning().Epoch {
		from = 0
	}
	wanted := limit
	if wanted < 0 {
		wanted = pageEntries
	}
	n := v.blocksFor(wanted)
	for next := from + 1; ; {
		var state asked
		var reply *redis.XMessageSliceCmd
		_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			state = v.ask(ctx, p, v.opts.App)
			reply = p.XRangeN(ctx, blocksKey(v.opts.App), strconv.FormatUint(next, 10), "+", int64(n))
			return nil
		})
		if err := cmp.Or(some(err), some(reply.Err()), v.know(ctx, state)); err != nil {
			return v.page, err
		}
		if from > 0 && after.Epoch != v.page.Epoch {
			v.opts.After = sdk.Beginning() // all of another log comes after it
			return v.view(v.opts).arrived(ctx)
		}
		if v.page.Epoch == 0 || limit == 0 {
			return v.page, nil
		}
		blocks := blocksOf(reply.Val())
		for i := range blocks {
			v.entries, v.bytes = blocks[i].decode(v.entries), v.bytes+blocks[i].bytes
			next = blocks[i].last + 1
		}
		found := slices.DeleteFunc(v.entries, func(e sdk.Entry) bool { return e.Position <= from || e.Position > v.last })
		page, more := v.page, len(blocks) > 0 && len(reply.Val()) == n && next <= v.last
		page.Entries = cut(found, limit, false)
		if got := len(page.Entries); !more || got == limit || got < len(found) || v.bytes >= pageBytes {
			page.More = more || got < len(found)
			return page, nil
		}
		v.entries = found
		n = v.blocksFor(wanted - len(found))
	}
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
