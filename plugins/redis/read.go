package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// pageBytes is about the size of a page, and pageEntries its number of entries if there is no
	// limit.
	pageBytes, pageEntries = 1 << 20, 8192
	// firstBlocks is the least number of blocks that are asked for before anything is known of the
	// log. firstEntries is the number of entries that a block most likely has at least.
	firstBlocks, firstEntries = 2, 10
	// fewEntries are fetched at least at once.
	fewEntries = 256
	// looks bounds how often a read begins anew because the log changes meanwhile.
	looks = 20
)

// errAnew says that, while it was read, the log was deleted or begun anew, or lost what was looked
// for.
var errAnew = errors.New("the log changed while it was read")

// Read implements [sdk.Storage].
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	err = s.anew(opts, func(v *view) (err error) {
		switch {
		case opts.After.IsZero():
			page, err = v.newest(ctx)
		case opts.After.InHistory():
			page, err = v.history(ctx)
		default:
			page, err = v.arrived(ctx)
		}
		return err
	})
	if err != nil && (len(page.Entries) == 0 || !errors.Is(err, errAnew)) {
		return sdk.Page{}, fmt.Errorf("read %q: %w", opts.App, s.explain(err))
	}
	return page, nil
}

// anew calls read, and calls it again if the log changes too much meanwhile.
func (s *storage) anew(opts sdk.ReadOptions, read func(*view) error) (err error) {
	var log state
	for range looks {
		v := s.view(opts)
		v.log = log
		if err = read(v); !errors.Is(err, errAnew) {
			break
		}
		log = v.log // so that all of it is fetched at once
	}
	return err
}

// newest answers the newest entries, or those before a cursor if there is one.
func (v *view) newest(ctx context.Context) (sdk.Page, error) {
	v.back = true
	if before := v.opts.Before; !before.IsZero() {
		if err := v.floor(ctx); err != nil || before.Epoch != v.page.Epoch {
			return v.page, err // nothing of another epoch comes before the cursor
		}
		v.last = before.Position
		if before.InHistory() {
			v.below = sortKey{before.Published, before.Entry}
		}
	}
	return v.walk(ctx)
}

// history answers what comes after a cursor in the order of publishing, of what had arrived by
// then. If nothing is left of that, it answers what arrived later.
func (v *view) history(ctx context.Context) (sdk.Page, error) {
	after := v.opts.After
	if err := v.floor(ctx); err != nil {
		return sdk.Page{}, err
	}
	if v.page.Epoch != 0 && after.Epoch == v.page.Epoch {
		if at := (sortKey{after.Published, after.Entry}); at.compare(v.above) > 0 {
			v.above = at
		}
		v.last = after.Position
		page, err := v.walk(ctx)
		if err != nil || v.opts.Limit == 0 || page.More || len(page.Entries) > 0 {
			return page, err
		}
	}
	return v.view(v.opts).arrived(ctx)
}

// floor finds the sort key of the newest entry that is stored and not kept: such entries wait for
// their blocks to leave.
func (v *view) floor(ctx context.Context) error {
	low := v.view(sdk.ReadOptions{App: v.opts.App})
	page, err := low.walk(ctx)
	v.page, v.log = page, low.log
	if surplus := v.log.surplus(); err == nil && surplus > 0 {
		var e *sdk.Entry
		if e, err = v.oldest(ctx, surplus); e != nil {
			v.above = sortKeyOf(e)
		}
	}
	return err
}

// oldest returns the nth oldest of all stored entries, or the newest if there are fewer, or nil if
// there is none.
func (v *view) oldest(ctx context.Context, n int) (nth *sdk.Entry, err error) {
	above := first
	for n > 0 {
		low := v.view(sdk.ReadOptions{App: v.opts.App, Limit: n})
		low.log, low.above = v.log, above
		page, err := low.walk(ctx)
		if err != nil || len(page.Entries) == 0 {
			return nth, err
		}
		nth = &page.Entries[len(page.Entries)-1]
		above = sortKeyOf(nth)
		n -= len(page.Entries)
	}
	return nth, nil
}

// walk reads in the order of publishing until a page is full, or there are no more entries.
func (v *view) walk(ctx context.Context) (sdk.Page, error) {
	newest, limit, wanted := v.back && v.opts.Before.IsZero(), v.opts.Limit, v.wanted
	for n := wanted; ; n = max(wanted-len(v.entries), fewEntries) {
		blocks, err := v.look(ctx, n)
		if kept := int(v.log.kept); newest && (limit < 0 || limit > kept) {
			limit = kept
		}
		if err != nil || v.page.Epoch == 0 || limit == 0 {
			return v.page, err
		}
		if err := v.fetch(ctx, blocks); err != nil {
			return v.page, err
		}
		found, page := v.sure(), v.page
		page.Entries = cut(found, limit, v.back)
		got := len(page.Entries)
		rest := got < len(found) || !v.ended
		if got < limit && !rest && newest && v.opts.Filter.Since.IsZero() {
			return page, errAnew // some left meanwhile
		}
		if got == limit || got < len(found) || v.ended || got > 0 && v.bytes >= pageBytes {
			page.More = rest && (got != limit || !v.back)
			return page, nil
		}
	}
}

// arrived answers what arrived after a position, in that order, as far as one question finds it.
func (v *view) arrived(ctx context.Context) (sdk.Page, error) {
	after, from := v.opts.After, v.opts.After.Position
	if after.Epoch == sdk.Beginning().Epoch {
		from = 0
	}
	n := v.blocksFor(v.wanted)
	var answer func() (state, error)
	var reply *redis.XMessageSliceCmd
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		answer = v.ask(ctx, p, v.opts.App)
		reply = p.XRangeN(ctx, blocksKey(v.opts.App), strconv.FormatUint(from+1, 10), "+", int64(n))
		return nil
	})
	if err := cmp.Or(v.know(ctx, answer), some(err)); err != nil {
		return v.page, err
	}
	if from > 0 && after.Epoch != v.page.Epoch {
		v.opts.After = sdk.Beginning() // all of another log comes after it
		return v.view(v.opts).arrived(ctx)
	}
	if v.page.Epoch == 0 || v.opts.Limit == 0 {
		return v.page, nil
	}
	blocks := blocksOf(reply.Val())
	for i := range blocks {
		v.entries = blocks[i].decode(v.entries)
	}
	found := slices.DeleteFunc(v.entries, func(e sdk.Entry) bool { return e.Position <= from || e.Position > v.last })
	v.page.Entries = cut(found, v.opts.Limit, false)
	v.page.More = len(v.page.Entries) < len(found) || len(blocks) == n && blocks[n-1].last < v.last
	return v.page, nil
}

// cut takes the first entries, or the last: at most limit if that is not negative, and about as
// many bytes as a page has.
func cut(entries []sdk.Entry, limit int, newest bool) []sdk.Entry {
	bytes, n := 0, 0
	for ; n < len(entries) && n != limit; n++ {
		e := &entries[n]
		if newest {
			e = &entries[len(entries)-1-n]
		}
		if bytes += sizeOf(e); n > 0 && bytes > pageBytes {
			break
		}
	}
	if newest {
		return entries[len(entries)-n:]
	}
	return entries[:n]
}
