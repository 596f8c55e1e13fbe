package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
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
	// sinceBlocks is how many blocks are looked at at once to find those with a newer own time.
	sinceBlocks = 2000
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
		if at := (place{after.Published, after.Entry}); at.compare(v.above) > 0 {
			v.above = at
		}
		v.last = after.Position
		v.from = "[" + bytesOf(v.above.published)
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

// walk reads in the order of publishing until a page is full, or there are no more entries.
func (v *view) walk(ctx context.Context) (sdk.Page, error) {
	limit, wanted := v.opts.Limit, v.wanted()
	for n := v.blocksFor(wanted); ; {
		if len(v.index) < 2 && !v.ended {
			if err := v.look(ctx, n); err != nil {
				return v.page, err
			}
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
		got, all := len(page.Entries), v.ended && len(v.index) == 0
		switch cutOff := got < len(found); {
		case got == limit:
			page.More = !v.back && (!all || cutOff)
		case all && !cutOff && newest && v.opts.Filter.Since.IsZero() && !v.lenient:
			return page, errAnew // some left meanwhile
		case all || cutOff:
			page.More = !all || cutOff
		default:
			continue
		}
		return page, nil
	}
}

// arrived answers what arrived after a position, in that order: what one question finds.
func (v *view) arrived(ctx context.Context) (sdk.Page, error) {
	after, from := v.opts.After, v.opts.After.Position
	if after.Epoch == sdk.Beginning().Epoch {
		from = 0
	}
	n := v.blocksFor(v.wanted())
	var state asked
	var reply *redis.XMessageSliceCmd
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		state = v.ask(ctx, p, v.opts.App)
		reply = p.XRangeN(ctx, blocksKey(v.opts.App), strconv.FormatUint(from+1, 10), "+", int64(n))
		return nil
	})
	if err := cmp.Or(some(err), some(reply.Err()), v.know(ctx, state)); err != nil {
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
