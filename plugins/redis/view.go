package redis

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// view holds what a read has seen of a log.
type view struct {
	*storage
	opts   sdk.ReadOptions
	wanted int  // how many entries are looked for at once
	back   bool // it goes from the newest to the oldest
	// The entries that are asked for are after above, before below, and no later than last.
	above, below sortKey
	last         uint64

	page sdk.Page // the log when it was first looked at, without entries
	log  state    // the same
	// seen is the last label that was taken, empty before the first, and next the one after it, or
	// the same. If ended is set, there are no more.
	seen  string
	next  kept
	ended bool
	// had counts the entries of the blocks that were taken last, and bytes their bytes. near holds
	// the blocks that came along, by position.
	had, bytes int
	near       map[uint64]kept
	entries    []sdk.Entry // of the blocks that were fetched, in order
}

func (s *storage) view(opts sdk.ReadOptions) *view {
	return &view{storage: s, opts: opts, wanted: int(min(uint(opts.Limit), pageEntries)), last: math.MaxUint64, above: first, below: last}
}

// sortKey orders entries as they were published, or, without the time, as they arrived.
type sortKey struct {
	published int64
	position  uint64
}

var first, last = sortKey{math.MinInt64, 0}, sortKey{math.MaxInt64, math.MaxUint64}

func (k sortKey) compare(other sortKey) int {
	return cmp.Or(cmp.Compare(k.published, other.published), cmp.Compare(k.position, other.position))
}

func sortKeyOf(e *sdk.Entry) sortKey { return sortKey{published(e), e.Position} }

// look reads, at one moment, the state and which blocks come next in the order. They have as many
// entries as are wanted, but not many more bytes than a page. If the newest are wanted, the blocks
// that arrived last come along: these are mostly the same.
func (v *view) look(ctx context.Context, wanted int) (blocks []kept, err error) {
	var answer func() (state, error)
	var looked *redis.Cmd
	n, near := v.blocksFor(wanted), new(redis.XMessageSliceCmd)
	_, _ = v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		answer = v.ask(ctx, p, v.opts.App)
		looked = p.Do(ctx, v.labels(n)...)
		if v.back && v.opts.Before.IsZero() && v.opts.Limit != 0 && v.seen == "" {
			near = p.XRevRangeN(ctx, blocksKey(v.opts.App), "+", "-", int64(n/3+1))
		}
		return nil
	})
	labels, err := looked.StringSlice()
	if err := cmp.Or(v.know(ctx, answer), some(err)); err != nil {
		return nil, err
	}
	if since := !v.opts.Filter.Since.IsZero(); !since {
		v.ended = len(labels) < n
	} else if last := len(labels) - 1; last < 0 || labels[last] == "" { // the script says so
		v.ended, labels = true, labels[:max(last, 0)]
	}
	v.had, v.bytes, v.near = 0, 0, map[uint64]kept{}
	for _, b := range blocksOf(near.Val()) {
		v.near[b.last] = b
	}
	for i, label := range labels {
		b, ok := parseLabel(label)
		if v.next = b; i > 0 && (v.had >= wanted || v.bytes >= pageBytes) {
			v.ended = false
			break
		}
		v.seen, v.had, v.bytes = label, v.had+b.entries, v.bytes+b.bytes
		if ok && b.first() <= v.last {
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}

// labels returns the command that looks at the next n labels.
func (v *view) labels(n int) []any {
	command, from, to := "zrangebylex", "["+timeText(v.above.published), "+"
	if v.back {
		command, from, to = "zrevrangebylex", to, from
		if v.below.published < math.MaxInt64-v.log.span {
			from = "(" + timeText(v.below.published+v.log.span+1)
		}
	}
	if v.seen != "" {
		from = "(" + v.seen
	}
	if since := v.opts.Filter.Since; !since.IsZero() {
		return []any{"eval", sinceSource, 1, orderKey(v.opts.App), command, from, to, n, timeText(since.UnixMicro())}
	}
	return []any{command, orderKey(v.opts.App), from, to, "limit", 0, n}
}

// blocksFor estimates how many blocks have as many entries as are wanted, but not many more bytes
// than a page.
func (v *view) blocksFor(wanted int) int {
	log := &v.log
	if log.blocks == 0 {
		return firstBlocks + min(wanted, 1000)/firstEntries
	}
	return int(min(2*uint64(wanted)*log.blocks/max(log.entries, 1), pageBytes*log.blocks/max(log.bytes, 1)) + 2)
}

// know notes the state of the log when it is first looked at, and checks later that it is the same
// log.
func (v *view) know(ctx context.Context, answer func() (state, error)) error {
	log, err := answer()
	switch {
	case err != nil:
		return err
	case !log.whole:
		return cmp.Or(v.mend(ctx, v.opts.App), errAnew)
	case v.page.Epoch == 0:
		v.log, v.page = log, sdk.Page{Epoch: log.epoch, Last: log.last, Version: log.version}
	case log.epoch != v.page.Epoch:
		return errAnew
	}
	v.last = min(v.last, v.page.Last)
	return nil
}

// fetch reads the blocks, and keeps the entries that the read asks for.
func (v *view) fetch(ctx context.Context, blocks []kept) error {
	slices.SortFunc(blocks, func(a, b kept) int { return cmp.Compare(a.last, b.last) })
	far := slices.DeleteFunc(slices.Clone(blocks), func(b kept) bool { return v.near[b.last].entries > 0 })
	var replies []*redis.XMessageSliceCmd
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, from := 0, 0; i < len(far); i++ {
			if i+1 < len(far) && far[i+1].first() == far[i].last+1 {
				continue // blocks that arrived in a row are read in a row
			}
			low, high := strconv.FormatUint(far[from].last, 10), strconv.FormatUint(far[i].last, 10)
			replies = append(replies, p.XRange(ctx, blocksKey(v.opts.App), low, high))
			from = i + 1
		}
		return nil
	})
	if err := some(err); err != nil {
		return err
	}
	for _, reply := range replies {
		for _, b := range blocksOf(reply.Val()) {
			v.near[b.last] = b
		}
	}
	entries := make([]sdk.Entry, 0, v.had+len(v.entries))
	for _, b := range blocks {
		entries = v.near[b.last].decode(entries) // none if it left meanwhile
	}
	wanted := slices.DeleteFunc(entries, func(e sdk.Entry) bool {
		at := sortKeyOf(&e)
		return e.Position > v.last || at.compare(v.above) <= 0 || at.compare(v.below) >= 0
	})
	v.entries = append(wanted, v.entries...) // in order as they are if it goes back
	slices.SortFunc(v.entries, func(a, b sdk.Entry) int { return sortKeyOf(&a).compare(sortKeyOf(&b)) })
	return nil
}

// sure returns the entries that the read reaches before any of a block that it has not looked at.
func (v *view) sure() []sdk.Entry {
	bound := sortKey{v.next.at, v.next.last}
	switch {
	case v.ended:
		return v.entries
	case !v.back && v.log.span > 0:
		bound = sortKey{v.next.at - v.log.span, 0}
	}
	i := sort.Search(len(v.entries), func(i int) bool { return sortKeyOf(&v.entries[i]).compare(bound) >= 0 })
	if v.back {
		return v.entries[i:]
	}
	return v.entries[:i]
}
