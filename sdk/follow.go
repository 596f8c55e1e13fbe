package sdk

import (
	"context"
	"fmt"
)

// followedPage is the most entries that [FollowByReading] asks for at once.
const followedPage = 1000

// FollowByReading follows a log for a storage, by reads: after each value from wake, it reads on
// until nothing is left. The channel has a capacity of one. It gets a value after each append to
// the app and each delete, if there is room; [Followers] makes such channels. The first read finds
// what was appended before the channel was made, so nothing is lost. A wake-up without a change
// costs one read.
//
// When wake is closed, there will be no more wake-ups: FollowByReading returns an error that wraps
// [ErrUnavailable].
func FollowByReading(ctx context.Context, storage interface {
	Read(ctx context.Context, opts ReadOptions) (Page, error)
}, app string, after Cursor, wake <-chan struct{}, yield func(Page) error,
) error {
	if after.IsZero() {
		now, err := storage.Read(ctx, ReadOptions{App: app})
		if err != nil {
			return err
		}
		if after = now.End(); after.IsZero() {
			after = Beginning()
		}
	}
	for {
		opts := ReadOptions{App: app, Limit: followedPage, After: after}
		page, err := storage.Read(ctx, opts)
		if err != nil {
			return err
		}
		page.complete(&opts)
		if page.news(after) {
			if err := yield(page); err != nil {
				return err
			}
			after = orBeginning(page.Next)
			if page.More {
				continue
			}
		}
		select {
		case _, more := <-wake:
			if !more {
				return fmt.Errorf("nothing tells of what is appended to %q any more: %w", app, ErrUnavailable)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// news reports whether the page has anything new for a reader at the cursor.
func (p *Page) news(after Cursor) bool {
	if after == Beginning() {
		return p.Last > 0
	}
	return len(p.Entries) > 0 || p.Epoch != after.Epoch || p.Last != after.Position
}

// complete sets Next, More and Gone, which a storage may leave to the SDK, in a page that answers
// opts. Entries that do not pass a filter are still in it.
func (p *Page) complete(opts *ReadOptions) {
	n := len(p.Entries)
	inHistory := opts.After.InHistory() && opts.After.Epoch == p.Epoch
	switch {
	case p.Epoch == 0:
	case opts.After.IsZero():
		p.completeNewest(opts)
	case inHistory && (n == 0 || p.Entries[0].Position <= opts.After.Position):
		p.completeHistory(opts)
	default:
		p.completeArrival(opts)
	}
}

func (p *Page) completeNewest(opts *ReadOptions) {
	if !p.Next.IsZero() {
		return
	}
	p.Next = p.End()
	if opts.Before.Epoch == p.Epoch {
		p.Next = opts.Before
	}
	if len(p.Entries) > 0 {
		p.Next = p.Next.At(&p.Entries[0])
	}
}

func (p *Page) completeHistory(opts *ReadOptions) {
	n := len(p.Entries)
	if p.Next.IsZero() {
		switch {
		case n > 0:
			p.Next = opts.After.At(&p.Entries[n-1])
		case opts.Limit == 0:
			p.Next, p.More = opts.After, true
		default:
			p.Next = opts.After.Plain()
		}
	}
	// There may be more of the history, or of what arrived after it.
	p.More = p.More || n > 0 || p.Last > opts.After.Position
}

func (p *Page) completeArrival(opts *ReadOptions) {
	n, from := uint64(len(p.Entries)), uint64(0)
	if opts.After.Epoch == p.Epoch {
		from = opts.After.Position
	}
	if p.Next.IsZero() {
		switch {
		case !p.More && (opts.Limit < 0 || n < uint64(opts.Limit)):
			p.Next = p.End()
		case n > 0:
			p.Next = Cursor{Epoch: p.Epoch, Position: p.Entries[n-1].Position}
		default:
			p.Next = Cursor{Epoch: p.Epoch, Position: min(from, p.Last)}
		}
	}
	p.More = p.More || p.Next.Position < p.Last
	p.Gone = 0
	if p.Next.Position > from+n {
		p.Gone = p.Next.Position - from - n
	}
}
