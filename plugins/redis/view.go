package redis

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

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
	// near has the blocks that arrived last, by position, where the newest are looked for.
	near map[uint64]kept

	entries []sdk.Entry // of the blocks that were fetched, in order
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

func placeOf(e *sdk.Entry) place { return place{published(e), e.Position} }

// bytesOf is a time as members of the order begin with it.
func bytesOf(t int64) string {
	var b [8]byte
	putTime(b[:], t)
	return string(b[:])
}

// look reads the state, and what is next in the order of blocks, as they are at one moment.
func (v *view) look(ctx context.Context, n int) error {
	var state asked
	var members *redis.StringSliceCmd
	var near *redis.XMessageSliceCmd
	most, since := 2*n, int64(math.MinInt64)
	if !v.opts.Filter.Since.IsZero() { // most blocks may be of no use
		most, since = max(most, sinceBlocks), v.opts.Filter.Since.UnixMicro()
	}
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		state = v.ask(ctx, p, v.opts.App)
		if order := orderKey(v.opts.App); v.back {
			members = p.ZRevRangeByLex(ctx, order, &redis.ZRangeBy{Max: v.from, Min: "-", Count: int64(most)})
			if v.from == "+" && v.opts.Limit != 0 {
				near = p.XRevRangeN(ctx, blocksKey(v.opts.App), "+", "-", int64(n))
			}
		} else {
			members = p.ZRangeByLex(ctx, order, &redis.ZRangeBy{Min: v.from, Max: "+", Count: int64(most)})
		}
		return nil
	})
	if err := cmp.Or(some(err), some(members.Err()), v.know(ctx, state)); err != nil {
		return err
	}
	if near != nil {
		v.near = map[uint64]kept{}
		for _, b := range blocksOf(near.Val()) {
			v.near[b.last] = b
		}
	}
	v.ended = len(members.Val()) < most
	for _, member := range members.Val() {
		v.from = "(" + member
		b, ok := parseMember(member)
		switch {
		case !ok:
		case v.back && b.at < v.above.published: // no entry of it or of those before it is wanted
			v.ended = true
			return nil
		case b.first() <= v.last && b.stated >= since:
			v.index, v.seen = append(v.index, b), b
		default:
			v.seen = b
		}
	}
	return nil
}

// wanted is how many entries are looked for at once.
func (v *view) wanted() int {
	if v.opts.Limit < 0 {
		return pageEntries
	}
	return v.opts.Limit
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
	for _, b := range v.index[:n] {
		if near, ok := v.near[b.last]; ok {
			blocks = append(blocks, near)
		} else {
			next = append(next, b)
		}
	}
	byPosition := func(a, b kept) int { return cmp.Compare(a.last, b.last) }
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
		fetched = blocks[i].decode(fetched)
	}
	fetched = slices.DeleteFunc(fetched, func(e sdk.Entry) bool {
		at := placeOf(&e)
		return e.Position > v.last || at.compare(v.above) <= 0 || at.compare(v.below) >= 0
	})
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
